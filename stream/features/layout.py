"""Rows and columns as the compiled loop sees them: which fields, of which types, in which order."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from stream.events import Columns
from stream.features.prefetch import LINE

# Columns that the loop reads, in the order of its arguments.
DTYPES = {
    "transaction_key": "uint64",
    "event_time": "int64",
    "local_time": "int64",
    "card_key": "uint64",
    "customer_key": "uint64",
    "ip_key": "uint64",
    "merchant_key": "uint64",
    "terminal_key": "uint64",
    "device_key": "uint64",
    "amount_minor": "int64",
    "mcc": "int32",
    "country": "int32",
    "ip_country": "int32",
    "type": "uint8",
    "channel": "uint8",
    "entry_mode": "uint8",
    "three_ds": "uint8",
    "cvv_result": "uint8",
    "avs_result": "uint8",
    "latitude": "float32",
    "longitude": "float32",
    "card_age_days": "float32",
    "account_age_days": "float32",
    "flags": "uint8",
}
arrays_of = operator.attrgetter(*DTYPES)


def check_layout(columns: Columns) -> None:
    """Name the column that the compiled loop cannot read.

    Raises
    ------
    TypeError
        A column has another type or layout than `Columns` says.
    """
    for name, dtype in DTYPES.items():
        array = getattr(columns, name)
        fits = isinstance(array, np.ndarray) and array.dtype == dtype and array.ndim == 1
        if not fits or not array.flags.c_contiguous or not array.flags.writeable:
            raise TypeError(f"column {name} must be a writable, contiguous array of {dtype}")


def row_of(fields: list[tuple[str, np.dtype[Any]]]) -> np.dtype[Any]:
    """Row layout: the key, when it was last updated, the families side by side, filled up to whole cache lines."""
    named: list[tuple[Any, ...]] = [("key", np.uint64), ("seen", np.int64), *fields]
    size = np.dtype(named, align=True).itemsize
    if size % LINE:
        named.append(("spare", np.uint8, -size % LINE))
    return np.dtype(named, align=True)
