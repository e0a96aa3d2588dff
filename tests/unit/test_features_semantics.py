"""Who may touch the state: repeats, late ones, declined attempts, reversals."""

from __future__ import annotations

import numpy as np
import pytest
from builders import START, columns_from, taken

from stream.advance import Book, advance, new_arena
from stream.events import Flag
from stream.features import FEATURE_NAMES, PROGRAM
from stream.replay import features_of

DAY = 86_400_000


def value(x: np.ndarray, row: int, name: str) -> float:
    return float(x[row, FEATURE_NAMES.index(name)])


def count(x: np.ndarray, row: int, window: str = "24h") -> int:
    return round(np.expm1(value(x, row, f"card_tx_count_{window}")))


def test_repeat_is_flagged_and_counts_once() -> None:
    x, _, flags = features_of(columns_from(3, transaction_key=[5, 5, 6]))
    assert flags.tolist() == [0, Flag.DUPLICATE, 0]
    assert [count(x, row) for row in range(3)] == [0, 1, 1]


def test_same_id_on_another_card_is_no_repeat() -> None:
    _, _, flags = features_of(columns_from(2, transaction_key=[5, 5], card_key=[1, 2]))
    assert flags.tolist() == [0, 0]


def test_repeat_is_recognised_among_the_last_sixteen() -> None:
    keys = [1, *range(100, 115), 1, *range(200, 216), 1]
    _, _, flags = features_of(columns_from(len(keys), transaction_key=keys))
    assert np.flatnonzero(flags & Flag.DUPLICATE).tolist() == [16]


def test_late_one_is_flagged_and_leaves_no_trace() -> None:
    columns = columns_from(3, event_time=[START, START - 30 * DAY - 1, START + 1000])
    x, _, flags = features_of(columns)
    assert flags.tolist() == [0, Flag.LATE, 0]
    assert count(x, 2, "30d") == 1


def test_late_is_judged_by_the_partition() -> None:
    columns = columns_from(2, event_time=[START, START - 31 * DAY], card_key=[1, 2])
    _, _, flags = features_of(columns)
    assert flags.tolist() == [0, Flag.LATE]


def test_one_within_the_horizon_lands_in_its_own_day() -> None:
    columns = columns_from(4, event_time=START + DAY * np.array([20, 5, 20, 6]))
    x, _, flags = features_of(columns)
    assert flags.tolist() == [0, 0, 0, 0]
    assert (count(x, 2, "30d"), count(x, 2)) == (2, 1)
    assert count(x, 3, "30d") == 1  # the one of day 5; those of day 20 lie in its future


def test_one_bad_clock_neither_moves_the_partition_nor_rolls_its_card_into_the_future() -> None:
    """Replayed long after: what was ahead of everything is clamped to the log's own time, years after the others."""
    times = [START, START + 3 * 365 * DAY, START + 60_000, START + 120_000]
    columns = columns_from(4, event_time=times, flags=[0, Flag.CLOCK_SKEW, 0, 0], card_key=[1, 1, 2, 1])
    arena = new_arena()
    x, _, flags = features_of(columns, arena=arena)
    assert flags.tolist() == [0, Flag.CLOCK_SKEW, 0, 0]
    assert arena.watermark == START + 120_000
    assert [count(x, row) for row in range(4)] == [0, 1, 0, 2]


def test_declined_is_an_attempt_and_no_spend() -> None:
    columns = columns_from(3, flags=[0, Flag.DECLINED, 0], amount_minor=[1000, 90_000, 1000])
    x, s, _ = features_of(columns)
    assert count(x, 2) == 1
    assert round(np.expm1(value(x, 2, "card_attempt_count_24h"))) == 2
    assert value(x, 2, "card_decline_share_24h") == pytest.approx(0.5)
    assert value(x, 2, "amount_vs_mean") == pytest.approx(0.0)
    assert s[2, :, 0].sum() == 3


def test_declined_attempt_leaves_the_merchant_new() -> None:
    columns = columns_from(3, merchant_key=[1, 2, 2], flags=[0, Flag.DECLINED, 0])
    x, _, _ = features_of(columns)
    assert [value(x, row, "merchant_new") for row in (1, 2)] == [1, 1]


def test_reversal_only_marks_its_id() -> None:
    columns = columns_from(3, transaction_key=[1, 2, 2], flags=[0, Flag.REVERSAL, 0])
    arena = new_arena()
    advance(arena, taken(columns, slice(0, 1)), Book())
    rows = arena.tables["card"].rows[:1]
    before = np.frombuffer(rows.tobytes(), rows.dtype)
    advance(arena, taken(columns, slice(1, 2)), Book())
    touched = [name for name in PROGRAM.layouts["card"].names or () if rows[name].tobytes() != before[name].tobytes()]
    assert touched == ["seen", "guard"]
    last = taken(columns, slice(2, 3))
    advance(arena, last, Book())
    assert last.flags.tolist() == [Flag.DUPLICATE]


def test_transaction_without_card_is_refused_before_anything_moves() -> None:
    arena = new_arena()
    with pytest.raises(ValueError, match="transaction 1 of the batch has no row"):
        advance(arena, columns_from(2, card_key=[1, 0]), Book())
    assert (arena.tables["card"].rows["seen"][0], arena.watermark < 0) == (0, True)


def test_habit_follows_a_card_that_changes_its_life() -> None:
    n = 2000
    columns = columns_from(
        n, amount_minor=np.where(np.arange(n) < 1000, 1000, 50_000), country=1 + (np.arange(n) >= 1000)
    )
    x, _, _ = features_of(columns)
    assert value(x, 1000, "amount_vs_mean") > 3
    assert value(x, n - 1, "amount_vs_mean") < 0.5
    assert value(x, 1000, "is_foreign") == 1
    assert value(x, n - 1, "is_foreign") == 0


def test_impossible_travel_shows_as_speed() -> None:
    columns = columns_from(2, event_time=[START, START + 3_600_000], latitude=[48.86, 40.71], longitude=[2.35, -74.0])
    x, _, _ = features_of(columns)
    assert np.expm1(value(x, 1, "speed")) == pytest.approx(5837, rel=0.01)  # Paris to New York in an hour


def test_home_is_right_across_the_date_line() -> None:
    columns = columns_from(3, latitude=-17.0, longitude=[179.0, -179.0, 180.0])
    x, _, _ = features_of(columns)
    assert np.expm1(value(x, 2, "distance_home")) < 2
