"""A copy of the state as it stood at one offset, taken in small pieces while the state moves on (copy on write)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from stream.state import kernels as k

if TYPE_CHECKING:
    from stream.state.arena import Arena

I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of a table that lie side by side; `words` is int64 (rows * words of a row)."""

    table: str
    number: int
    rows: int
    words: I64


@dataclass(slots=True)
class Sweep:
    """What changed since the last sweep, as it stood when this one began.

    Attributes
    ----------
    next_offset, side_offset, watermark
        Where the arena stood.
    used, blocks
        Slots in use and blocks of each table then.
    small
        The small states, copied whole.
    total, left
        Blocks to take in all and still.
    """

    arena: Arena
    next_offset: int
    side_offset: int
    watermark: int
    small: Mapping[str, bytes]
    used: dict[str, int] = field(default_factory=dict)
    blocks: dict[str, int] = field(default_factory=dict)
    total: int = 0
    left: int = 0
    _taken: list[tuple[str, int]] = field(default_factory=list)
    _over: bool = False

    def start(self) -> None:
        """Take the dirty marks over; called once, by the arena."""
        for name, table in self.arena.tables.items():
            self.used[name], self.blocks[name] = table.used, table.blocks
            self.total += int(k.begin(table.mem))
        self.left = self.total

    @property
    def done(self) -> bool:
        """Whether everything was taken."""
        return self.left == 0

    def take(self, max_bytes: int) -> list[Block]:
        """Copy more blocks, up to `max_bytes` of rows but at least one; between two batches, like all that moves state.

        Raises
        ------
        RuntimeError
            The sweep was ended or aborted.
        """
        if self._over:
            raise RuntimeError("the sweep is over")
        taken: list[Block] = []
        for name, table in self.arena.tables.items():
            room = table.block_rows * table.dtype.itemsize
            while (not taken or max_bytes >= room) and (number := int(k.next_block(table.mem))) >= 0:
                out = np.empty(room // 8, np.int64)
                rows = int(k.take(table.mem, number, out))
                taken.append(Block(name, number, rows, out[: rows * table.dtype.itemsize // 8]))
                self._taken.append((name, number))
                self.left -= 1
                max_bytes -= room
        return taken

    def finish(self) -> None:
        """End a sweep whose blocks are durable."""
        self._end()

    def abort(self) -> None:
        """Give the sweep up: all that it was to write is dirty again."""
        if not self._over:
            self._end()
            for name, number in self._taken:
                mem = self.arena.tables[name].mem
                mem[mem[k.DIRTY_AT] + number] = 1

    def _end(self) -> None:
        if self._over:
            return
        self._over = True
        for table in self.arena.tables.values():
            k.end(table.mem)
            table.release_copies()
        self.arena.swept(self)
