"""A block of simulated transactions as columns: one numpy array a field, indices into tables where values repeat."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Rows: TypeAlias = dict[str, Array]

DEFAULT = -1

# field: (dtype, value where nothing was said). DEFAULT means "what this card usually does"; `honest.finish` fills it.
FIELDS: dict[str, tuple[type, float]] = {
    "time": (np.int64, 0),
    "card": (np.int32, 0),
    "merchant": (np.int32, 0),
    "terminal": (np.int32, DEFAULT),
    "amount_base": (np.float64, 0.0),
    "type": (np.int8, DEFAULT),
    "response": (np.int8, 0),
    "channel": (np.int8, DEFAULT),
    "entry": (np.int8, DEFAULT),
    "three_ds": (np.int8, DEFAULT),
    "cvv": (np.int8, DEFAULT),
    "avs": (np.int8, DEFAULT),
    "device": (np.int32, DEFAULT),
    "ip": (np.int32, DEFAULT),
    "known": (np.int8, 0),
    "look_alike": (np.int8, 0),
    "story": (np.int8, 0),
    "case": (np.int32, -1),
}


def make(size: int, **values: Any) -> Rows:
    """Rows of one size; a value may be a scalar or an array of that size.

    Raises
    ------
    KeyError
        If a field is not in `FIELDS`.
    """
    rows: Rows = {}
    for name, (dtype, default) in FIELDS.items():
        rows[name] = np.full(size, default, dtype=dtype)
    for name, value in values.items():
        rows[name][:] = value
    return rows


def concat(blocks: Sequence[Rows]) -> Rows:
    """One block out of many, in their order."""
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def take(rows: Mapping[str, Array], index: Array) -> Rows:
    """The rows at `index` (positions or a boolean mask)."""
    return {name: column[index] for name, column in rows.items()}


def size(rows: Mapping[str, Array]) -> int:
    """Number of rows."""
    return len(rows["time"])
