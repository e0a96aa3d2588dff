"""Open hours: where a transaction is counted, what stays until it is durable, and the bytes it becomes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from builders import columns_from, taken
from entities_cases import BEGIN, clocks, history
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.entities.buckets import Assembler, Bucket, BucketError, decode_bucket, encode_bucket
from stream.entities.hours import HOUR, visible_cuts
from stream.entities.partials import Partials
from stream.errors import FraudstreamError

H = BEGIN // HOUR


def filled(n: int = 300, seed: int = 0) -> Partials:
    columns = history(n, seed)
    partials = Partials()
    partials.add(columns, clocks(columns), np.zeros(n, np.uint8), columns.flags)
    return partials


def wire(buckets: list[Bucket]) -> list[bytes]:
    return [data for bucket in buckets for data in encode_bucket(bucket)]


@given(cuts=st.lists(st.integers(0, 300), max_size=6), closing=st.booleans())
@settings(max_examples=20, deadline=None)
def test_hours_are_the_same_for_any_cut(cuts: list[int], closing: bool) -> None:
    columns, partials, closed = history(300, 4), Partials(), []
    clock_at = clocks(columns)
    edges = [0, *sorted(cuts), 300]
    for low, high in itertools.pairwise(edges):
        if closing and low < 300:
            closed += partials.close(int(clock_at[low]))
        part = taken(columns, slice(low, high))
        partials.add(part, clock_at[low:high], np.zeros(high - low, np.uint8), part.flags)
    closed += partials.close(1 << 50)
    whole = filled(300, 4).close(1 << 50)
    assert wire([b for b in closed if len(b)]) == wire([b for b in whole if len(b)])


def test_what_comes_after_the_close_falls_into_the_first_open_hour() -> None:
    columns = columns_from(3, event_time=[BEGIN, BEGIN + HOUR + 300_000, BEGIN + 1000], merchant_key=7)
    partials = Partials()
    partials.add(columns, clocks(columns), np.zeros(3, np.uint8), columns.flags)
    assert [(b.hour, b.counts[:, 0].tolist()) for b in partials.close(BEGIN + HOUR + 300_000)] == [(H, [1])]
    later = [(b.hour, b.counts[:, 0].tolist()) for b in partials.close(BEGIN + 3 * HOUR + 300_000)]
    assert later == [(H + 1, [2]), (H + 2, [])]
    assert partials.close(BEGIN + 3 * HOUR + 300_000) == [] and partials.close(-(1 << 62)) == []


def test_closed_hours_stay_until_they_are_durable_through_a_checkpoint() -> None:
    partials = filled()
    closed = partials.close(BEGIN + 30 * HOUR)
    partials.side = 17
    again = Partials()
    again.load(partials.dump())
    assert wire(list(again.unsent.values())) == wire(closed) and again.dump() == partials.dump()
    assert (again.side, again.through, len(again)) == (17, BEGIN // HOUR + 28, len(partials))
    again.ack(list(again.unsent))
    assert again.unsent == {}
    more = columns_from(1, event_time=BEGIN + 40 * HOUR, merchant_key=3)
    for one in (partials, again):
        one.add(more, clocks(more), np.zeros(1, np.uint8), more.flags)
    assert wire(partials.close(1 << 50)) == wire(again.close(1 << 50))


@pytest.mark.parametrize("spoil", [lambda d: d[:-1], lambda d: d + b"x", lambda d: b"", lambda d: b"NOPE" + d[4:]])
def test_damaged_open_hours_are_refused(spoil: object) -> None:
    with pytest.raises(FraudstreamError, match="damaged"):
        Partials().load(spoil(filled().dump()))  # type: ignore[operator]


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(1, 2**64 - 1), st.integers(-(2**62), 2**62)), max_size=30))
@settings(max_examples=50, deadline=None)
def test_buckets_survive_the_wire_in_parts(rows: list[tuple[int, int, int]]) -> None:
    kinds = np.array([row[0] for row in rows], np.uint8)
    keys = np.array([row[1] for row in rows], np.uint64)
    counts = np.array([[1, 0, 0, row[2], -1] for row in rows], np.int64).reshape(-1, 5)
    want = Bucket(H, kinds, keys, counts, 9).ordered()
    assembler = Assembler()
    parts = encode_bucket(Bucket(H, kinds, keys, counts, 9), topic=-5, part_rows=4)
    got = [whole for data in reversed(parts) if (whole := assembler.add(decode_bucket(data))) is not None]
    assert len(got) == 1 and wire(got) == wire([want]) and (got[0].side, got[0].hour) == (9, H)
    assert decode_bucket(parts[0]).topic == -5


@given(st.binary(max_size=90))
@settings(max_examples=100, deadline=None)
def test_other_bytes_are_refused(data: bytes) -> None:
    good = encode_bucket(Bucket(H, np.zeros(2, np.uint8), np.arange(1, 3, dtype=np.uint64), np.ones((2, 5), np.int64)))[
        0
    ]
    for bad in (data, good[: len(data)], good + data[:1] + b"\x01"):
        with pytest.raises(BucketError):
            decode_bucket(bad)


def test_a_batch_is_cut_where_the_visible_hour_changes() -> None:
    clock = np.array([-(1 << 62), BEGIN, BEGIN + 599_999, BEGIN + 600_000, BEGIN + HOUR, BEGIN + HOUR + 600_000])
    assert visible_cuts(clock) == [0, 1, 3, 5] and visible_cuts(clock[:0]) == [] and visible_cuts(clock[1:3]) == [0]


def test_a_clock_that_is_ahead_counts_in_the_hour_of_the_partition() -> None:
    times = [BEGIN, BEGIN + 900 * HOUR, BEGIN + 60_000]
    columns = columns_from(3, event_time=times, merchant_key=7, flags=[0, 4, 0])
    partials = Partials()
    partials.add(columns, np.array([0, BEGIN, BEGIN]), np.zeros(3, np.uint8), columns.flags)
    assert [(b.hour, b.counts[:, 0].tolist()) for b in partials.rows()] == [(H, [3])]


def test_when_a_late_label_is_read_makes_no_difference_to_a_comparison() -> None:
    known, told, never = filled(), filled(), filled()
    clock = BEGIN + 5 * HOUR
    assert known.add_labels([(H + 1, 0, 7, 4, 1), (H + 90, 0, 7, 4, 1)], BEGIN) == 0
    for partials in (known, told, never):
        partials.close(clock)
    assert told.add_labels([(H + 1, 0, 7, 4, 1), (H + 90, 0, 7, 4, 1)], clock) == 1
    never.add_labels([(H + 1, 0, 7, 4, 1)], clock)
    assert known.canonical() == told.canonical() != never.canonical()
