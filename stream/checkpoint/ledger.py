"""What a partition's checkpoint consists of: the checksum and size of every block that is in it."""

from __future__ import annotations

import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from stream.checkpoint.marker import Marker, TableMark

U32 = npt.NDArray[np.uint32]


@dataclass(slots=True)
class Ledger:
    """The checkpoint that the log holds, as far as this process knows.

    Attributes
    ----------
    incarnation
        Of the arena: blocks of another one do not count, so what an earlier one left behind does no harm.
    blocks
        Checksum and bytes of each block by table, (n, 2); 0 where there is none.
    pieces, small
        Records and bytes of each small state.
    stale, stale_pieces
        How many blocks and pieces an earlier incarnation left in the log.
    """

    incarnation: int
    blocks: dict[str, U32] = field(default_factory=dict)
    pieces: dict[str, int] = field(default_factory=dict)
    small: dict[str, int] = field(default_factory=dict)
    stale: dict[str, int] = field(default_factory=dict)
    stale_pieces: dict[str, int] = field(default_factory=dict)

    @property
    def live(self) -> int:
        """Bytes of the blocks and small states that count."""
        return sum(int(known[:, 1].sum(dtype=np.int64)) for known in self.blocks.values()) + sum(self.small.values())

    def marks(self, used: Mapping[str, int], blocks: Mapping[str, int]) -> dict[str, TableMark]:
        """What a marker says about the tables."""
        return {name: TableMark(blocks[name], used[name], self.crc(name, blocks[name])) for name in used}

    def crc(self, table: str, blocks: int) -> int:
        """Checksum over the checksums of a table's first blocks."""
        return zlib.crc32(self._of(table, blocks)[:blocks, 0].tobytes())

    def missing(self, table: str, blocks: int) -> int:
        """First block of a table that is not there; -1 when all are."""
        gaps = np.flatnonzero(self._of(table, blocks)[:blocks, 1] == 0)
        return int(gaps[0]) if len(gaps) else -1

    def note(self, table: str, number: int, crc: int, size: int) -> None:
        """Take note of a block."""
        self._of(table, number + 1)[number] = crc, size

    def _of(self, table: str, blocks: int) -> U32:
        known = self.blocks.get(table)
        if known is None or len(known) < blocks:
            larger = np.zeros((max(64, 2 * blocks), 2), np.uint32)
            if known is not None:
                larger[: len(known)] = known
            known = self.blocks[table] = larger
        return known

    def copy(self) -> Ledger:
        """One to note a sweep in that may yet fail."""
        blocks = {name: known.copy() for name, known in self.blocks.items()}
        small = dict(self.pieces), dict(self.small)
        return Ledger(self.incarnation, blocks, *small, dict(self.stale), dict(self.stale_pieces))


def fresh(before: Marker | None) -> Ledger:
    """Begin a new incarnation; what the log holds of an earlier one is to be removed."""
    ledger = Ledger(incarnation=time.time_ns())
    if before is not None:
        ledger.stale = {name: mark.blocks for name, mark in before.tables.items()}
        ledger.stale_pieces = {name: mark.pieces for name, mark in before.small.items()}
    return ledger
