"""Event time in hours: which bucket a transaction falls into, when buckets close, and who may see them.

A partition's clock is the largest event time it has seen. An hour closes for good when the clock is five minutes past
its end; what comes later falls into the first hour still open. Transactions see closed hours from ten minutes past
their end on. Both follow from the log alone, never from how it is cut into batches.
"""

from __future__ import annotations

import numpy as np

from stream.events import I64

HOUR = 3_600_000  # ms
DAY_HOURS = 24
CLOSE_LAG = 300_000  # ms after an hour's end: it is closed
SEEN_LAG = 600_000  # ms after an hour's end: transactions see it


def first_open(clock: int) -> int:
    """First hour that is still open at a clock (ms)."""
    return (clock - CLOSE_LAG) // HOUR


def visible(clock: int) -> int:
    """First hour that a transaction does not see when the clock before it stands at `clock` (ms)."""
    return (clock - SEEN_LAG) // HOUR


def visible_cuts(clock_at: I64) -> list[int]:
    """Where to cut a batch so that all transactions of a run see the same hours.

    Parameters
    ----------
    clock_at
        The clock before each transaction (n,), never falling.

    Returns
    -------
    list of int
        First position of each run; empty for an empty batch.
    """
    if not len(clock_at):
        return []
    if visible(int(clock_at[0])) == visible(int(clock_at[-1])):
        return [0]
    seen = (clock_at - SEEN_LAG) // HOUR
    return [0, *(np.flatnonzero(np.diff(seen)) + 1).tolist()]
