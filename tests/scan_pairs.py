"""Two codecs with the same settings, one without the fast lane, and what tells their results apart."""

from __future__ import annotations

import dataclasses
from typing import Any

from fakes import SOURCE, records, settings

from stream.codec import Codec
from stream.events import Columns


class Pair:
    """A codec with the scan and one that takes every message the careful way."""

    def __init__(self, **overrides: Any) -> None:
        self.fast, self.careful = Codec(settings(**overrides)), Codec(settings(**overrides))
        self.careful._scanner = None

    def declined(self, values: list[bytes | None]) -> list[int]:
        """Positions that the scan leaves to the careful way, once its words are learnt."""
        assert self.fast._scanner is not None
        self.fast.decode(records(values), SOURCE)
        return self.fast._scanner.scan(values).declined

    def same(self, values: list[bytes | None]) -> None:
        """Both ways give the same bits, tokens, rows and dead letters."""
        batch = records(values)
        for record in batch[::3]:
            record.timestamp = 1_700_000_000_000
        mine, theirs = self.fast.decode(batch, SOURCE), self.careful.decode(batch, SOURCE)
        assert (mine.cards, mine.dead) == (theirs.cards, theirs.dead)
        assert mine.index.tolist() == theirs.index.tolist()
        assert list(mine.rows) == list(theirs.rows)
        for column in dataclasses.fields(Columns):
            got, expected = getattr(mine.columns, column.name), getattr(theirs.columns, column.name)
            assert got.dtype == expected.dtype and got.flags.c_contiguous and got.flags.writeable
            assert got.tobytes() == expected.tobytes(), column.name
