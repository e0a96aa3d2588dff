"""Small rows for tests of the state, and a model of it that is plainly right: a dictionary."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stream.state import Arena, Table

ROW = np.dtype([("key", np.uint64), ("seen", np.int64), ("count", np.int32), ("spend", np.float32), ("pad", "i8", 13)])
WIDE = np.dtype(
    [("key", np.uint64), ("seen", np.int64), ("count", np.int32), ("spend", np.float32), ("pad", "i8", 3750)]
)


def keys(*values: int) -> npt.NDArray[np.uint64]:
    """Keys as a table wants them."""
    return np.array(values, np.uint64)


def spend(table: Table, ids: npt.NDArray[np.uint64], time_ms: int) -> npt.NDArray[np.int64]:
    """Update rows as the driver does: find, say so, write; each key at most once."""
    slots = table.locate(ids)
    table.touch(slots)
    slots = slots[slots >= 0]
    table.rows["seen"][slots] = time_ms
    table.rows["count"][slots] += 1
    table.rows["spend"][slots] += np.float32(time_ms % 97)
    return slots


def contents(arena: Arena) -> dict[str, bytes]:
    """Every used row of every table, byte for byte."""
    return {name: table.rows[: table.used].tobytes() for name, table in arena.tables.items()}
