"""Features of a whole history, by the live code, in the order given."""

from __future__ import annotations

import dataclasses

import numpy as np

from stream.events import U8, Columns
from stream.features import FEATURES, HORIZON_MS, SEQUENCE_CHANNELS, SEQUENCE_STEPS, Arena, compute
from stream.features.registry import Matrix

CHUNK = 65_536


def features_of(
    columns: Columns, cards: list[str], horizon_ms: int = HORIZON_MS, arena: Arena | None = None
) -> tuple[Matrix, Matrix, U8]:
    """Replay a history through fresh rows or through those of an arena.

    Parameters
    ----------
    columns
        n transactions in the order of their log; ``slot`` and ``flags`` are filled in place.
    cards
        Card token of each.
    horizon_ms
        As in `stream.features.compute`.
    arena
        Rows to go on from; empty ones when absent.

    Returns
    -------
    X : float32 (n, d)
    S : float32 (n, SEQUENCE_STEPS, C)
    flags : uint8 (n,)
    """
    arena = arena if arena is not None else Arena()
    x = np.empty((len(columns), len(FEATURES)), np.float32)
    s = np.empty((len(columns), SEQUENCE_STEPS, len(SEQUENCE_CHANNELS)), np.float32)
    for start in range(0, len(columns), CHUNK):
        stop = min(start + CHUNK, len(columns))
        columns.slot[start:stop] = arena.slots(cards[start:stop])
        batch, out = part(columns, start, stop), (x[start:stop], s[start:stop])
        compute(arena, batch, horizon_ms, out=out)
    return x, s, columns.flags


def part(columns: Columns, start: int, stop: int) -> Columns:
    """View of the transactions from `start` up to `stop`."""
    return Columns(**{f.name: getattr(columns, f.name)[start:stop] for f in dataclasses.fields(Columns)})
