"""Times as feeds write them (ISO 8601, epoch numbers) into milliseconds UTC, a whole column at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from stream.codec.native import native_cached
from stream.events import I32, I64, U8

INVALID = np.iinfo(np.int64).min  # no time, or none that can be read
NO_OFFSET = -32768
EARLIEST, LATEST = -62_135_596_800_000, 253_402_300_799_999  # years 1 to 9999, ms
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@native_cached
def _digits(data: U8, start: int, count: int, end: int) -> int:
    if start + count > end:
        return -1
    value = 0
    for i in range(start, start + count):
        digit = int(data[i]) - 48
        if digit < 0 or digit > 9:
            return -1
        value = value * 10 + digit
    return value


@native_cached
def _date_ms(data: U8, at: int, end: int) -> int:
    """Midnight of ``YYYY-MM-DD``, by the civil-calendar arithmetic of H. Hinnant; INVALID when it is no date."""
    year, month, day = _digits(data, at, 4, end), _digits(data, at + 5, 2, end), _digits(data, at + 8, 2, end)
    if year < 1 or month < 1 or month > 12 or day < 1 or data[at + 4] != 45 or data[at + 7] != 45:
        return INVALID
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    longest = 30 + (month + month // 8) % 2 if month != 2 else 28 + leap
    if day > longest:
        return INVALID
    y = year - (month <= 2)
    era = y // 400
    yoe = y - era * 400
    doy = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    doe = yoe * 365 + yoe // 4 - yoe // 100 + doy
    return (era * 146_097 + doe - 719_468) * 86_400_000


@native_cached
def _seconds_ms(data: U8, p: int, end: int) -> tuple[int, int]:
    """``:SS[.fff]`` at `p`, if there: its ms and the position behind it; position -1 when it is malformed."""
    if p >= end or data[p] != 58:
        return 0, p
    second = _digits(data, p + 1, 2, end)
    if second < 0 or second > 60:
        return 0, -1
    ms, p = second * 1000, p + 3
    if p < end and (data[p] == 46 or data[p] == 44):
        p, scale, first = p + 1, 100, p + 1
        while p < end and 48 <= data[p] <= 57:
            ms += (int(data[p]) - 48) * scale
            scale //= 10
            p += 1
        if p == first:
            return 0, -1
    return ms, p


@native_cached
def _offset_minutes(data: U8, p: int, end: int) -> int:
    """``Z``, ``+HH``, ``+HHMM`` or ``+HH:MM`` from `p` to `end`, as minutes; NO_OFFSET when it is malformed."""
    sign = int(data[p])
    if sign == 90 or sign == 122:  # noqa: PLR1714  a set costs numba an allocation
        return 0 if p + 1 == end else NO_OFFSET
    hours, minutes = _digits(data, p + 1, 2, end), 0
    p += 3
    if p < end:
        p += data[p] == 58
        minutes = _digits(data, p, 2, end)
        p += 2
    if (sign != 43 and sign != 45) or hours < 0 or hours > 23 or minutes < 0 or minutes > 59 or p != end:  # noqa: PLR1714
        return NO_OFFSET
    return (hours * 60 + minutes) * (44 - sign)


@native_cached
def parse_iso(data: U8, at: int, end: int) -> tuple[int, int]:
    """One ``YYYY-MM-DD[T| ]HH:MM[:SS[.f]][Z|+HH[[:]MM]]`` between `at` and `end`: ms UTC and its offset, minutes."""
    day = _date_ms(data, at, end)
    p = at + 10
    if day == INVALID or p == end:
        return day, NO_OFFSET
    hour, minute = _digits(data, p + 1, 2, end), _digits(data, p + 4, 2, end)
    if data[p] not in (84, 116, 32) or hour < 0 or hour > 23 or minute < 0 or minute > 59 or data[p + 3] != 58:
        return INVALID, NO_OFFSET
    ms, p = _seconds_ms(data, p + 6, end)
    if p < 0:
        return INVALID, NO_OFFSET
    offset = 0 if p == end else _offset_minutes(data, p, end)
    if offset == NO_OFFSET:
        return INVALID, NO_OFFSET
    return day + ms + (hour * 60 + minute - offset) * 60_000, offset if offset else NO_OFFSET


@native_cached
def _parse_joined(data: U8, out: I64, offsets: I32) -> int:
    """Parse each NUL-separated piece; return how many pieces there were."""
    piece, start, n = 0, 0, len(data)
    for end in range(n + 1):
        if end < n and data[end] != 0:
            continue
        if piece == len(out):
            return piece + 1
        if end == start:
            out[piece], offsets[piece] = INVALID, NO_OFFSET
        else:
            out[piece], offsets[piece] = parse_iso(data, start, end)
        piece += 1
        start = end + 1
    return piece


def epoch_ms(number: float) -> int:
    """Milliseconds from an epoch number in s, ms, µs or ns, told apart by its size; INVALID outside the years 1-9999.

    Below 1e11 in size it is seconds (until the year 5138); so milliseconds before March 1973 are not told from those.
    """
    size = abs(number)
    if not size < 1e21:  # also NaN
        return INVALID
    scale = 1000 if size < 1e11 else 1
    divisor = 1 if size < 1e14 else 1000 if size < 1e17 else 1_000_000
    value = number * scale // divisor if isinstance(number, int) else math.floor(number * scale / divisor)
    return value if EARLIEST <= value <= LATEST else INVALID


def parse_time(value: Any) -> tuple[int, int]:
    """Parse one time of any accepted form; (INVALID, NO_OFFSET) when it is none. The slow, complete way."""
    if isinstance(value, bool) or value is None:
        return INVALID, NO_OFFSET
    if isinstance(value, int | float):
        return epoch_ms(value), NO_OFFSET
    text = str(value).strip()[:64]
    try:
        return epoch_ms(int(text) if text.lstrip("+-").isdecimal() and len(text) > 8 else float(text)), NO_OFFSET
    except ValueError:
        pass  # not a number: read it as a date below
    try:
        moment = datetime.fromisoformat(text.upper())
        offset = moment.utcoffset()
        aware = moment if offset is not None else moment.replace(tzinfo=UTC)
        elapsed = aware - _EPOCH
    except (ValueError, OverflowError):
        return INVALID, NO_OFFSET
    minutes = 0 if offset is None else round(offset.total_seconds() / 60)
    ms = (elapsed.days * 86_400 + elapsed.seconds) * 1000 + elapsed.microseconds // 1000
    return ms, minutes or NO_OFFSET


def time_column(values: Sequence[str | float | None]) -> tuple[I64, I32]:
    """Parse a column of times.

    Returns
    -------
    int64 (n,)
        Milliseconds since the epoch, UTC; `INVALID` for None and for what is no time. Without an offset it is UTC.
    int32 (n,)
        The written offset from UTC in minutes; `NO_OFFSET` without one, with ``Z`` and with ``+00:00``.
    """
    n = len(values)
    out, offsets = np.full(n, INVALID, np.int64), np.full(n, NO_OFFSET, np.int32)
    if not n:
        return out, offsets
    texts = [value if type(value) is str else "" for value in values]
    joined = "\0".join(texts)
    if not joined.isascii() or joined.count("\0") != n - 1:  # one odd text must not change how the others are read
        joined = "\0".join(text if text.isascii() and "\0" not in text else "" for text in texts)
    _parse_joined(np.frombuffer(joined.encode(), np.uint8), out, offsets)
    for i in np.flatnonzero(out == INVALID).tolist():
        if values[i] is not None and values[i] != "":
            out[i], offsets[i] = parse_time(values[i])
    return out, offsets
