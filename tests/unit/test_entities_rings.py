"""The rings against the plainest reckoning: any order of hours, looks that go on, jump ahead and come back."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.entities.buckets import Bucket
from stream.entities.hours import DAY_HOURS, HOUR
from stream.entities.merged import Merged

FIRST = 20_000 * DAY_HOURS
KEYS = np.array([3, 2**63 + 5, 11], np.uint64)

merges = st.tuples(st.just("merge"), st.integers(0, 2), st.integers(0, 2))
looks = st.tuples(st.just("look"), st.integers(0, 2), st.integers(-20, 23))
onward = st.tuples(st.just("on"), st.integers(1, 30), st.integers(0, 2))


def plain(told: list[tuple[int, int, list[int]]], key: int, hour: int) -> list[float]:
    """The windows, summed from all that was told: (hour, key, counters) each."""
    day = hour // DAY_HOURS
    mine = [(h, counts) for h, k, counts in told if k == key and h < hour]
    last = [counts for h, counts in mine if h >= hour - 24]
    month = [counts for h, counts in mine if day - 28 <= h // DAY_HOURS < day]
    mature = [counts for h, counts in mine if day - 35 <= h // DAY_HOURS < day - 7]
    row = [sum(c[i] for c in last) for i in (0, 1, 2)] + [sum(c[i] for c in month) for i in (0, 3)]
    row += [sum(c[0] - c[2] for c in mature), max(sum(c[4] for c in month), 0)]
    return [float(value) for value in row] if any(row) else [np.nan] * 7


@given(st.lists(st.one_of(merges, merges, looks, onward), max_size=60), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_views_are_the_sums_of_what_was_told(steps: list[tuple[str, int, int]], rng: object) -> None:
    merged = Merged(capacity=8)
    told: list[tuple[int, int, list[int]]] = []
    free = {partition: set(range(FIRST - 5, FIRST + 2000)) for partition in range(3)}
    now = FIRST
    for kind, a, b in steps:
        if kind == "on":
            now += a
        elif kind == "merge":
            hour = now - rng.randrange(0, 20)  # type: ignore[attr-defined]
            if hour not in free[b]:
                continue
            free[b].discard(hour)
            counts = [rng.randrange(0, 9) for _ in range(3)] + [rng.randrange(0, 10**9), rng.randrange(-1, 3)]  # type: ignore[attr-defined]
            rows = np.array([counts, counts], np.int64)
            which = np.sort(KEYS[[a, (a + 1) % 3]])
            merged.merge(b, Bucket(hour, np.zeros(2, np.uint8), which, rows))
            told += [(hour, int(key), counts) for key in which]
        else:
            seen = now + b if b < 4 else now
            found = merged.look("merchant", KEYS, np.full(3, seen * HOUR + 600_000))
            want = [plain(told, int(key), seen) for key in KEYS]
            if seen >= now - 20:
                np.testing.assert_array_equal(found, np.array(want))
