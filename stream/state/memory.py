"""Memory of a table: one reserved stretch, of which only touched pages cost anything, cut into sections."""

from __future__ import annotations

import mmap
import sys

import numpy as np
import numpy.typing as npt

from stream.state import kernels as k

I64 = npt.NDArray[np.int64]
_NORESERVE = 0x4000 if sys.platform == "linux" else 0  # the system shall not count what is only reserved
_WORD = 8
HUGE = 2 << 20
SMALLEST = 1 << 10
_BLOCK_BYTES = 64 << 10


def block_shift(width: int) -> int:
    """Binary logarithm of the rows in a block: as many as 64 KiB hold, at least one."""
    return max(0, (_BLOCK_BYTES // (width * _WORD)).bit_length() - 1)


def reserve(width: int, capacity: int) -> tuple[mmap.mmap, I64]:
    """Reserve a table's memory; where the system grants no such stretch (a limit on address space), a smaller one.

    Parameters
    ----------
    width
        Words of a row.
    capacity
        Rows; a power of two.

    Returns
    -------
    tuple
        The mapping, and its words with the head filled in.

    Raises
    ------
    OSError
        Not even a table of `SMALLEST` rows can be had.
    """
    while True:
        head, total = layout(width, capacity)
        try:
            memory = mmap.mmap(-1, total * _WORD, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NORESERVE)
            break
        except (OSError, OverflowError):
            if capacity <= SMALLEST:
                raise
            capacity //= 2
    words = np.frombuffer(memory, np.int64, total)
    words[: k.HEAD] = head
    words[head[k.SIZES_AT] : head[k.SIZES_AT] + k.SHARDS] = k.FIRST_SIZE
    _advise(memory, (int(head[k.INDEX_AT]) + k.SHARDS * k.SMALL) * _WORD, int(head[k.SCRATCH_AT]) * _WORD)
    _advise(memory, int(head[k.ROWS_AT]) * _WORD + HUGE, int(head[k.POOL_AT]) * _WORD)
    return memory, words


def layout(width: int, capacity: int) -> tuple[I64, int]:
    """Head of a table of that many rows, and its words in all."""
    head = np.zeros(k.HEAD, np.int64)
    shift = block_shift(width)
    blocks = (capacity >> shift) + 1
    room = max(k.FIRST_SIZE, 2 * capacity // k.SHARDS)
    head[[k.CAPACITY, k.WIDTH, k.SHIFT, k.SHARD_ROOM]] = capacity, width, shift, room
    sections = {
        k.SIZES_AT: k.SHARDS,
        k.COUNTS_AT: k.SHARDS,
        k.DIRTY_AT: blocks,
        k.PENDING_AT: blocks,
        k.QUEUE_AT: blocks,
        k.SAVED_AT: capacity,
        k.FREE_AT: capacity,
        k.INDEX_AT: k.SHARDS * (k.SMALL + room),
        k.SCRATCH_AT: room,
        k.ROWS_AT: capacity * width,
        k.POOL_AT: capacity * width,
    }
    at = k.HEAD
    for section, words in sections.items():
        if section in {k.INDEX_AT, k.ROWS_AT, k.POOL_AT}:
            at = -(-at * _WORD // HUGE) * (HUGE // _WORD)
        head[section] = at
        at += words
    return head, at


def _advise(memory: mmap.mmap, start: int, end: int) -> None:
    """Large pages; not for the first rows and small shards: a table of a hundred rows shall not cost two megabytes."""
    end -= end % HUGE
    if hasattr(mmap, "MADV_HUGEPAGE") and end - start >= HUGE:
        memory.madvise(mmap.MADV_HUGEPAGE, start, end - start)


def release(memory: mmap.mmap, start: int, end: int) -> None:
    """Give the pages from `start` to `end` (bytes) back to the system; they read as zeros afterwards."""
    start, end = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE, end // mmap.PAGESIZE * mmap.PAGESIZE
    if end > start:
        memory.madvise(mmap.MADV_DONTNEED, start, end - start)
