"""What must not touch state, repeats of a transaction and events older than the horizon; and state that is too old."""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.features.kernel import Event, kernel
from stream.features.registry import Family

RING = 16  # transactions of a card whose repeats are recognised
LATE, DUPLICATE = 1, 2  # as in stream.events.Flag, whose members numba cannot read

DTYPE = np.dtype([("keys", np.uint64, RING), ("head", np.uint8)], align=True)


@kernel
def outlived(seen: int, time: int, clock: int, horizon: int) -> bool:
    """Whether a row last updated at `seen` is as good as none, for a transaction at `time` under the clock.

    An entity that was silent for a horizon begins anew. By the second condition a row may leave memory once the clock
    is two horizons ahead of it: whatever is not late by then finds it outlived anyway.
    """
    return time - seen > horizon or clock - seen > 2 * horizon


@kernel
def check(state: Any, key: int, time: int, watermark: int, horizon: int) -> int:
    """Flags that the guard adds to a transaction."""
    for k in range(RING):
        if state.keys[k] == key and key != 0:
            return DUPLICATE
    return LATE if time < watermark - horizon else 0


@kernel
def remember(state: Any, key: int) -> None:
    """Keep the transaction's key in the card's ring."""
    state.keys[state.head] = key
    state.head = (state.head + 1) % RING


@kernel
def _nothing(state: Any, event: Event) -> int:
    return 0


FAMILY = Family("guard", (), DTYPE, _nothing, None)
