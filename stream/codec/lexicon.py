"""Field names and words seen in messages, as a table that compiled code looks them up in, byte for byte.

A word gets in when the careful way has decoded it once; what it means is asked of `words` and `money` alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from stream.codec.lexing import PAD, SLOTS, WORD_MAX, insert
from stream.codec.money import Rates
from stream.codec.parsed import WORDS
from stream.codec.words import Memo
from stream.events import U64, Transaction

FIELD_NAMES: tuple[str, ...] = Transaction.__struct_fields__
NAME_TAG = 1  # of a field's name; a word's tag is WORD_TAG and its field's position
WORD_TAG = 2
_WORDS_MAX = SLOTS // 2  # then the table is begun anew: hostile words cannot keep the others out for long


def _add(table: U64, text: str, tag: int, meaning: int | float) -> None:
    slot = insert(table, np.frombuffer(text.encode() + bytes(PAD), np.uint8), tag)
    table[slot].view(np.float64 if isinstance(meaning, float) else np.int64)[4] = meaning


def fits(text: object) -> bool:
    """Tell whether the table can hold it: printable ASCII of at most `WORD_MAX` bytes."""
    return isinstance(text, str) and len(text) <= WORD_MAX and text.isascii() and text.isprintable()


class Lexicon:
    """What the scan knows; it grows by `learn`, which replaces the table and never changes the one in use.

    ``table`` is uint64 (`SLOTS`, 5): a text of up to `WORD_MAX` bytes in three numbers, its tag (0 in a free row), and
    what it means: the position of a field, the code of a word, or the 64 bits of a currency's rate.

    Parameters
    ----------
    names
        Each field's name in the messages; all of them differ and `fits` holds.
    rates
        Currency table.
    words
        What codes the words of each of `WORDS`.
    """

    def __init__(self, names: Mapping[str, str], rates: Rates, words: Mapping[str, Memo] = WORDS) -> None:
        self._names, self._rates, self._words = dict(names), rates, words
        self._begin()

    def _begin(self) -> None:
        self.table: U64 = np.zeros((SLOTS, 5), np.uint64)
        self._known: set[tuple[str, str]] = set()
        for field, name in self._names.items():
            _add(self.table, name, NAME_TAG, FIELD_NAMES.index(field))

    def learn(self, rows: Iterable[Transaction]) -> None:
        """Take up the words of decoded messages."""
        found = {(name, getattr(row, name)) for row in rows for name in ("currency", *WORDS)}
        fresh = [(name, text) for name, text in found - self._known if fits(text)]
        if not fresh:
            return
        if len(self._known) + len(fresh) > _WORDS_MAX:
            self._begin()
            fresh = [(name, text) for name, text in found if fits(text)][:_WORDS_MAX]
        table = self.table.copy()
        for name, text in fresh:
            meaning = self._rates[text] if name == "currency" else self._words[name][text]
            _add(table, text, WORD_TAG + FIELD_NAMES.index(name), meaning)
        self._known.update(fresh)
        self.table = table
