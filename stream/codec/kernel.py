"""The compiled pass of the fast lane: from the bytes of plain messages to their fields as numbers.

A message is taken only when it is one flat JSON object of plain ASCII strings, plain numbers and known words that has
every required field once. Anything else is declined, whatever it is; nothing is judged here.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable

import msgspec
import numpy as np

from stream.codec import hashing, times
from stream.codec import lexing as lex
from stream.codec.lexicon import FIELD_NAMES, NAME_TAG, WORD_TAG
from stream.codec.native import native, native_cached
from stream.codec.parsed import ABSENT, KEYS, NUMBERS, TIMES, WORDS, Parsed
from stream.events import I64, U8, U64, Transaction

CARD_MAX = 64  # bytes of a card id
TAKEN, DECLINED, NEW_WORD = 0, 1, 2
_NO, _NO_WORD = -1, -2  # instead of a position
_TEXT, _KEY, _CARD, _TIME, _NUMBER, _AMOUNT, _WORD, _CODE = range(8)
_REQUIRED = sum(field.required << i for i, field in enumerate(msgspec.structs.fields(Transaction)))

# One array of 64 bits holds all that is read, a row per field: numba counts references to each array it passes on.
ROWS = (*NUMBERS, *TIMES, *KEYS, *WORDS, "written", "card_start", "card_end")
_EVENT_TIME, _WRITTEN = ROWS.index("event_time"), ROWS.index("written")
_CARD_START, _CARD_END = ROWS.index("card_start"), ROWS.index("card_end")

_epoch_ms = native(times.epoch_ms)
_parse_iso, _hash, _string_end, _number = times.parse_iso, hashing.hash_span, lex.string_end, lex.number_at


def _plan() -> I64:
    """What to do with each field and its row: int64 (fields, 2)."""
    kinds = {"card_id": _CARD, "amount": _AMOUNT, "mcc": _CODE, "currency": _WORD}
    for kind, names in ((_KEY, KEYS), (_TIME, TIMES), (_NUMBER, NUMBERS), (_WORD, WORDS)):
        kinds = dict.fromkeys(names, kind) | kinds
    rows = {name: row for row, name in enumerate(ROWS)} | {"currency": ROWS.index("rate")}
    return np.array([(kinds.get(name, _TEXT), rows.get(name, 0)) for name in FIELD_NAMES], np.int64)


def _blank() -> I64:
    """What stands for a message without any field, int64 (rows, 1)."""
    nan = np.full(len(NUMBERS), np.nan).view(np.int64)
    given = [*nan, *[times.INVALID] * len(TIMES), *[0] * len(KEYS), *ABSENT, times.NO_OFFSET, 0, 0]
    return np.array(given, np.int64)[:, None]


_PLAN, _BLANK = _plan(), _blank()


def blank(n: int) -> I64:
    """n messages without any field, int64 (rows, n), for the pass to fill."""
    out = np.empty((len(ROWS), n), np.int64)
    out[:] = _BLANK
    return out


def parsed_of(out: I64) -> Parsed:
    """What the pass has read; shares memory with `out`."""
    numbers, moments, keys, codes, rest = np.split(out, np.cumsum([len(NUMBERS), len(TIMES), len(KEYS), len(WORDS)]))
    return Parsed(
        numbers=numbers.view(np.float64),
        times=moments,
        written=rest[0].astype(np.int32),
        keys=keys.view(np.uint64),
        codes=codes.astype(np.int32),
    )


@native
def _blanks(data: U8, p: int, end: int) -> int:
    while p < end and data[p] <= 32 and (data[p] == 32 or data[p] == 10 or data[p] == 13 or data[p] == 9):
        p += 1
    return p


@native
def _text_end(data: U8, p: int, end: int) -> int:
    stop = _string_end(data, p)
    return stop if stop < end else _NO


@native
def _literal(data: U8, p: int, end: int) -> int:
    """Position behind ``null``, ``true`` or ``false``."""
    null = data[p] == 110 and data[p + 1] == 117 and data[p + 2] == 108 and data[p + 3] == 108
    true = data[p] == 116 and data[p + 1] == 114 and data[p + 2] == 117 and data[p + 3] == 101
    false = data[p] == 102 and data[p + 1] == 97 and data[p + 2] == 108 and data[p + 3] == 115 and data[p + 4] == 101
    stop = p + 4 + false
    return stop if (null or true or false) and stop <= end else _NO


@native
def _pass_over(data: U8, p: int, end: int) -> int:
    """Position behind the plain value of a field that nobody asked for."""
    if data[p] == 34:
        stop = _text_end(data, p + 1, end)
        return stop if stop < 0 else stop + 1
    if data[p] >= 97:
        return _literal(data, p, end)
    stop = _number(data, p)[2]
    return stop if stop <= end else _NO


@native
def _take_text(data: U8, table: U64, out: I64, span: tuple[int, int], at: tuple[int, int, int]) -> int:
    """Write the string at `span` into message ``at[1]``, field ``at[2]``; the position behind, `_NO` or `_NO_WORD`."""
    (start, end), (_, i, field) = span, at
    kind, row = _PLAN[field, 0], _PLAN[field, 1]
    good = kind != _NUMBER
    if kind >= _WORD:
        slot = lex.find(table, data, start, end, WORD_TAG + field) if end - start <= lex.WORD_MAX else lex.UNKNOWN
        if slot == lex.UNKNOWN:
            return _NO_WORD
        out[row, i] = np.int64(table[slot, 4])
    elif kind == _KEY:
        out[row, i] = np.int64(_hash(data, start, end))
    elif kind == _TIME:
        moment, offset = _parse_iso(data, start, end)
        out[row, i] = moment
        good = moment != times.INVALID
        if row == _EVENT_TIME:
            out[_WRITTEN, i] = offset
    elif kind == _AMOUNT:
        value, _, stop = _number(data, start)
        out[row, i] = lex.bits(value)
        good = stop == end
    elif kind == _CARD:
        out[_CARD_START, i], out[_CARD_END, i] = start, end
        good = end - start <= CARD_MAX
    return end + 1 if good else _NO


@native
def _take_number(data: U8, out: I64, p: int, at: tuple[int, int, int]) -> int:
    """Write the number at `p`; the position behind it, or `_NO`."""
    end, i, field = at
    kind, row = _PLAN[field, 0], _PLAN[field, 1]
    value, whole, stop = _number(data, p)
    good = 0 <= stop <= end
    if kind == _NUMBER or kind == _AMOUNT:  # noqa: PLR1714, SIM109  a set costs numba an allocation
        out[row, i] = lex.bits(value)
    elif kind == _TIME and whole and good:
        out[row, i] = _epoch_ms(int(value))
        good = out[row, i] != times.INVALID
    elif kind == _CODE and whole and 0 <= value <= 9999:
        out[row, i] = int(value)
    else:
        good = False
    return stop if good else _NO


@native
def _take(data: U8, table: U64, out: I64, p: int, at: tuple[int, int, int]) -> int:
    """Read the value at `p` for message ``at[1]``, which ends at ``at[0]``, into its field ``at[2]``."""
    if data[p] == 34:
        stop = _text_end(data, p + 1, at[0])
        return stop if stop < 0 else _take_text(data, table, out, (p + 1, stop), at)
    if data[p] == 110:
        return _NO if _REQUIRED >> at[2] & 1 else _literal(data, p, at[0])
    return _take_number(data, out, p, at)


@native
def _message(data: U8, table: U64, out: I64, span: tuple[int, int], i: int) -> int:
    """Scan message i at `span`; what lies behind is another's, so nothing may be taken from there."""
    p, end = span
    p = _blanks(data, p, end)
    seen, mark = 0, 123
    while data[p] == mark:
        p = _blanks(data, p + 1, end)
        start, stop = p + 1, _text_end(data, p + 1, end)
        if data[p] != 34 or stop < 0:
            return DECLINED
        slot = lex.find(table, data, start, stop, NAME_TAG) if stop - start <= lex.WORD_MAX else lex.UNKNOWN
        field = -1 if slot == lex.UNKNOWN else int(np.int64(table[slot, 4]))
        p = _blanks(data, stop + 1, end)
        if data[p] != 58 or (field >= 0 and seen >> field & 1):
            return DECLINED
        p = _blanks(data, p + 1, end)
        if field >= 0:
            seen |= 1 << field
            p = _take(data, table, out, p, (end, i, field))
        else:
            p = _pass_over(data, p, end)
        if p < 0:
            return NEW_WORD if p == _NO_WORD else DECLINED
        p = _blanks(data, p, end)
        mark = 44
    whole = data[p] == 125 and _blanks(data, p + 1, end) == end
    return TAKEN if whole and seen & _REQUIRED == _REQUIRED else DECLINED


@native
def _copy_cards(data: U8, out: I64, status: U8, cards: U8) -> int:
    size = 0
    for i in range(len(status)):
        if status[i] == TAKEN:
            for p in range(out[_CARD_START, i], out[_CARD_END, i]):
                cards[size] = data[p]
                size += 1
        cards[size] = 0
        size += 1
    return size


def compiled() -> Callable[[U8, I64, U64, I64, U8, U8], int]:
    """The pass over the messages in ``data`` that end at ``ends``.

    The callable takes ``data, ends, table, out, status, cards``. It fills ``out`` and ``status``, writes the card id of
    each taken message and a NUL for each to ``cards``, which has room for `CARD_MAX` + 1 each, and returns how many
    bytes that were. Numba renews its cache for a changed file or closure; so a digest of the other files and
    of the layout that they decide is closed over.
    """
    files = "".join(inspect.getsource(module) for module in (hashing, lex, times))
    layout = repr((ROWS, _PLAN.tolist(), _REQUIRED, NAME_TAG, WORD_TAG))
    sources = hashlib.sha256((files + layout).encode()).hexdigest()

    @native_cached
    def scan(data: U8, ends: I64, table: U64, out: I64, status: U8, cards: U8) -> int:
        start = 0
        for i in range(len(ends) if sources else 0):
            status[i] = _message(data, table, out, (start, ends[i]), i)
            start = ends[i]
        return _copy_cards(data, out, status, cards)

    return scan
