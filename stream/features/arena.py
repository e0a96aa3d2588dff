"""The rows of one source partition's cards.

Rows lie in one stretch of reserved memory: pages that no card has touched cost nothing, so a new card is never a
copy of the others. Card tokens map to rows through many small dictionaries, because one large one stops the world for
a tenth of a second whenever it doubles.
"""

from __future__ import annotations

import mmap
import sys
from typing import Any

import numpy as np
import numpy.typing as npt

SHARDS = 256
CAPACITY = 1 << 24  # rows reserved at first
NO_WATERMARK = -(1 << 62)
_NORESERVE = 0x4000 if sys.platform == "linux" else 0  # the system shall not count what is only reserved


class Arena:
    """State of a partition's cards, its watermark and its place in the log.

    Parameters
    ----------
    dtype
        Layout of a row; the shipped families' when absent.
    capacity
        Rows to reserve; more cards than that cost one copy.
    """

    def __init__(self, dtype: np.dtype[Any] | None = None, capacity: int = CAPACITY) -> None:
        if dtype is None:
            from stream.features import PROGRAM

            dtype = PROGRAM.row
        self._reserved = _reserve(dtype, capacity)
        self._shards: list[dict[str, int]] = [{} for _ in range(SHARDS)]
        self.rows = 0
        self.next_offset = 0
        self.clock: npt.NDArray[np.int64] = np.full(1, NO_WATERMARK, np.int64)
        self.state = self._reserved[:0]

    @property
    def watermark(self) -> int:
        """Newest event time that updated the arena, ms; far below zero before the first."""
        return int(self.clock[0])

    @watermark.setter
    def watermark(self, value: int) -> None:
        self.clock[0] = value

    @property
    def nbytes(self) -> int:
        """Bytes of the rows in use and of the dictionaries' tables."""
        return self.rows * self.state.itemsize + sum(sys.getsizeof(shard) for shard in self._shards)

    def slots(self, card_tokens: list[str]) -> npt.NDArray[np.int64]:
        """Rows of the cards, int64 (n,); an unknown card gets the next, empty row."""
        shards, last = self._shards, SHARDS - 1
        rows = self.rows
        out = []
        for token in card_tokens:
            shard = shards[hash(token) & last]
            row = shard.get(token, -1)
            if row < 0:
                row = shard[token] = rows
                rows += 1
            out.append(row)
        if rows != self.rows:
            self._grow(rows)
        return np.array(out, np.int64)

    def _grow(self, rows: int) -> None:
        if rows > len(self._reserved):
            larger = _reserve(self._reserved.dtype, max(2 * len(self._reserved), rows))
            larger[: self.rows] = self._reserved[: self.rows]
            self._reserved = larger
        self.rows = rows
        self.state = self._reserved[:rows]


def _reserve(dtype: np.dtype[Any], capacity: int) -> npt.NDArray[Any]:
    """Reserve zeroed rows; where the system grants no such stretch (a limit on address space), a smaller one."""
    while True:
        try:
            memory = mmap.mmap(-1, capacity * dtype.itemsize, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NORESERVE)
            break
        except (OSError, OverflowError):
            if capacity <= 1 << 12:
                raise
            capacity //= 2
    if hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(memory, dtype, capacity)
