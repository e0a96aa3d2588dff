"""Generated transactions, from a small history to messages that the codec takes."""

from __future__ import annotations

from pathlib import Path

import gan_small
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes import SOURCE, records, settings

from stream.codec import Codec
from stream.errors import SettingError
from training.data.mapping import load_mapping
from training.data.replay import Replay
from training.gan.build import prepare
from training.gan.store import Model, load, save
from training.gan.synthesis import synthesise
from training.gan.write import write_table

ROWS, SHARE = 800, 0.05


@pytest.fixture(scope="module")
def history() -> Path:
    return gan_small.history()


@pytest.fixture(scope="module")
def model() -> Model:
    return gan_small.model()


@pytest.fixture(scope="module")
def made(model: Model) -> pa.Table:
    return synthesise(model.words, model.sampler, ROWS, SHARE, 3, say=lambda _: None)


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_replay_and_codec_take_every_row(made: pa.Table, tmp_path: Path, suffix: str) -> None:
    mapping = write_table(made, tmp_path / f"made{suffix}")
    replay = Replay(tmp_path / f"made{suffix}", load_mapping(mapping))
    values = [value for mapped in replay.mapped() for value in mapped.values]
    decoded = Codec(settings()).decode(records(values), SOURCE)
    assert (len(decoded.rows), len(decoded.dead), replay.unmapped.total()) == (ROWS, 0, 0)
    assert sum(sum(part.fraud) for part in replay.labelled()) == round(ROWS * SHARE)


def test_rows_are_in_order_with_fresh_ids(made: pa.Table, history: Path) -> None:
    assert np.all(np.diff(made.column("event_time").cast(pa.int64()).to_numpy()) >= 0)
    real = pq.read_table(history / "transactions.parquet")
    for name in ("transaction_id", "card_id", "device_id", "ip"):
        assert not set(made.column(name).drop_null().to_pylist()) & set(real.column(name).to_pylist())
    assert len(made.column("transaction_id").unique()) == ROWS


def test_words_are_those_of_the_history(made: pa.Table, history: Path) -> None:
    real = pq.read_table(history / "transactions.parquet")
    for name in ("merchant_id", "terminal_id", "currency", "mcc", "country", "channel", "type", "response_code"):
        assert set(made.column(name).to_pylist()) <= set(real.column(name).to_pylist())


def test_a_card_stays_with_its_customer_and_clearings_follow_their_holds(made: pa.Table) -> None:
    owner: dict[str, str] = {}
    held: set[tuple[str, str]] = set()
    cleared = 0
    for row in made.to_pylist():
        if row["customer_id"]:
            assert owner.setdefault(row["card_id"], row["customer_id"]) == row["customer_id"]
        key = (row["card_id"], row["merchant_id"])
        if row["type"] == "preauth":
            held.add(key)
        elif row["type"] == "clearing":
            cleared += 1
            assert key in held
    assert cleared > 0


def test_a_saved_model_makes_the_same_rows(model: Model, made: pa.Table, tmp_path: Path) -> None:
    save(model, tmp_path / "model")
    again = load(tmp_path / "model")
    assert synthesise(again.words, again.sampler, ROWS, SHARE, 3, say=lambda _: None).equals(made)


def test_a_changed_model_is_refused(model: Model, tmp_path: Path) -> None:
    save(model, tmp_path / "model")
    with (tmp_path / "model" / "generator.npz").open("ab") as file:
        file.write(b"x")
    with pytest.raises(SettingError, match="was changed"):
        load(tmp_path / "model")


def test_an_impossible_share_is_refused(model: Model) -> None:
    with pytest.raises(SettingError, match="--fraud-share"):
        synthesise(model.words, model.sampler, 100, 0.99, 0, say=lambda _: None)


def test_a_history_without_labels_is_refused(history: Path, tmp_path: Path) -> None:
    (tmp_path / "transactions.parquet").write_bytes((history / "transactions.parquet").read_bytes())
    with pytest.raises(SettingError, match=r"labels\.parquet"):
        prepare(tmp_path, 0)
