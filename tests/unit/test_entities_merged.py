"""Merged profiles: the same rows however partitions and batches interleave, and nothing from the future."""

from __future__ import annotations

import numpy as np
from builders import columns_from
from entities_cases import BEGIN, clocks, history, play
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.entities.buckets import Bucket
from stream.entities.hours import DAY_HOURS, HOUR
from stream.entities.merged import Merged
from stream.entities.partials import Partials

FIRST = BEGIN // HOUR // DAY_HOURS * DAY_HOURS  # midnight of the first day


def bucket(hour: int, key: int = 7, counts: tuple[int, ...] = (10, 2, 1, 900, 0), span: int = 1) -> Bucket:
    return Bucket(hour, np.zeros(1, np.uint8), np.array([key], np.uint64), np.array([counts], np.int64), 0, span)


def seen(merged: Merged, hour: int, key: int = 7) -> list[float]:
    return merged.look("merchant", np.array([key], np.uint64), np.array([hour * HOUR + 600_000]))[0].tolist()


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_rows_do_not_depend_on_interleaving_or_cuts(seed: int) -> None:
    parts = [history(150, seed=i, hours=70, first=1000 * i) for i in range(3)]
    one, other = (play(parts, np.random.default_rng(s)) for s in (1, seed))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.isfinite(one[0]).any() and np.isnan(one[0][0]).all()


@given(cut=st.integers(10, 140), seed=st.integers(0, 50))
@settings(max_examples=15, deadline=None)
def test_changing_the_future_changes_nothing_before_it(cut: int, seed: int) -> None:
    parts = [history(150, seed=i, hours=70) for i in (1, 2)]
    before = play(parts, np.random.default_rng(seed))
    moment = int(np.maximum.accumulate(parts[0].event_time)[cut])
    for columns in parts:
        later = columns.event_time > moment
        columns.amount_minor[later] += 1
        columns.merchant_key[later] = 3
    after = play(parts, np.random.default_rng(seed))
    for old, new, columns in zip(before, after, parts, strict=True):
        kept = clocks(columns) <= moment
        kept &= columns.event_time <= moment
        assert kept.sum() > 3
        np.testing.assert_array_equal(old[kept], new[kept])
    assert not all(np.array_equal(old, new, equal_nan=True) for old, new in zip(before, after, strict=True))


def test_a_bucket_counts_once_in_any_order() -> None:
    merged, other = Merged(capacity=64), Merged(capacity=64)
    hours = [FIRST + h for h in (5, 3, 4, 3)]
    assert [merged.merge(0, bucket(hour)) for hour in hours] == [True, True, True, False]
    assert [other.merge(0, bucket(hour)) for hour in sorted(set(hours))] == [True] * 3
    assert seen(merged, FIRST + 6) == seen(other, FIRST + 6) == [30.0, 6.0, 3.0, 0, 0, 0, 0]
    assert merged.merge(1, bucket(FIRST + 3))
    assert seen(merged, FIRST + 6)[0] == 40
    assert merged.version() == f"{FIRST + 5}:0.2" and merged.staleness_ms((FIRST + 6) * HOUR) == 2 * HOUR


def test_windows_end_where_they_should() -> None:
    merged = Merged(capacity=64)
    merged.merge(0, bucket(FIRST + 3, counts=(10, 2, 4, 900, 3)))
    late, day = FIRST + 3 + 24, FIRST + DAY_HOURS
    assert np.isnan(seen(merged, FIRST + 3)).all()
    assert seen(merged, FIRST + 4)[:4] == [10, 2, 4, 0]
    assert (seen(merged, late)[0], seen(merged, late + 1)[0]) == (10, 0)
    assert seen(merged, day)[3:] == [10, 900, 0, 3]
    assert seen(merged, FIRST + 7 * DAY_HOURS)[5] == 0
    assert seen(merged, FIRST + 8 * DAY_HOURS)[5] == 6  # the approved ones, a week later
    assert seen(merged, FIRST + 28 * DAY_HOURS)[3:5] == [10, 900]
    assert seen(merged, FIRST + 29 * DAY_HOURS)[3:] == [0, 0, 6, 0]
    assert np.isnan(seen(merged, FIRST + 36 * DAY_HOURS)).all()


def test_a_day_stands_for_its_hours() -> None:
    merged = Merged(capacity=64)
    assert merged.merge(0, bucket(FIRST, span=DAY_HOURS))
    assert merged.merge(0, bucket(FIRST + 5)) and not merged.merge(0, bucket(FIRST, span=DAY_HOURS))
    assert seen(merged, FIRST + DAY_HOURS)[:4] == [10, 2, 1, 10] and merged.through(0) == FIRST + DAY_HOURS - 1
    assert merged.merge(1, bucket(FIRST + 5)) and not merged.merge(1, bucket(FIRST, span=DAY_HOURS))


def test_entities_silent_for_long_leave() -> None:
    merged = Merged(capacity=1024)
    keys = np.arange(1, 601, dtype=np.uint64)
    counts = np.tile(np.array([1, 0, 0, 5, 0]), (600, 1))
    merged.merge(0, Bucket(FIRST, np.zeros(600, np.uint8), keys, counts))
    for day in range(1, 60):
        merged.merge(0, Bucket(FIRST + day * DAY_HOURS, np.zeros(300, np.uint8), keys[:300], counts[:300]))
    assert len(merged) == 300
    assert (
        merged.look("merchant", keys[:300], np.full(300, (FIRST + 60 * DAY_HOURS) * HOUR))[:, 3].tolist() == [28] * 300
    )
    merged.merge(0, Bucket(FIRST + 60 * DAY_HOURS, np.zeros(600, np.uint8), keys + np.uint64(600), counts))
    assert len(merged) == 900 and merged.turned_away == 0
    merged.merge(0, Bucket(FIRST + 61 * DAY_HOURS, np.zeros(600, np.uint8), keys + np.uint64(5000), counts))
    assert len(merged) == 1024 and merged.turned_away == 476


def test_missing_keys_and_kinds_are_missing() -> None:
    merged = Merged(capacity=64)
    assert merged.version() == "0" and merged.staleness_ms(5) == 0 and np.isnan(seen(merged, FIRST, key=0)).all()
    assert np.isnan(merged.look("region", np.array([4], np.uint64), np.array([0]))).all()


def test_repeats_and_reversals_count_nowhere_and_declines_spend_nothing() -> None:
    partials = Partials()
    columns = columns_from(4, event_time=BEGIN, merchant_key=7, amount_minor=100, flags=[0, 2, 16, 8])
    partials.add(columns, clocks(columns), np.ones(4, np.uint8), columns.flags)
    (only,) = (one for one in partials.close(BEGIN + 2 * HOUR) if len(one))
    assert (only.keys.tolist(), only.counts.tolist()) == ([7], [[2, 2, 1, 100, 0]])


def test_a_clearing_is_money_and_a_preauth_an_attempt() -> None:
    partials = Partials()
    columns = columns_from(3, event_time=BEGIN, merchant_key=7, amount_minor=100, type=[5, 6, 1])
    partials.add(columns, clocks(columns), np.ones(3, np.uint8), columns.flags)
    (only,) = (one for one in partials.close(BEGIN + 2 * HOUR) if len(one))
    assert only.counts.tolist() == [[2, 2, 0, 200, 0]]
