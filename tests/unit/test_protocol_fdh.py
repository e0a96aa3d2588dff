"""The handbook's protocol on a small bank that the test makes: folds, the seal, late labels, the whole table."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stream.errors import SettingError
from training.detectors import VAE, SequenceCNN
from training.protocols import fdh, fdh_anomaly, fdh_data, fdh_engine, fdh_inputs, fdh_models, fdh_panel
from training.protocols.fdh_panel import PANEL, PUBLISHED, WEEK

FIRST = np.datetime64("2018-06-25", "s")
DAYS, A_DAY = 40, 100


def _bank(folder: Path) -> None:
    """Two terminals give nothing but fraud from the first week on; large amounts are fraud everywhere."""
    rng = np.random.default_rng(7)
    n = DAYS * A_DAY
    second = np.sort(rng.integers(0, DAYS * 86_400, n))
    terminal, card, amount = rng.integers(0, 60, n), rng.integers(0, 80, n), rng.gamma(2, 20, n).round(2)
    large = rng.random(n) < 0.01
    amount[large] += 300
    fraud = large | ((terminal < 2) & (rng.random(n) < 0.5))
    raw = {
        "TRANSACTION_ID": np.arange(n),
        "TX_DATETIME": FIRST + second.astype("timedelta64[s]"),
        "CUSTOMER_ID": card,
        "TERMINAL_ID": terminal,
        "TX_AMOUNT": amount,
        "TX_FRAUD": fraud.astype(np.int64),
        "TX_FRAUD_SCENARIO": np.where(large, 1, np.where(fraud, 2, 0)),
    }
    pq.write_table(pa.table(raw), folder / "fdh_transactions.parquet")
    derived = {
        "TRANSACTION_ID": np.arange(n),
        "TX_DURING_WEEKEND": np.zeros(n),
        "TX_DURING_NIGHT": second % 86_400 < 25_200,
    }
    for days in (1, 7, 30):
        derived[f"CUSTOMER_ID_NB_TX_{days}DAY_WINDOW"] = rng.integers(1, 9, n)
        derived[f"CUSTOMER_ID_AVG_AMOUNT_{days}DAY_WINDOW"] = rng.gamma(4, 10, n)
        derived[f"TERMINAL_ID_NB_TX_{days}DAY_WINDOW"] = rng.integers(1, 9, n)
        derived[f"TERMINAL_ID_RISK_{days}DAY_WINDOW"] = np.where(terminal < 2, 0.4, 0.0)
    features = {
        name: np.asarray(values, np.float64 if name != "TRANSACTION_ID" else np.int64)
        for name, values in derived.items()
    }
    pq.write_table(pa.table(features), folder / "fdh_features_1_2.parquet")
    (folder / "fdh_published.csv").write_text(
        "source,protocol,model,auc_roc,average_precision,card_precision_100\n"
        "book,prequential test 4 folds,XGBoost,0.869+-0.01,0.687+-0.01,0.303+-0.01\n"
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("handbook")
    _bank(made)
    return made


def test_sealed_weeks_are_refused_and_never_read(folder: Path) -> None:
    book = fdh_data.load(folder)
    for start in (*fdh_data.SEALED_STARTS, "2018-08-16"):
        with pytest.raises(SettingError, match="sealed"):
            fdh_data.fold(book, start)
    later = pq.read_table(folder / "fdh_transactions.parquet")
    moved = later.set_column(1, "TX_DATETIME", pa.array(later["TX_DATETIME"].to_numpy() + np.timedelta64(60, "D")))
    pq.write_table(moved, folder.parent / "fdh_transactions.parquet")
    read = fdh_data._table(folder.parent / "fdh_transactions.parquet", ["TX_DATETIME"])
    assert 0 < read.num_rows < moved.num_rows
    assert max(read["TX_DATETIME"].to_pylist()).isoformat() < fdh_data.READ_UNTIL


def test_a_fold_has_a_week_of_delay_and_leaves_out_cards_known_by_then(folder: Path) -> None:
    book = fdh_data.load(folder)
    one = fdh_data.fold(book, "2018-07-11")
    day = {name: book.day[getattr(one, name)] - book.day[one.train[0]] for name in ("train", "test")}
    assert (day["train"].min(), day["train"].max(), day["test"].min(), day["test"].max()) == (0, 6, 14, 20)
    first = book.day[one.train[0]]
    for row in one.test.tolist():
        known = (book.card == book.card[row]) & (book.y > 0) & (book.day >= first) & (book.day <= book.day[row] - 8)
        assert not known.any()


def test_engine_rows_learn_of_frauds_a_week_late(folder: Path) -> None:
    book = fdh_data.load(folder)
    rows = fdh_engine.engine_rows(folder, book, 0)
    assert len(rows.row) == len(book.y)
    rate = rows.row[:, fdh_engine.NAMES.index("terminal_fraud_rate")]
    week = fdh_inputs.known_week(book)
    bad = book.terminal < 2
    assert rate[bad & (book.day > 15)].mean() > np.nanmean(rate[~bad & (book.day > 15)]) + 1
    early = bad & (book.day < 7)
    assert np.nanmax(rate[early]) <= np.nanmax(rate[~bad & (book.day < 7)])
    assert (
        np.ptp(week[book.day < 7]) == 0 and week[bad & (book.day > 15)].mean() > week[~bad & (book.day > 15)].mean() + 1
    )


def test_the_quick_table_holds_every_model_and_comes_again_from_what_was_kept(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    short = partial(VAE, steps=60)
    monkeypatch.setattr(fdh_panel, "VAE", short)
    monkeypatch.setattr(fdh_anomaly, "VAE", short)
    hasty = partial(SequenceCNN, current_row=True, epochs=2)
    monkeypatch.setattr(fdh_models, "cnn", hasty)
    monkeypatch.setitem(fdh_models.MEMBERS, "cnn", hasty)
    told: list[str] = []
    table = fdh.run(folder, quick=True, seed=5, say=told.append)
    again = fdh.run(folder, quick=True, seed=5, say=told.append)
    found = {(row.model, row.setting): row.figures for row in table.rows}
    assert found["XGBoost", "prequential test 4 folds"]["ap"] == 0.687
    assert found["constant", PUBLISHED]["auc"] == 0.5
    assert found["gbdt", PUBLISHED]["ap"] > 0.5 > found["constant", PUBLISHED]["ap"]
    assert (PANEL, WEEK) in found and told
    assert {row.model: row.figures for row in again.rows} == {row.model: row.figures for row in table.rows}
    assert json.loads(json.dumps(table.as_dict()))["protocol"] == "fdh"
    assert len(table.goals) == 8 and all(isinstance(goal["met"], bool) for goal in table.goals)
