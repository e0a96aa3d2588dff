"""Compiled code of sweeps and blocks is loaded, or compiled once on a machine, before a batch could wait for it."""

from __future__ import annotations

import numpy as np

from stream.checkpoint.block import encode, head_of, words_of
from stream.state import Arena

_ROW = np.dtype([("key", np.uint64), ("seen", np.int64), ("count", np.int64)])


def warm_up() -> None:
    """Sweep, pack, unpack, index and evict two rows that nobody needs."""
    arena = Arena({"card": _ROW}, capacity=1)
    table = arena.tables["card"]
    for keys in (np.array([1, 0], np.uint64), np.array([1, 2], np.uint64)):
        sweep = arena.begin_sweep()
        table.touch(table.locate(keys))
        for block in sweep.take(1 << 20):
            value, _ = encode(block.words, block.rows, 1)
            other = Arena({"card": _ROW}, capacity=1).tables["card"]
            other.put(block.number, words_of(value, head_of(value, "a block"), "a block"))
            other.loaded(block.rows)
        sweep.finish()
    table.evict(1, 1)
