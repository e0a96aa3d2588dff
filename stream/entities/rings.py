"""Merged counters of one kind of entity: rings of hours and days per entity, and the windows over them, kept ready.

Rows live in memory that is reserved once and committed by the system as it is touched, so that growing never copies.
What a look needs of an entity is one cache line; with many entities, waiting for memory is what everything here costs,
so that the lines of the rows to come are asked for ahead.
"""

from __future__ import annotations

import mmap
import sys
from typing import Any

import numpy as np

from stream.codec.native import native_cached
from stream.entities.hours import DAY_HOURS, HOUR, SEEN_LAG
from stream.events import F64, I32, I64, U64
from stream.state.prefetch import prefetch

WINDOWS = ("count_24h", "new_24h", "declines_24h", "count_28d", "amount_28d_minor", "mature_28d", "frauds_28d")
WIDTH = len(WINDOWS)
RING_HOURS = 48  # 24 that a window spans, 24 by which partitions may be apart
RING_DAYS = 42  # 35 that the windows span, 7 by which partitions may be apart
WINDOW_DAYS, MATURE_DAYS = 28, 7
_SCAN = 2048
_HUGE = 2 << 20  # bytes of a large page: with small ones, finding a page costs more than reading what is on it
_NORESERVE = 0x4000 if sys.platform == "linux" else 0  # the system shall not count what is only reserved

# A view is 8 words: the entity's key, its spend in 28 days, and then half words:
KEY, AMOUNT = 0, 1
AT_HOUR, AT_DAY, TOP_HOUR, TOP_DAY, COUNT, NEW, DECLINES, DAYS, MATURE, FRAUDS = 4, 5, 6, 7, 8, 9, 10, 11, 12, 13
VIEW_WORDS = 8
# An hour is three half words (attempts, new cards, declines), a day three words (spend, attempts and declines, frauds).
HOUR_WORDS, DAY_WORDS = RING_HOURS * 3 // 2, RING_DAYS * 3
NEVER = -(1 << 30)  # an hour or day before all others, as a half word
_HALF = 32
_LOW = (1 << 32) - 1
FAR, MID, NEAR = 24, 16, 8  # rows ahead: place in the index, the view, what else it needs
FEW = 6  # hours by which a view is moved on instead of summed anew


@native_cached
def _mixed(key: Any) -> Any:
    return np.int64((key ^ (key >> np.uint64(32))) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(1))


@native_cached
def _find(index: Any, views: Any, key: Any) -> Any:
    """Place in the index of a key, or the empty one where it belongs; an entry is 32 bits of the hash and a row + 1."""
    mixed, mask = _mixed(key), len(index) - 1
    at, tag = (mixed >> 20) & mask, mixed & _LOW
    while True:
        entry = index[at]
        if entry == 0 or ((entry >> _HALF) & _LOW == tag and views[(entry & _LOW) - 1, KEY] == np.int64(key)):
            return at
        at = (at + 1) & mask


@native_cached
def _remove(index: Any, views: Any, at: Any) -> None:
    """Empty one place of the index and close the gap behind it (Knuth 6.4, algorithm R)."""
    hole, mask = at, len(index) - 1
    while True:
        at = (at + 1) & mask
        entry = index[at]
        if entry == 0:
            break
        home = (_mixed(np.uint64(views[(entry & _LOW) - 1, KEY])) >> 20) & mask
        if ((at - home) & mask) >= ((at - hole) & mask):
            index[hole] = entry
            hole = at
    index[hole] = 0


# fmt: off
@native_cached
def _clear(row: Any, hour: Any, day: Any, halves: Any, hours: Any, days: Any) -> None:
    """Move the rings of a row on, so that they have a place for the hour and its day."""
    if hour > halves[row, TOP_HOUR]:
        first = max(np.int64(halves[row, TOP_HOUR]) + 1, hour - RING_HOURS + 1)
        at = first % RING_HOURS
        for _ in range(first, hour + 1):
            hours[row, at, 0], hours[row, at, 1], hours[row, at, 2] = 0, 0, 0
            at = at + 1 if at + 1 < RING_HOURS else 0
        halves[row, TOP_HOUR] = hour
    if day > halves[row, TOP_DAY]:
        first = max(np.int64(halves[row, TOP_DAY]) + 1, day - RING_DAYS + 1)
        at = first % RING_DAYS
        for _ in range(first, day + 1):
            days[row, at, 0], days[row, at, 1], days[row, at, 2] = 0, 0, 0
            at = at + 1 if at + 1 < RING_DAYS else 0
        halves[row, TOP_DAY] = day


@native_cached
def _row(key: Any, hour: Any, day: Any, state: Any, free: Any, index: Any, views: Any, halves: Any) -> Any:
    """Row of an entity; -1 when there is no room for a new one."""
    at = _find(index, views, key)
    row = (index[at] & _LOW) - 1
    if row >= 0:
        return row
    if state[1] > 0:
        state[1] -= 1
        row = np.int64(free[state[1]])
        halves[row, TOP_HOUR], halves[row, TOP_DAY] = NEVER, NEVER
    elif state[0] < len(views):
        row = state[0]
        state[0] += 1
        halves[row, TOP_HOUR], halves[row, TOP_DAY] = hour, day  # memory never used is zero
    else:
        state[3] += 1
        return -1
    state[2] += 1
    index[at] = (_mixed(key) & _LOW) << _HALF | (row + 1)
    views[row, KEY] = np.int64(key)
    halves[row, AT_HOUR], halves[row, AT_DAY] = NEVER, NEVER
    return row


@native_cached
def _merge(keys: Any, counts: Any, hour: Any, by_hour: bool, by_day: bool, state: Any, free: Any, index: Any,
           views: Any, halves: Any, hours: Any, days: Any) -> None:
    """Add a bucket's rows; `state` is (rows ever used, rows in the free list, rows in use, turned away)."""
    day, n, mask = hour // DAY_HOURS, len(keys), len(index) - 1
    hour_at, day_at = hour % RING_HOURS, day % RING_DAYS
    for i in range(n):
        if i + FAR < n:
            prefetch(index, (_mixed(keys[i + FAR]) >> 20) & mask)
        if i + NEAR < n:
            ahead = max((index[(_mixed(keys[i + NEAR]) >> 20) & mask] & _LOW) - 1, 0)
            prefetch(views, ahead * VIEW_WORDS)
            prefetch(hours, ahead * HOUR_WORDS + hour_at * 3 // 2)
            prefetch(days, ahead * DAY_WORDS + day_at * 3)
        row = _row(keys[i], hour, day, state, free, index, views, halves)
        if row < 0:
            continue
        _clear(row, hour, day, halves, hours, days)
        if by_hour and hour > halves[row, TOP_HOUR] - RING_HOURS:
            for c in range(3):
                hours[row, hour_at, c] += counts[i, c]
        if by_day and day > halves[row, TOP_DAY] - RING_DAYS:
            days[row, day_at, 0] += counts[i, 3]
            days[row, day_at, 1] += (counts[i, 0] << _HALF) + counts[i, 2]
            days[row, day_at, 2] += counts[i, 4]
        if hour < halves[row, AT_HOUR]:
            halves[row, AT_HOUR] = NEVER
        if day < halves[row, AT_DAY]:
            halves[row, AT_DAY] = NEVER


@native_cached
def _day_view(row: Any, day: Any, views: Any, halves: Any, days: Any) -> None:
    """Sum the windows of whole days that end before `day`."""
    top = np.int64(halves[row, TOP_DAY])
    count, amount, mature, frauds = 0, 0, 0, 0
    first = max(day - WINDOW_DAYS - MATURE_DAYS, top - RING_DAYS + 1)
    at = first % RING_DAYS
    for d in range(first, min(day, top + 1)):
        attempts, declines = days[row, at, 1] >> _HALF, days[row, at, 1] & _LOW
        if d >= day - WINDOW_DAYS:
            count += attempts
            frauds += days[row, at, 2]
            amount += days[row, at, 0]
        if d < day - MATURE_DAYS:
            mature += attempts - declines
        at = at + 1 if at + 1 < RING_DAYS else 0
    views[row, AMOUNT] = amount
    halves[row, DAYS], halves[row, MATURE], halves[row, FRAUDS] = count, mature, max(frauds, 0)
    halves[row, AT_DAY] = day


@native_cached
def _hour_view(row: Any, hour: Any, halves: Any, hours: Any) -> None:
    """Sum the windows of hours that end before `hour`; from a view a few hours old only what came and what left."""
    top, known = np.int64(halves[row, TOP_HOUR]), np.int64(halves[row, AT_HOUR])
    attempts, new, declines = np.int64(0), np.int64(0), np.int64(0)
    first = max(hour - DAY_HOURS, top - RING_HOURS + 1)
    if known < hour <= known + FEW and top - RING_HOURS < known - DAY_HOURS:
        attempts, new = np.int64(halves[row, COUNT]), np.int64(halves[row, NEW])
        declines, first = np.int64(halves[row, DECLINES]), known
        for h in range(known - DAY_HOURS, min(hour - DAY_HOURS, top + 1)):
            at = h % RING_HOURS
            attempts -= hours[row, at, 0]
            new -= hours[row, at, 1]
            declines -= hours[row, at, 2]
    at = first % RING_HOURS
    for _ in range(first, min(hour, top + 1)):
        attempts += hours[row, at, 0]
        new += hours[row, at, 1]
        declines += hours[row, at, 2]
        at = at + 1 if at + 1 < RING_HOURS else 0
    halves[row, COUNT], halves[row, NEW], halves[row, DECLINES] = attempts, new, declines
    halves[row, AT_HOUR] = hour


@native_cached
def _look(keys: Any, clock_at: Any, out: Any, index: Any, views: Any, halves: Any, hours: Any,
          days: Any) -> None:
    n, mask = len(keys), len(index) - 1
    for i in range(-FAR, n):  # what lies before the first only asks for what is to come
        if i + FAR < n:
            prefetch(index, (_mixed(keys[i + FAR]) >> 20) & mask)
        if 0 <= i + MID < n:
            ahead = index[(_mixed(keys[i + MID]) >> 20) & mask]
            prefetch(views, max((ahead & _LOW) - 1, 0) * VIEW_WORDS)
        if 0 <= i + NEAR < n:
            ahead = max((index[(_mixed(keys[i + NEAR]) >> 20) & mask] & _LOW) - 1, 0)
            known = np.int64(halves[ahead, AT_HOUR])
            if known != (clock_at[i + NEAR] - SEEN_LAG) // HOUR and known > NEVER:
                prefetch(hours, ahead * HOUR_WORDS + known % RING_HOURS * 3 // 2)
                prefetch(hours, ahead * HOUR_WORDS + (known - DAY_HOURS) % RING_HOURS * 3 // 2)
        if i < 0:
            continue
        hour = (clock_at[i] - SEEN_LAG) // HOUR
        row = -1
        if keys[i] != 0 and hour > NEVER:
            row = (index[_find(index, views, keys[i])] & _LOW) - 1
        if row < 0:
            out[i, :] = np.nan
            continue
        if halves[row, AT_HOUR] != hour:
            _hour_view(row, hour, halves, hours)
            if halves[row, AT_DAY] != hour // DAY_HOURS:
                _day_view(row, hour // DAY_HOURS, views, halves, days)
        some = halves[row, COUNT] | halves[row, NEW] | halves[row, DECLINES]
        some |= halves[row, DAYS] | halves[row, MATURE] | halves[row, FRAUDS]
        if some == 0 and views[row, AMOUNT] == 0:
            out[i, :] = np.nan
            continue
        out[i, 0], out[i, 1], out[i, 2] = halves[row, COUNT], halves[row, NEW], halves[row, DECLINES]
        out[i, 3], out[i, 4] = halves[row, DAYS], views[row, AMOUNT]
        out[i, 5], out[i, 6] = halves[row, MATURE], halves[row, FRAUDS]


@native_cached
def _forget(state: Any, cursor: Any, limit: Any, day: Any, free: Any, index: Any, views: Any, halves: Any) -> int:
    """Free the rows among the next `limit` whose newest day is before `day`; return the new cursor."""
    if cursor >= state[0]:
        cursor = 0
    end = min(cursor + limit, state[0])
    for row in range(cursor, end):
        if views[row, KEY] != 0 and halves[row, TOP_DAY] < day:
            _remove(index, views, _find(index, views, np.uint64(views[row, KEY])))
            views[row, KEY] = 0
            free[state[1]] = row
            state[1] += 1
            state[2] -= 1
    return end
# fmt: on


def _reserved(words: int) -> I64:
    """Zeroed 64-bit words at the beginning of a large page; only those touched cost memory."""
    memory = mmap.mmap(-1, 8 * words + _HUGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NORESERVE)
    if hasattr(mmap, "MADV_HUGEPAGE") and 8 * words >= _HUGE:
        memory.madvise(mmap.MADV_HUGEPAGE)
    start = -np.frombuffer(memory, np.uint8).ctypes.data % _HUGE
    return np.frombuffer(memory, np.int64, words, start)


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
        self._index = _reserved(2 * capacity)
        self._views = _reserved(capacity * VIEW_WORDS).reshape(capacity, VIEW_WORDS)
        self._halves: I32 = self._views.view(np.int32)
        self._hours: I32 = _reserved(capacity * HOUR_WORDS).view(np.int32).reshape(capacity, RING_HOURS, 3)
        self._days = _reserved(capacity * DAY_WORDS).reshape(capacity, RING_DAYS, 3)

    def __len__(self) -> int:
        return int(self._state[2])

    @property
    def turned_away(self) -> int:
        """Rows that found no room."""
        return int(self._state[3])

    @property
    def nbytes(self) -> int:
        """Bytes of the rows ever used, and of the index."""
        return int(self._state[0]) * 8 * (VIEW_WORDS + HOUR_WORDS + DAY_WORDS) + self._index.nbytes

    def merge(self, keys: U64, counts: I64, hour: int, *, by_hour: bool, by_day: bool) -> None:
        """Add the rows of a bucket, keys (m,) and counters (m, 5), to the ring of hours, of days, or both."""
        _merge(keys, counts, hour, by_hour, by_day, self._state, self._free, self._index, self._views,
               self._halves, self._hours, self._days)  # fmt: skip

    def look(self, keys: U64, clock_at: I64) -> F64:
        """Windows as seen at each clock, (n, 7) in the order of `WINDOWS`; NaN where nothing is seen."""
        out = np.empty((len(keys), WIDTH), np.float64)
        _look(keys, clock_at, out, self._index, self._views, self._halves, self._hours, self._days)
        return out

    def forget(self, day: int, limit: int = _SCAN) -> None:
        """Look at `limit` entities and forget those that did nothing since `day`."""
        self._cursor = _forget(
            self._state, self._cursor, limit, day, self._free, self._index, self._views, self._halves
        )
