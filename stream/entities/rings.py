"""Merged counters of one kind of entity: rings of hours and days per entity, and the windows over them, kept ready.

Rows live in memory that is reserved once and committed by the system as it is touched, so that growing never copies.
"""

from __future__ import annotations

import numpy as np

from stream.codec.native import native_cached
from stream.entities.hours import DAY_HOURS, HOUR, SEEN_LAG
from stream.events import F64, I32, I64, U64

WINDOWS = ("count_24h", "new_24h", "declines_24h", "count_28d", "amount_28d_minor", "mature_28d", "frauds_28d")
WIDTH = len(WINDOWS)
RING_HOURS = 48  # 24 that a window spans, 24 by which partitions may be apart
RING_DAYS = 42  # 35 that the windows span, 7 by which partitions may be apart
WINDOW_DAYS, MATURE_DAYS = 28, 7
NO_VIEW = np.float64(-np.inf)
_NEVER = -(1 << 62)
_SCAN = 2048


@native_cached
def _find(index: I32, keys: U64, key: np.uint64) -> np.int64:
    """Position in the index of a key, or of the empty place where it belongs (rows are stored plus one)."""
    mask = np.uint64(len(index) - 1)
    at = ((key ^ (key >> np.uint64(32))) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(20)) & mask
    while index[at] != 0 and keys[index[at] - 1] != key:
        at = (at + np.uint64(1)) & mask
    return np.int64(at)


@native_cached
def _remove(index: I32, keys: U64, at: np.int64) -> None:
    """Empty one place of the index and close the gap behind it (Knuth 6.4, algorithm R)."""
    hole, mask = at, len(index) - 1
    while True:
        at = (at + 1) & mask
        row = index[at]
        if row == 0:
            break
        key = keys[row - 1]
        home = np.int64(
            ((key ^ (key >> np.uint64(32))) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(20)) & np.uint64(mask)
        )
        if ((at - home) & mask) >= ((at - hole) & mask):
            index[hole] = row
            hole, mask = at, len(index) - 1
    index[hole] = 0


# fmt: off
@native_cached
def _clear(row: int, hour: int, day: int, tops: I64, hours: I32, days: I32, amounts: I64) -> None:
    """Move the rings of a row on, so that they have a place for the hour and its day."""
    if hour > tops[row, 0]:
        first = max(tops[row, 0] + 1, hour - RING_HOURS + 1)
        at = first % RING_HOURS
        for _ in range(first, hour + 1):
            hours[row, at, 0], hours[row, at, 1], hours[row, at, 2] = 0, 0, 0
            at = at + 1 if at + 1 < RING_HOURS else 0
        tops[row, 0] = hour
    if day > tops[row, 1]:
        first = max(tops[row, 1] + 1, day - RING_DAYS + 1)
        at = first % RING_DAYS
        for _ in range(first, day + 1):
            days[row, at, 0], days[row, at, 1], days[row, at, 2] = 0, 0, 0
            amounts[row, at] = 0
            at = at + 1 if at + 1 < RING_DAYS else 0
        tops[row, 1] = day


@native_cached
def _merge(keys_in: U64, counts: I64, hour: int, by_hour: bool, by_day: bool,
           state: I64, free: I32, index: I32, keys: U64,
           views: F64, tops: I64, hours: I32, days: I32, amounts: I64) -> None:
    """Add a bucket's rows; `state` is (rows ever used, rows in the free list, rows in use, turned away)."""
    day = hour // DAY_HOURS
    hour_at, day_at = hour % RING_HOURS, day % RING_DAYS
    for i in range(len(keys_in)):
        at = _find(index, keys, keys_in[i])
        row = index[at] - 1
        if row < 0:
            if state[1] > 0:
                state[1] -= 1
                row = free[state[1]]
            elif state[0] < len(keys):
                row = state[0]
                state[0] += 1
            else:
                state[3] += 1
                continue
            state[2] += 1
            index[at] = row + 1
            keys[row] = keys_in[i]
            tops[row, 0], tops[row, 1], tops[row, 2] = _NEVER, _NEVER, _NEVER
            views[row, 0] = NO_VIEW
        _clear(row, hour, day, tops, hours, days, amounts)
        if by_hour and hour > tops[row, 0] - RING_HOURS:
            for c in range(3):
                hours[row, hour_at, c] += counts[i, c]
        if by_day and day > tops[row, 1] - RING_DAYS:
            days[row, day_at, 0] += counts[i, 0]
            days[row, day_at, 1] += counts[i, 2]
            days[row, day_at, 2] += counts[i, 4]
            amounts[row, day_at] += counts[i, 3]
        if hour < views[row, 0]:
            views[row, 0] = NO_VIEW
        if day < tops[row, 2]:
            tops[row, 2] = _NEVER


@native_cached
def _day_view(row: int, day: int, views: F64, tops: I64, days: I32, amounts: I64) -> None:
    """Sum the windows of whole days that end before `day`."""
    count, amount, mature, frauds = 0, 0, 0, 0
    first = max(day - WINDOW_DAYS - MATURE_DAYS, tops[row, 1] - RING_DAYS + 1)
    at = first % RING_DAYS
    for d in range(first, min(day, tops[row, 1] + 1)):
        if d >= day - WINDOW_DAYS:
            count += days[row, at, 0]
            frauds += days[row, at, 2]
            amount += amounts[row, at]
        if d < day - MATURE_DAYS:
            mature += days[row, at, 0] - days[row, at, 1]
        at = at + 1 if at + 1 < RING_DAYS else 0
    tops[row, 2] = day
    views[row, 4], views[row, 5], views[row, 6], views[row, 7] = count, amount, mature, max(frauds, 0)


@native_cached
def _hour_view(row: int, hour: int, views: F64, tops: I64, hours: I32) -> None:
    """Sum the windows of hours that end before `hour`."""
    attempts, new, declines = 0, 0, 0
    first = max(hour - DAY_HOURS, tops[row, 0] - RING_HOURS + 1)
    at = first % RING_HOURS
    for _ in range(first, min(hour, tops[row, 0] + 1)):
        attempts += hours[row, at, 0]
        new += hours[row, at, 1]
        declines += hours[row, at, 2]
        at = at + 1 if at + 1 < RING_HOURS else 0
    views[row, 0] = hour
    views[row, 1], views[row, 2], views[row, 3] = attempts, new, declines


@native_cached
def _look(keys_in: U64, clock_at: I64, out: F64, index: I32, keys: U64,
          views: F64, tops: I64, hours: I32, days: I32, amounts: I64) -> None:
    for i in range(len(keys_in)):
        row = -1 if keys_in[i] == 0 else index[_find(index, keys, keys_in[i])] - 1
        if row < 0:
            out[i, :] = np.nan
            continue
        hour = (clock_at[i] - SEEN_LAG) // HOUR
        if views[row, 0] != hour:
            _hour_view(row, hour, views, tops, hours)
            if tops[row, 2] != hour // DAY_HOURS:
                _day_view(row, hour // DAY_HOURS, views, tops, days, amounts)
        some = 0.0
        for c in range(WIDTH):
            out[i, c] = views[row, c + 1]
            some += out[i, c]
        if some == 0.0:
            out[i, :] = np.nan


@native_cached
def _forget(state: I64, cursor: int, limit: int, day: int, free: I32, index: I32, keys: U64, tops: I64) -> int:
    """Free the rows among the next `limit` whose newest day is before `day`; return the new cursor."""
    if cursor >= state[0]:
        cursor = 0
    end = min(cursor + limit, state[0])
    for row in range(cursor, end):
        if keys[row] != 0 and tops[row, 1] < day:
            _remove(index, keys, _find(index, keys, keys[row]))
            keys[row] = 0
            free[state[1]] = row
            state[1] += 1
            state[2] -= 1
    return end
# fmt: on


class Rings:
    """Counters of the entities of one kind.

    Parameters
    ----------
    capacity
        Entities that fit, a power of two; more are turned away until others are forgotten.
    """

    def __init__(self, capacity: int) -> None:
        self._state: I64 = np.zeros(4, np.int64)
        self._cursor = 0
        self._free: I32 = np.zeros(capacity, np.int32)
        self._index: I32 = np.zeros(2 * capacity, np.int32)
        self._keys: U64 = np.zeros(capacity, np.uint64)
        self._views: F64 = np.zeros((capacity, 1 + WIDTH), np.float64)
        self._tops: I64 = np.zeros((capacity, 3), np.int64)  # newest hour, newest day, day of the view
        self._hours: I32 = np.zeros((capacity, RING_HOURS, 3), np.int32)
        self._days: I32 = np.zeros((capacity, RING_DAYS, 3), np.int32)
        self._amounts: I64 = np.zeros((capacity, RING_DAYS), np.int64)

    def __len__(self) -> int:
        return int(self._state[2])

    @property
    def turned_away(self) -> int:
        """Rows that found no room."""
        return int(self._state[3])

    @property
    def nbytes(self) -> int:
        """Bytes of the rows ever used."""
        rows = (self._keys, self._views, self._tops, self._hours, self._days, self._amounts)
        return int(self._state[0]) * sum(array.nbytes // len(array) for array in rows) + self._index.nbytes

    def merge(self, keys: U64, counts: I64, hour: int, *, by_hour: bool, by_day: bool) -> None:
        """Add the rows of a bucket, keys (m,) and counters (m, 5), to the ring of hours, of days, or both."""
        _merge(keys, counts, hour, by_hour, by_day, self._state, self._free, self._index, self._keys,
               self._views, self._tops, self._hours, self._days, self._amounts)  # fmt: skip

    def look(self, keys: U64, clock_at: I64) -> F64:
        """Windows as seen at each clock, (n, 7) in the order of `WINDOWS`; NaN where nothing is seen."""
        out = np.empty((len(keys), WIDTH), np.float64)
        _look(keys, clock_at, out, self._index, self._keys,
              self._views, self._tops, self._hours, self._days, self._amounts)  # fmt: skip
        return out

    def forget(self, day: int, limit: int = _SCAN) -> None:
        """Look at `limit` entities and forget those that did nothing since `day`."""
        self._cursor = _forget(self._state, self._cursor, limit, day, self._free, self._index, self._keys, self._tops)
