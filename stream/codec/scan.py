"""The fast lane: plain messages from bytes to `Parsed` in one compiled pass, without an object per message.

What the pass declines takes the careful way alone; words that are new to the pass are learnt from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stream.codec.kernel import CARD_MAX, NEW_WORD, blank, compiled, parsed_of
from stream.codec.lexicon import Lexicon
from stream.codec.lexing import PAD
from stream.codec.money import Rates
from stream.codec.parsed import WORDS, Parsed
from stream.codec.words import Memo
from stream.events import I64, U8

MESSAGE_MAX = 8192  # bytes; larger ones may hold oversized ids and take the careful way
_SCAN = compiled()


def _joined(values: Sequence[bytes | None]) -> tuple[U8, I64]:
    """The messages one behind the other with zeros at the end, and where each ends; what is not scanned is empty."""
    sizes = [-1 if value is None else len(value) for value in values]
    if min(sizes, default=0) < 0 or max(sizes, default=0) > MESSAGE_MAX:
        sizes = [size if 0 < size <= MESSAGE_MAX else 0 for size in sizes]
        values = [value if size else b"" for size, value in zip(sizes, values, strict=True)]
    data = b"".join((*values, bytes(PAD)))  # type: ignore[arg-type]
    return np.frombuffer(data, np.uint8), np.cumsum(sizes, dtype=np.int64)


@dataclass(slots=True)
class Scanned:
    """What the fast lane made of n messages.

    Parameters
    ----------
    parsed
        The fields (n,); those of declined messages mean nothing.
    cards
        The card ids; "" for declined messages.
    declined
        Positions for the careful way.
    new_words
        Those among them that were declined for a word not seen before.
    """

    parsed: Parsed
    cards: list[str]
    declined: list[int]
    new_words: list[int]


class Scanner:
    """Scans batches and learns the feed's words; one thread at a time.

    Parameters
    ----------
    names, rates, words
        See `Lexicon`.
    """

    def __init__(self, names: Mapping[str, str], rates: Rates, words: Mapping[str, Memo] = WORDS) -> None:
        self._lexicon = Lexicon(names, rates, words)
        self.learn = self._lexicon.learn
        self.scan([b""])  # compiled, or loaded, before the first message comes

    def scan(self, values: Sequence[bytes | None]) -> Scanned:
        """Scan messages, each alone; None, empty ones and those larger than `MESSAGE_MAX` are declined."""
        data, ends = _joined(values)
        n = len(ends)
        out, status, cards = blank(n), np.empty(n, np.uint8), np.empty(n * (CARD_MAX + 1), np.uint8)
        size = _SCAN(data, ends, self._lexicon.table, out, status, cards)
        return Scanned(
            parsed=parsed_of(out),
            cards=cards[: size - 1].tobytes().decode("ascii").split("\0") if n else [],
            declined=np.flatnonzero(status).tolist(),
            new_words=np.flatnonzero(status == NEW_WORD).tolist(),
        )
