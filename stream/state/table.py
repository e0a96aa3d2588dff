"""Rows of one kind of entity, found by 64-bit keys, with the marks that a sweep needs."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.state import kernels as k
from stream.state.memory import SMALLEST, release, reserve

CAPACITY = 1 << 24  # rows reserved at first; reserving costs nothing
SCAN = 4096  # rows that one step of eviction looks at

I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]


class Table:
    """Zero-filled rows by key.

    Parameters
    ----------
    dtype
        Layout of a row, a whole number of 64-bit words; its first fields are ``key`` (uint64) and ``seen`` (int64, ms
        of the last update, written by whoever updates the row).
    capacity
        Rows to reserve; more than that cost one copy.

    Raises
    ------
    ValueError
        The layout is another.
    """

    def __init__(self, dtype: np.dtype[Any], capacity: int = CAPACITY) -> None:
        _check(dtype)
        self.dtype = dtype
        self._memory: mmap.mmap
        self._reserve(max(SMALLEST, 1 << (capacity - 1).bit_length()))

    def _reserve(self, capacity: int) -> None:
        self._memory, self.mem = reserve(self.dtype.itemsize // 8, capacity)
        at, capacity = int(self.mem[k.ROWS_AT]), int(self.mem[k.CAPACITY])
        self.rows: npt.NDArray[Any] = np.frombuffer(self._memory, self.dtype, capacity, 8 * at)

    @property
    def used(self) -> int:
        """Slots ever given out; rows beyond them are zero."""
        return int(self.mem[k.USED])

    @property
    def live(self) -> int:
        """Rows that hold a key."""
        return int(self.mem[k.USED] - self.mem[k.FREE])

    @property
    def blocks(self) -> int:
        """Blocks that the used slots fill."""
        return -(-self.used // self.block_rows)

    @property
    def block_rows(self) -> int:
        """Rows of a block: what a sweep copies at once, about 64 KiB."""
        return 1 << int(self.mem[k.SHIFT])

    @property
    def nbytes(self) -> int:
        """Bytes of the rows in use and of the index."""
        sizes = int(self.mem[k.SIZES_AT])
        index = 8 * int(self.mem[sizes : sizes + k.SHARDS].sum())
        return self.used * self.dtype.itemsize + index

    def locate(self, keys: U64) -> I64:
        """Slots of keys, int64 (n,); an unknown key gets an empty row, key 0 the slot -1."""
        out = np.empty(len(keys), np.int64)
        done = k.locate(self.mem, keys, out, 0)
        while done < len(keys):
            self._enlarge()
            done = k.locate(self.mem, keys, out, done)
        return out

    def touch(self, slots: I64) -> None:
        """Say that these rows are about to change; negative slots are passed over."""
        k.touch(self.mem, slots)

    def evict(self, before_ms: int, limit: int, scan: int = SCAN) -> int:
        """Free up to `limit` rows last seen before a time; each call looks at the next `scan` rows.

        Returns
        -------
        int
            Rows freed; their slots are given to new keys.
        """
        return int(k.evict(self.mem, before_ms, limit, scan))

    def _enlarge(self) -> None:
        """Move to a larger stretch of memory, a running sweep with it."""
        old, rows, used = self.mem, self.rows, self.used
        self._reserve(2 * int(old[k.CAPACITY]))
        if self.mem[k.CAPACITY] <= old[k.CAPACITY]:
            raise MemoryError(f"the system grants no memory for more than {used} rows")
        self.rows[:used] = rows[:used]
        self.mem[: k.CAPACITY] = old[: k.CAPACITY]
        copies = int(old[k.POOL_USED] * old[k.WIDTH])
        moved = {k.DIRTY_AT: self.blocks, k.PENDING_AT: self.blocks, k.QUEUE_AT: self.blocks, k.SAVED_AT: used}
        for section, words in {**moved, k.POOL_AT: copies}.items():
            ours, theirs = int(self.mem[section]), int(old[section])
            self.mem[ours : ours + words] = old[theirs : theirs + words]
        self._index(used)

    def _index(self, used: int) -> None:
        self.mem[k.USED] = used
        if not k.build(self.mem):
            raise MemoryError("the index of a table outgrew its memory")

    # -- what a sweep and a loader need

    def put(self, block: int, words: I64) -> None:
        """Write a block's rows in place, int64 words; `loaded` makes them findable."""
        first = block * self.block_rows
        rows = len(words) // int(self.mem[k.WIDTH])
        while first + rows > self.mem[k.CAPACITY]:
            self._enlarge_empty(first + rows)
        at = int(self.mem[k.ROWS_AT]) + first * int(self.mem[k.WIDTH])
        self.mem[at : at + len(words)] = words
        self.mem[k.USED] = max(self.used, first + rows)

    def _enlarge_empty(self, wanted: int) -> None:
        rows, used = self.rows, self.used
        self._reserve(1 << (wanted - 1).bit_length())
        if self.mem[k.CAPACITY] < wanted:
            raise MemoryError(f"the system grants no memory for {wanted} rows")
        self.rows[:used] = rows[:used]
        self.mem[k.USED] = used

    def loaded(self, used: int) -> None:
        """Index the rows that `put` has written into an empty table."""
        self._index(used)

    def release_copies(self) -> None:
        """Give the memory of rows kept aside back to the system."""
        start = int(self.mem[k.POOL_AT])
        release(self._memory, 8 * start, 8 * (start + int(self.mem[k.POOL_USED]) * int(self.mem[k.WIDTH])))
        self.mem[k.POOL_USED] = 0


def find(tables: Sequence[Table], keys: Sequence[U64]) -> I64:
    """Slots in each table of what n transactions name, int64 (tables, n), all about to change; see `Table.locate`."""
    out = np.empty((len(tables), len(keys[0])), np.int64)
    if k.find(tuple([table.mem for table in tables]), tuple(keys), out) >= 0:
        for slots, table, some in zip(out, tables, keys, strict=True):
            slots[:] = table.locate(some)
            table.touch(slots)
    return out


def _check(dtype: np.dtype[Any]) -> None:
    names = dtype.names or ()
    fits = names[:2] == ("key", "seen") and dtype["key"] == np.uint64 and dtype["seen"] == np.int64
    if not fits or dtype.fields is None or dtype.fields["seen"][1] != 8 or dtype.itemsize % 8:
        raise ValueError("a row begins with key (uint64) and seen (int64) and is a whole number of 64-bit words")
