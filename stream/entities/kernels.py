"""Numba loops behind `takeover.Takeover`: a hash index of keys, and a list of events, newest first, per key and group.

`state` holds: rows ever used, first free row, events ever used, first free event, rows held, events held, the row at
which forgetting goes on, and the time of the newest event. Rows and events are numbered from 1, so that 0 is none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numba import njit

from stream.events import F64, I64, U8, U64
from stream.state.prefetch import prefetch

GROUPS = 5
LOGIN, ENROLMENT, CREDENTIAL, CONTACT, REISSUE = range(GROUPS)
DEPTH = 512  # events kept of one key and group
LAG_MS = 5_000
WINDOW_MS = 30 * 86_400_000
DAY_MS = 86_400_000
COUNTED = 64
ROWS_USED, ROW_FREE, EVENTS_USED, EVENT_FREE, ROWS_HELD, EVENTS_HELD, CURSOR, NEWEST = range(8)
CARD_SALT = np.uint64(0x9E3779B97F4A7C15)  # a card's events stand apart from a customer's of the same key

# One cache line. `newest` spares the visit of the lists whose devices are not asked for (groups from CREDENTIAL on).
ROW = np.dtype(
    [("key", "u8"), ("newest", "i8", 3), ("head", "i4", GROUPS), ("count", "u2", GROUPS), ("unused", "u2")], align=True
)
ROW_WORDS = ROW.itemsize // 8
FAR, NEAR = 16, 8  # transactions ahead: place in the index (two to a word), then the row
EVENT = np.dtype([("time", "i8"), ("device", "u8"), ("next", "i4"), ("unused", "i4")], align=True)
EVENT_WORDS = EVENT.itemsize // 8

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _native(function: _Function) -> _Function:
    try:
        compiled: _Function = njit(cache=True, nogil=True, _nrt=False)(function)
    except RuntimeError:  # no folder can be written: every process compiles anew
        compiled = njit(nogil=True, _nrt=False)(function)
    return compiled


@_native
def _home(index: Any, key: Any) -> Any:
    mixed = (key ^ (key >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return np.int64((mixed >> np.uint64(16)) & np.uint64(len(index) - 1))


@_native
def _find(index: Any, rows: Any, key: Any) -> Any:
    """The row of a key, 0 when there is none."""
    mask, at = len(index) - 1, _home(index, key)
    while index[at] != 0:
        row = np.int64(index[at])
        if rows[row - 1].key == key:
            return row
        at = (at + 1) & mask
    return np.int64(0)


@_native
def _row(index: Any, rows: Any, key: Any, state: I64) -> Any:
    """The row of a key, made when need be; 0 when there is no room."""
    row = _find(index, rows, key)
    if row:
        return row
    if state[ROW_FREE]:
        row = state[ROW_FREE]
        state[ROW_FREE] = rows[row - 1].head[0]
        rows[row - 1].head[0] = 0
    elif state[ROWS_USED] < len(rows):
        state[ROWS_USED] += 1
        row = state[ROWS_USED]
    else:
        return np.int64(0)
    rows[row - 1].key = key
    mask, at = len(index) - 1, _home(index, key)
    while index[at] != 0:
        at = (at + 1) & mask
    index[at] = row
    state[ROWS_HELD] += 1
    return row


@_native
def _remove_row(index: Any, rows: Any, row: Any, state: I64) -> None:
    """Take an empty row out of the index (linear probing, later entries shifted back) and keep it for reuse."""
    mask = len(index) - 1
    hole = _home(index, rows[row - 1].key)
    while index[hole] != row:
        hole = (hole + 1) & mask
    at = (hole + 1) & mask
    while index[at] != 0:
        home = _home(index, rows[np.int64(index[at]) - 1].key)
        if ((at - home) & mask) >= ((at - hole) & mask):
            index[hole] = index[at]
            hole = at
        at = (at + 1) & mask
    index[hole] = 0
    rows[row - 1].key = 0
    rows[row - 1].head[0] = state[ROW_FREE]
    state[ROW_FREE] = row
    state[ROWS_HELD] -= 1


@_native
def _free_from(events: Any, first: Any, state: I64) -> Any:
    """Keep a list's rest for reuse; return its length."""
    freed, event = 0, np.int64(first)
    while event:
        after = np.int64(events[event - 1].next)
        events[event - 1].next = state[EVENT_FREE]
        state[EVENT_FREE] = event
        event = after
        freed += 1
    state[EVENTS_HELD] -= freed
    return freed


@_native
def _set_head(rows: Any, events: Any, row: Any, group: Any, event: Any) -> None:
    rows[row - 1].head[group] = event
    if group >= CREDENTIAL:
        rows[row - 1].newest[group - CREDENTIAL] = events[event - 1].time if event else 0


@_native
def _insert(rows: Any, events: Any, row: Any, group: Any, time: Any, device: Any, state: I64) -> int:
    """Put one event into its list: 0 new, 1 known or too deep, 2 no room."""
    before, event, passed = np.int64(0), np.int64(rows[row - 1].head[group]), 0
    while event and events[event - 1].time > time:
        before, event = event, np.int64(events[event - 1].next)
        passed += 1
    if event and events[event - 1].time == time:
        events[event - 1].device = max(events[event - 1].device, device)
        return 1
    if passed >= DEPTH:
        return 1
    if state[EVENT_FREE]:
        fresh = state[EVENT_FREE]
        state[EVENT_FREE] = events[fresh - 1].next
    elif state[EVENTS_USED] < len(events):
        state[EVENTS_USED] += 1
        fresh = state[EVENTS_USED]
    else:
        return 2
    events[fresh - 1].time = time
    events[fresh - 1].device = device
    events[fresh - 1].next = event
    if before:
        events[before - 1].next = fresh
    else:
        _set_head(rows, events, row, group, fresh)
    state[EVENTS_HELD] += 1
    rows[row - 1].count[group] += 1
    if rows[row - 1].count[group] > DEPTH:
        last = np.int64(fresh)
        for _ in range(DEPTH - 1 - passed):
            last = np.int64(events[last - 1].next)
        rows[row - 1].count[group] -= _free_from(events, events[last - 1].next, state)
        events[last - 1].next = 0
    return 0


@_native
def insert_all(
    index: Any, rows: Any, events: Any, state: I64, keys: U64, group: U8, time: I64, device: U64
) -> tuple[int, int, int]:
    """Insert events; return how many were new, known or too deep, and refused for want of room."""
    new, known, refused = 0, 0, 0
    for i in range(len(keys)):
        row = _row(index, rows, keys[i], state)
        told = 2
        if row:
            told = _insert(rows, events, row, np.int64(group[i]), time[i], device[i], state)
        if told == 0:
            new += 1
            state[NEWEST] = max(state[NEWEST], time[i])
        elif told == 1:
            known += 1
        else:
            refused += 1
    return new, known, refused


@_native
def _number(events: Any, first: Any, begin: Any) -> int:
    """Events from one on that are not before `begin`, at most `COUNTED`."""
    number, event = 0, np.int64(first)
    while event and events[event - 1].time >= begin and number < COUNTED:
        number += 1
        event = np.int64(events[event - 1].next)
    return number


@_native
def _fill(rows: Any, events: Any, row: Any, now: Any, device: Any, out: F64) -> None:
    """Merge what one row knows into the columns of one transaction."""
    until = now - LAG_MS
    for group in range(GROUPS):
        event = np.int64(rows[row - 1].head[group])
        if event == 0:
            continue
        if group >= CREDENTIAL and rows[row - 1].newest[group - CREDENTIAL] <= until:
            time = rows[row - 1].newest[group - CREDENTIAL]
        else:
            while event and events[event - 1].time > until:
                event = np.int64(events[event - 1].next)
            if event == 0:
                continue
            time = events[event - 1].time
        if now - time > WINDOW_MS:
            continue
        if group == LOGIN:
            out[5] = min(_number(events, event, now - DAY_MS) + (0.0 if np.isnan(out[5]) else out[5]), COUNTED)
        since = np.float64(now - time)
        if since >= out[group]:  # false for NaN: nothing was known before
            continue
        out[group] = since
        if group <= ENROLMENT:
            known = device != 0 and events[event - 1].device != 0
            out[6 + group] = np.float64(events[event - 1].device != device) if known else np.nan


@_native
def look_all(
    index: Any,
    rows: Any,
    events: Any,
    state: I64,
    customers: U64,
    cards: U64,
    now: I64,
    device: U64,
    found: I64,
    out: F64,
) -> None:
    """Fill the columns of transactions. Rows and lists are fetched ahead: waiting for memory is what this costs.

    `found` (2, n) is room for the rows of the customers and of the cards.
    """
    n = len(now)
    out[:] = np.nan
    for i in range(-FAR, n):  # what lies before the first only asks for what is to come
        if i + FAR < n:
            prefetch(index, _home(index, customers[i + FAR]) >> 1)
            prefetch(index, _home(index, cards[i + FAR] ^ CARD_SALT) >> 1)
        if 0 <= i + NEAR < n:
            prefetch(rows, max(index[_home(index, customers[i + NEAR])] - 1, 0) * ROW_WORDS)
            prefetch(rows, max(index[_home(index, cards[i + NEAR] ^ CARD_SALT)] - 1, 0) * ROW_WORDS)
        if i < 0:
            continue
        found[0, i] = _find(index, rows, customers[i]) if customers[i] != 0 else 0
        found[1, i] = _find(index, rows, cards[i] ^ CARD_SALT) if cards[i] != 0 else 0
    for i in range(n):
        for which in range(2):
            if found[which, i]:
                for group in range(CREDENTIAL):  # of the others, the row itself tells the newest
                    first = np.int64(rows[found[which, i] - 1].head[group])
                    prefetch(events, (first - 1) * EVENT_WORDS if first else 0)
    for i in range(n):
        for which in range(2):
            if found[which, i]:
                _fill(rows, events, found[which, i], now[i], device[i], out[i])


@_native
def forget(index: Any, rows: Any, events: Any, state: I64, before: int, limit: int) -> int:
    """Cut the tails of the next `limit` rows; rows left empty go. Returns how many events went."""
    freed, used = 0, state[ROWS_USED]
    for _ in range(min(limit, used)):
        state[CURSOR] = state[CURSOR] % used + 1
        row = state[CURSOR]
        if rows[row - 1].key == 0:
            continue
        left = 0
        for group in range(GROUPS):
            previous, event, passed = np.int64(0), np.int64(rows[row - 1].head[group]), 0
            while event and events[event - 1].time >= before:
                previous, event = event, np.int64(events[event - 1].next)
                passed += 1
            if event:
                if previous:
                    events[previous - 1].next = 0
                else:
                    _set_head(rows, events, row, group, np.int64(0))
                freed += _free_from(events, event, state)
                rows[row - 1].count[group] = passed
            left += passed
        if left == 0:
            _remove_row(index, rows, row, state)
    return freed
