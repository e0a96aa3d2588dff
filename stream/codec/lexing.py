"""Compiled readers of plain JSON tokens, eight bytes at a time; what is not plain is left to the careful decoder.

Every reader may look up to `PAD` bytes beyond the end of its data: the caller puts zeros there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from stream.codec.native import native_cached
from stream.events import U8, U64

PAD = 32
WORD_MAX = 24  # bytes of a word or key that `words_at` tells apart
SLOTS = 4096  # of a table of words, see `lexicon`
NO_NUMBER, UNKNOWN = -1, -2

_ONES, _TOPS = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_BLANKS, _QUOTES, _SLASHES = np.uint64(0x2020202020202020), np.uint64(0x2222222222222222), np.uint64(0x5C5C5C5C5C5C5C5C)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_DIGITS = 18  # that many never overflow
_EXACT = 1 << 53  # integers up to it are floats without rounding
_POWERS = np.array([float(10**i) for i in range(23)])  # all of them exact


@intrinsic
def _load(_context: Any, data: Any, at: Any) -> Any:
    """Eight bytes of `data` from position `at`, the first one lowest, on little-endian machines."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, args[0])
        word = builder.bitcast(builder.gep(array.data, [args[1]]), ir.IntType(64).as_pointer())
        return builder.load(word, align=1)

    return types.uint64(data, types.intp), emit


@intrinsic
def _trailing_zeros(_context: Any, word: Any) -> Any:
    def emit(_target: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), emit


@intrinsic
def bits(_context: Any, value: Any) -> Any:
    """The 64 bits of a float as an integer."""

    def emit(_target: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(64))

    return types.int64(types.float64), emit


@native_cached
def string_end(data: U8, p: int) -> int:
    """Where the string from `p` is closed by its quote; -1 when an escape, a control or non-ASCII byte comes first."""
    hits = _ends(_load(data, p))
    while not hits:
        p += 8
        hits = _ends(_load(data, p))
    p += _trailing_zeros(hits) >> 3
    return p if data[p] == 34 else -1


@native_cached
def _ends(word: np.uint64) -> np.uint64:
    """Mark the bytes that end a plain string, by the carry trick of A. Mycroft; right for the lowest mark, if any."""
    quote, slash = word ^ _QUOTES, word ^ _SLASHES
    return (((quote - _ONES) & ~quote) | ((slash - _ONES) & ~slash) | ((word - _BLANKS) & ~word) | word) & _TOPS


@native_cached
def words_at(data: U8, start: int, end: int) -> tuple[np.uint64, np.uint64, np.uint64]:
    """Up to `WORD_MAX` bytes as three numbers, filled up with zeros."""
    size = end - start
    zero = np.uint64(0)
    first = _load(data, start)
    if size <= 8:
        return first & _below(size), zero, zero
    second = _load(data, start + 8)
    if size <= 16:
        return first, second & _below(size - 8), zero
    return first, second, _load(data, start + 16) & _below(size - 16)


@native_cached
def _below(size: int) -> np.uint64:
    """Mask of the lowest `size` bytes, 0 to 8."""
    return np.uint64(0) if size == 0 else _ALL >> np.uint64(64 - 8 * size)


@native_cached
def number_at(data: U8, p: int) -> tuple[float, bool, int]:
    """Read a JSON number of at most 53 bits and a decimal scale of at most 22: exact by W. D. Clinger's fast path.

    Returns
    -------
    float, bool, int
        The value, whether it is written as an integer, and the position behind it; `NO_NUMBER` for any other.
    """
    negative = data[p] == 45
    p += negative
    first = p
    p, mantissa = _digits(data, p, 0)
    digits, scale, whole = p - first, 0, True
    if digits == 0 or (digits > 1 and data[first] == 48):
        return 0.0, False, NO_NUMBER
    if data[p] == 46:
        first, whole = p + 1, False
        p, mantissa = _digits(data, first, mantissa)
        if p == first:
            return 0.0, False, NO_NUMBER
        scale, digits = first - p, digits + p - first
    if data[p] | 32 == 101:
        exponent, p = _exponent(data, p + 1)
        if p < 0:
            return 0.0, False, NO_NUMBER
        scale, whole = scale + exponent, False
    if digits > _DIGITS or mantissa > _EXACT or (negative and mantissa == 0) or abs(scale) > 22:
        return 0.0, False, NO_NUMBER
    value = float(mantissa)
    value = value * _POWERS[scale] if scale > 0 else value / _POWERS[-scale]
    return -value if negative else value, whole, p


@native_cached
def _digits(data: U8, p: int, value: int) -> tuple[int, int]:
    """Read on a decimal number `value`; it wraps around beyond `_DIGITS`."""
    while 48 <= data[p] <= 57:
        value = value * 10 + int(data[p]) - 48
        p += 1
    return p, value


@native_cached
def _exponent(data: U8, p: int) -> tuple[int, int]:
    sign = -1 if data[p] == 45 else 1
    p += data[p] == 45 or data[p] == 43
    first = p
    p, value = _digits(data, p, 0)
    return sign * value, p if first < p <= first + 3 else NO_NUMBER


@native_cached
def _first_slot(words: tuple[np.uint64, np.uint64, np.uint64], tag: int) -> int:
    mixed = (words[0] ^ np.uint64(tag)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(29)) ^ words[1]) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(32)) ^ words[2]) * np.uint64(0x94D049BB133111EB)
    return int(np.int64(mixed >> np.uint64(52)))


@native_cached
def find(table: U64, data: U8, start: int, end: int, tag: int) -> int:
    """Row, in the table, of the at most `WORD_MAX` bytes from `start` to `end`; `UNKNOWN` when it lacks them."""
    words = words_at(data, start, end)
    slot = _first_slot(words, tag)
    while table[slot, 3]:
        same = table[slot, 0] == words[0] and table[slot, 1] == words[1] and table[slot, 2] == words[2]
        if same and table[slot, 3] == np.uint64(tag):
            return slot
        slot = (slot + 1) & (SLOTS - 1)
    return UNKNOWN


@native_cached
def insert(table: U64, data: U8, tag: int) -> int:
    """Give the bytes, `PAD` zeros behind them, a row of the table."""
    words = words_at(data, 0, len(data) - PAD)
    slot = _first_slot(words, tag)
    while table[slot, 3]:
        slot = (slot + 1) & (SLOTS - 1)
    table[slot, 0], table[slot, 1], table[slot, 2] = words
    table[slot, 3] = np.uint64(tag)
    return slot
