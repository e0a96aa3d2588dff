"""What a simulated history holds."""

import datetime as dt
from functools import cache

import msgspec
import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from stream.errors import SettingError
from stream.events import Transaction
from stream.features import FAMILY_SLICES
from training.data.simulator import FIELDS, STORY_NAMES, Encoder, History, draw_bank, generate

START = dt.datetime(2025, 11, 1, tzinfo=dt.UTC)


@cache
def small(bank: int = 4, seed: int = 9, prevalence_bp: float = 80.0, days: int = 60) -> History:
    return generate(bank_seed=bank, seed=seed, cards=600, days=days, start=START, prevalence_bp=prevalence_bp)


def test_the_same_seeds_give_the_same_history() -> None:
    again = generate(bank_seed=4, seed=9, cards=600, days=60, start=START, prevalence_bp=80)
    assert again.table().equals(small().table())
    assert again.truth.equals(small().truth)
    assert again.labels.equals(small().labels)


def test_another_stream_seed_gives_other_transactions_and_another_bank_other_parameters() -> None:
    other = generate(bank_seed=4, seed=10, cards=600, days=60, start=START)
    assert not other.table()["amount"].equals(small().table()["amount"])
    assert other.bank == small().bank
    assert draw_bank(5).habits != draw_bank(4).habits
    assert draw_bank(5).fraud.mix != draw_bank(4).fraud.mix


@pytest.mark.parametrize("prevalence_bp", [0, 5, 20, 80])
def test_prevalence_is_realised(prevalence_bp: float) -> None:
    history = small(prevalence_bp=prevalence_bp)
    assert 10_000 * history.fraud.mean() == pytest.approx(prevalence_bp, rel=0.15)


def test_every_story_and_every_look_alike_is_played() -> None:
    truth = small().truth
    assert set(truth["story"].to_pylist()) == {"", *STORY_NAMES}
    assert len(STORY_NAMES) >= 7
    expected = {"", "holiday_travel", "seasonal_peak", "first_expensive_purchase", "refund", "new_phone"}
    assert expected <= set(truth["look_alike"].to_pylist())


def test_each_fraud_records_its_cause_and_case_and_honest_rows_none() -> None:
    truth = small().truth.to_pylist()
    families = {*FAMILY_SLICES, "sequence"}
    for row in truth:
        assert row["fraud"] == bool(row["story"]) == (row["fraud_case"] is not None) == bool(row["cause"])
        assert set(row["cause"]) <= families
        assert not (row["fraud"] and row["look_alike"])


def test_a_case_is_one_card() -> None:
    history = small()
    card = history.feed.coded["card_id"].codes
    for case in np.unique(history.case[history.fraud]):
        assert len(np.unique(card[history.case == case])) == 1


def test_a_story_can_be_left_out() -> None:
    kept = [name for name in STORY_NAMES if name != "bust_out"]
    history = generate(bank_seed=4, seed=9, cards=300, days=40, start=START, stories=kept)
    assert "bust_out" not in set(history.truth["story"].to_pylist())
    assert 10_000 * history.fraud.mean() == pytest.approx(80, rel=0.15)


def test_a_bare_feed_says_the_same_with_fewer_fields() -> None:
    whole = generate(bank_seed=4, seed=9, cards=100, days=20, start=START)
    bare = generate(bank_seed=4, seed=9, cards=100, days=20, start=START, bare_feed=True)
    assert bare.truth.equals(whole.truth)
    for name in ("event_time", "card_id", "merchant_id", "amount", "currency"):
        assert bare.table()[name].equals(whole.table()[name])
    for name in ("channel", "device_id", "entry_mode", "country", "latitude"):
        assert bare.table()[name].null_count == len(bare)


def test_the_table_is_canonical_sorted_and_inside_its_days() -> None:
    table = small().table()
    assert tuple(table.column_names) == FIELDS
    assert set(FIELDS) == set(Transaction.__struct_fields__)
    times = table["event_time"].cast("int64").to_numpy()
    assert (np.diff(times) >= 0).all()
    assert times[0] >= START.timestamp() * 1000
    assert times[-1] < (START + dt.timedelta(days=60)).timestamp() * 1000
    assert pc.count_distinct(table["transaction_id"]).as_py() == len(table)
    assert pc.min(table["amount"]).as_py() > 0


def test_card_numbers_have_sixteen_digits_and_a_valid_luhn_sum() -> None:
    for pan in set(small().table()["card_id"].to_pylist()):
        assert len(pan) == 16
        digits = [int(digit) for digit in reversed(pan)]
        doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
        assert (sum(digits[::2]) + sum(doubled)) % 10 == 0


def test_some_attempts_are_declined_honest_and_fraudulent() -> None:
    history = small()
    declined = history.feed.coded["response_code"].codes > 0
    assert 0.005 < declined[~history.fraud].mean() < 0.12
    assert declined[history.fraud].mean() > declined[~history.fraud].mean()


def test_messages_are_transactions_with_absent_fields_left_out() -> None:
    history = small()
    index = np.arange(0, len(history), 97)
    rows = history.table().take(index).to_pylist()
    messages = Encoder(history).values(index)
    for row, message, key in zip(rows, messages, Encoder(history).keys(index), strict=True):
        said = msgspec.json.decode(message)
        assert msgspec.json.decode(message, type=Transaction).transaction_id == row["transaction_id"]
        assert dt.datetime.fromisoformat(said.pop("event_time")) == row.pop("event_time")
        assert said == {name: value for name, value in row.items() if value is not None}
        assert key == row["card_id"].encode()


def test_parquet_files_hold_the_tables(tmp_path) -> None:
    small().write(tmp_path / "history")
    assert pq.read_table(tmp_path / "history" / "transactions.parquet").equals(small().table())
    assert pq.read_table(tmp_path / "history" / "truth.parquet").num_rows == len(small())
    assert pq.read_table(tmp_path / "history" / "labels.parquet").equals(small().labels)
    assert pq.read_table(tmp_path / "history" / "events.parquet").equals(small().events)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [({"stories": ["heist"]}, "heist"), ({"prevalence_bp": 6000}, "--prevalence-bp"), ({"cards": 3}, "--cards")],
)
def test_settings_that_make_no_sense_are_named(wrong, named) -> None:
    settings = {"bank_seed": 1, "seed": 1, "cards": 100, "days": 10} | wrong
    with pytest.raises(SettingError, match=named):
        generate(**settings)
