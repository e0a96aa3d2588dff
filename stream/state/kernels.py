"""The loops under a table: find rows by key, mark what changes, keep what a sweep has still to copy, free old rows.

A table is one stretch of memory, seen here as 64-bit words: a head of counters and offsets, then one section for each
purpose (see `layout`). One array means one argument, and handing over an argument costs more than finding a row.

The index is 64 open-addressed shards with linear probing from the start of a cache line; an entry holds 31 bits of the
key's hash above the slot plus one, and the row itself holds the key. A shard doubles by itself, at a fill of its own,
so that they never all do it at once. A freed entry is closed by moving its followers back: there are no graves.

Shards lie side by side, a cache line of each in turn, so that the index is dense and fits large pages: with small ones,
finding the page costs more than reading the entry. A shard that outgrows `SMALL` moves to a stretch of such pages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numba import njit

from stream.state.prefetch import LINE, UPPER, alike, lowest, prefetch

_Function = TypeVar("_Function", bound=Callable[..., Any])

SHARDS = 64
FIRST_SIZE = 64  # entries of a shard at first
SMALL = 4096  # entries of a shard up to which it lies in ordinary pages: a small table shall not cost megabytes

# Counters and offsets in the head.
USED, FREE, SWEEPING, SWEPT, POOL_USED, POOL_FREE, CURSOR, QUEUED, TAKEN, SCANNED = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9
CAPACITY, WIDTH, SHIFT, SHARD_ROOM = 10, 11, 12, 13
SIZES_AT, COUNTS_AT, DIRTY_AT, PENDING_AT, QUEUE_AT, SAVED_AT, FREE_AT = 14, 15, 16, 17, 18, 19, 20
INDEX_AT, SCRATCH_AT, ROWS_AT, POOL_AT = 21, 22, 23, 24
HEAD = 25

RUN = 64  # keys whose places are asked for together
_MIX = 0x9E3779B97F4A7C15
_LOW = 0xFFFFFFFF


def native(function: _Function) -> _Function:
    """Compile on first use, keep the code on disk where a folder can be written, leave the interpreter lock free."""
    try:
        compiled: _Function = njit(cache=True, nogil=True, _nrt=False)(function)
    except RuntimeError:  # no folder can be written: every process compiles anew
        compiled = njit(nogil=True, _nrt=False)(function)
    return compiled


@native
def _hash(key: Any) -> Any:
    mixed = np.uint64(key) * np.uint64(_MIX)
    return mixed ^ (mixed >> np.uint64(29))


@native
def _base(mem: Any, shard: Any, size: int) -> int:
    """Where in memory a shard of that size begins."""
    return int(mem[INDEX_AT] + (SHARDS * SMALL if size > SMALL else 0) + shard * LINE)


@native
def _entry(base: int, at: int) -> int:
    """Where in memory a place of a shard is: lines of all shards take turns."""
    return base + (at & -LINE) * SHARDS + (at & (LINE - 1))


@native
def _place(mem: Any, base: int, mask: int, entry: Any) -> None:
    """Put an entry behind those that probe through the same places."""
    at = (entry >> 32) & mask & -LINE
    while mem[_entry(base, at)] != 0:
        at = (at + 1) & mask
    mem[_entry(base, at)] = entry


@native
def _limit(shard: Any, size: int) -> int:
    """Entries at which a shard of that size doubles: half to three quarters, each shard at another fill."""
    return int((size >> 1) + (size >> 2) * shard // SHARDS)


@native
def _double(mem: Any, shard: Any) -> bool:
    """Give a shard twice the places; False when its memory ends."""
    size = mem[mem[SIZES_AT] + shard]
    if 2 * size > mem[SHARD_ROOM]:
        return False
    base, scratch = _base(mem, shard, size), mem[SCRATCH_AT]
    for i in range(size):
        mem[scratch + i] = mem[_entry(base, i)]
        mem[_entry(base, i)] = 0
    mem[mem[SIZES_AT] + shard] = 2 * size
    base = _base(mem, shard, 2 * size)
    for i in range(size):
        if mem[scratch + i] != 0:
            _place(mem, base, 2 * size - 1, mem[scratch + i])
    return True


@native
def _keep(mem: Any, slot: int) -> None:
    """Copy a row aside that the running sweep has still to take."""
    block = slot >> mem[SHIFT]
    if slot >= mem[SWEPT] or mem[mem[PENDING_AT] + block] == 0 or mem[mem[SAVED_AT] + slot] != 0:
        return
    if mem[mem[PENDING_AT] + block] == 1:  # taken first, so that its copies are soon given back
        mem[mem[PENDING_AT] + block] = 2
        mem[mem[QUEUE_AT] + mem[QUEUED]] = block
        mem[QUEUED] += 1
    width, pool = mem[WIDTH], mem[POOL_AT]
    if mem[POOL_FREE] > 0:
        place = mem[POOL_FREE] - 1
        mem[POOL_FREE] = mem[pool + place * width]
    else:
        place = mem[POOL_USED]
        mem[POOL_USED] += 1
    row = mem[ROWS_AT] + slot * width
    for k in range(width):
        mem[pool + place * width + k] = mem[row + k]
    mem[mem[SAVED_AT] + slot] = place + 1


@native
def _new_slot(mem: Any) -> int:
    """A freed slot, or the next one; -1 when the rows are used up. What a sweep has still to take of one is kept."""
    if mem[FREE] > 0:
        mem[FREE] -= 1
        slot = int(mem[mem[FREE_AT] + mem[FREE]])
        if mem[SWEEPING] != 0:
            _keep(mem, slot)
        return slot
    if mem[USED] >= mem[CAPACITY]:
        return -1
    mem[USED] += 1
    return int(mem[USED] - 1)


@native
def _find(mem: Any, key: Any) -> int:
    """Slot of a key, made when it is new; -1 when the memory is used up."""
    mixed = _hash(key)
    shard, tag = np.int64(mixed & np.uint64(SHARDS - 1)), np.int64(mixed >> np.uint64(33))
    mask = mem[mem[SIZES_AT] + shard] - 1
    base = _base(mem, shard, mask + 1)
    width, rows, signed = mem[WIDTH], mem[ROWS_AT], np.int64(key)
    at = tag & mask & -LINE
    while True:
        line = _entry(base, at)
        hits = alike(mem, line, tag << 32, UPPER)
        while hits != 0:
            slot = (mem[line + lowest(hits)] & _LOW) - 1
            if slot >= 0 and mem[rows + slot * width] == signed:
                return int(slot)
            hits &= hits - 1
        if alike(mem, line, 0, -1) != 0:
            break
        at = (at + LINE) & mask
    count = mem[mem[COUNTS_AT] + shard]
    if count >= _limit(shard, mask + 1) and not _double(mem, shard) and count >= mask:
        return -1
    slot = _new_slot(mem)
    if slot < 0:
        return -1
    size = mem[mem[SIZES_AT] + shard]
    _place(mem, _base(mem, shard, size), size - 1, (tag << 32) | (slot + 1))
    mem[mem[COUNTS_AT] + shard] = count + 1
    mem[rows + slot * width] = signed
    mem[mem[DIRTY_AT] + (slot >> mem[SHIFT])] = 1
    return slot


@native
def _guess(mem: Any, keys: Any, out: Any, low: int, high: int) -> None:
    """Write the likely slots of keys, and ask for their rows; nearly all are right."""
    width, rows = mem[WIDTH], mem[ROWS_AT]
    for i in range(low, high):
        tag = np.int64(_hash(keys[i]) >> np.uint64(33))
        hits = alike(mem, out[i], tag << 32, UPPER)
        out[i] = max((mem[out[i] + lowest(hits | 1 << (LINE - 1))] & _LOW) - 1, 0)
        prefetch(mem, rows + out[i] * width)


@native
def _ask(mem: Any, keys: Any, out: Any, low: int, high: int) -> None:
    """Write where in memory the index begins to look for keys, and ask for it."""
    for i in range(low, high):
        mixed = _hash(keys[i])
        shard, tag = np.int64(mixed & np.uint64(SHARDS - 1)), np.int64(mixed >> np.uint64(33))
        size = mem[mem[SIZES_AT] + shard]
        out[i] = _entry(_base(mem, shard, size), tag & (size - 1) & -LINE)
        prefetch(mem, out[i])


@native
def locate(mem: Any, keys: Any, out: Any, start: int) -> int:
    """Slots of keys from `start` on; return how far it came: short of the end when the memory is used up.

    In runs, each in three goes without a branch that depends on what is found: so the processor waits for many at once.
    """
    n, width, rows = len(keys), mem[WIDTH], mem[ROWS_AT]
    _ask(mem, keys, out, start, min(start + RUN, n))
    for low in range(start, n, RUN):
        high = min(low + RUN, n)
        _ask(mem, keys, out, high, min(high + RUN, n))
        _guess(mem, keys, out, low, high)
        for i in range(low, high):
            if keys[i] == 0:
                out[i] = -1
            elif mem[rows + out[i] * width] != np.int64(keys[i]):
                out[i] = _find(mem, keys[i])
                if out[i] < 0:
                    return i
    return n


@native
def touch(mem: Any, slots: Any) -> None:
    """Mark the blocks of rows that are about to change."""
    dirty, shift = mem[DIRTY_AT], mem[SHIFT]
    for i in range(len(slots)):
        if slots[i] >= 0:
            mem[dirty + (slots[i] >> shift)] = 1
            if mem[SWEEPING] != 0:
                _keep(mem, slots[i])


@native
def find(mems: Any, keys: Any, out: Any) -> int:
    """Locate and touch in one table after the other; returns the first whose memory is used up, -1 when none is."""
    for t in range(len(mems)):
        if locate(mems[t], keys[t], out[t], 0) < len(keys[t]):
            return t
        touch(mems[t], out[t])
    return -1


@native
def begin(mem: Any) -> int:
    """Turn the dirty blocks into those that a sweep has to take; return how many."""
    blocks = (mem[USED] + (1 << mem[SHIFT]) - 1) >> mem[SHIFT]
    count = 0
    for b in range(blocks):
        mem[mem[PENDING_AT] + b] = mem[mem[DIRTY_AT] + b]
        count += mem[mem[DIRTY_AT] + b]
        mem[mem[DIRTY_AT] + b] = 0
    mem[SWEEPING], mem[SWEPT] = 1, mem[USED]
    mem[QUEUED], mem[TAKEN], mem[SCANNED], mem[POOL_USED], mem[POOL_FREE] = 0, 0, 0, 0, 0
    return int(count)


@native
def next_block(mem: Any) -> int:
    """A block still to be taken: one with rows kept aside, else the first of the others; -1 when none is left."""
    while mem[TAKEN] < mem[QUEUED]:
        block = mem[mem[QUEUE_AT] + mem[TAKEN]]
        mem[TAKEN] += 1
        if mem[mem[PENDING_AT] + block] != 0:
            return int(block)
    blocks = (mem[SWEPT] + (1 << mem[SHIFT]) - 1) >> mem[SHIFT]
    while mem[SCANNED] < blocks:
        if mem[mem[PENDING_AT] + mem[SCANNED]] != 0:
            return int(mem[SCANNED])
        mem[SCANNED] += 1
    return -1


@native
def take(mem: Any, block: int, out: Any) -> int:
    """Copy a block as it stood when the sweep began, give back what was kept aside of it; return its rows."""
    width, pool, saved = mem[WIDTH], mem[POOL_AT], mem[SAVED_AT]
    first = block << mem[SHIFT]
    last = min(mem[SWEPT], (block + 1) << mem[SHIFT])
    for slot in range(first, last):
        place = mem[saved + slot] - 1
        source = mem[ROWS_AT] + slot * width if place < 0 else pool + place * width
        target = (slot - first) * width
        for k in range(width):
            out[target + k] = mem[source + k]
        if place >= 0:
            mem[pool + place * width] = mem[POOL_FREE]
            mem[POOL_FREE] = place + 1
            mem[saved + slot] = 0
    mem[mem[PENDING_AT] + block] = 0
    return int(last - first)


@native
def end(mem: Any) -> None:
    """End a sweep; what it has not taken is dirty again."""
    blocks = (mem[SWEPT] + (1 << mem[SHIFT]) - 1) >> mem[SHIFT]
    for b in range(blocks):
        if mem[mem[PENDING_AT] + b] != 0:
            mem[mem[DIRTY_AT] + b] = 1
            mem[mem[PENDING_AT] + b] = 0
            for slot in range(b << mem[SHIFT], min(mem[SWEPT], (b + 1) << mem[SHIFT])):
                mem[mem[SAVED_AT] + slot] = 0
    mem[SWEEPING] = 0


@native
def _forget(mem: Any, slot: int) -> None:
    """Take a row out of the index and close the gap."""
    mixed = _hash(np.uint64(mem[mem[ROWS_AT] + slot * mem[WIDTH]]))
    shard, tag = np.int64(mixed & np.uint64(SHARDS - 1)), np.int64(mixed >> np.uint64(33))
    mask = mem[mem[SIZES_AT] + shard] - 1
    base = _base(mem, shard, mask + 1)
    hole = tag & mask & -LINE
    while mem[_entry(base, hole)] & _LOW != slot + 1:
        hole = (hole + 1) & mask
    at = (hole + 1) & mask
    while mem[_entry(base, at)] != 0:
        home = (mem[_entry(base, at)] >> 32) & mask & -LINE
        if (at - home) & mask >= (at - hole) & mask:
            mem[_entry(base, hole)] = mem[_entry(base, at)]
            hole = at
        at = (at + 1) & mask
    mem[_entry(base, hole)] = 0
    mem[mem[COUNTS_AT] + shard] -= 1


@native
def evict(mem: Any, before: int, limit: int, scan: int) -> int:
    """Free rows that were last seen before a time, looking at `scan` rows from where the last call stopped."""
    freed, width = 0, mem[WIDTH]
    for _ in range(min(scan, mem[USED])):
        if freed == limit:
            break
        slot = mem[CURSOR] if mem[CURSOR] < mem[USED] else 0
        mem[CURSOR] = slot + 1
        row = mem[ROWS_AT] + slot * width
        if mem[row] == 0 or mem[row + 1] >= before:
            continue
        mem[mem[DIRTY_AT] + (slot >> mem[SHIFT])] = 1
        if mem[SWEEPING] != 0:
            _keep(mem, slot)
        _forget(mem, slot)
        for k in range(width):
            mem[row + k] = 0
        mem[mem[FREE_AT] + mem[FREE]] = slot
        mem[FREE] += 1
        freed += 1
    return freed


@native
def build(mem: Any) -> bool:
    """Index and free list of rows that were put there from outside; False when a shard's memory ends."""
    mem[FREE] = 0
    for slot in range(mem[USED] - 1, -1, -1):
        key = mem[mem[ROWS_AT] + slot * mem[WIDTH]]
        if key == 0:
            mem[mem[FREE_AT] + mem[FREE]] = slot
            mem[FREE] += 1
            continue
        mixed = _hash(np.uint64(key))
        shard, tag = np.int64(mixed & np.uint64(SHARDS - 1)), np.int64(mixed >> np.uint64(33))
        size, count = mem[mem[SIZES_AT] + shard], mem[mem[COUNTS_AT] + shard]
        if count >= _limit(shard, size) and not _double(mem, shard) and count >= size - 1:
            return False
        size = mem[mem[SIZES_AT] + shard]
        _place(mem, _base(mem, shard, size), size - 1, (tag << 32) | (slot + 1))
        mem[mem[COUNTS_AT] + shard] = count + 1
    return True
