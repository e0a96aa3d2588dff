"""Features of a whole history, by the live code, in the order given."""

from __future__ import annotations

import dataclasses

import numpy as np

from stream.advance import Arena, Book, advance, new_arena
from stream.events import U8, Columns
from stream.features import FEATURES, HORIZON_MS, SEQUENCE_CHANNELS, SEQUENCE_STEPS
from stream.features.registry import Matrix

CHUNK = 65_536


def features_of(
    columns: Columns, horizon_ms: int = HORIZON_MS, arena: Arena | None = None, book: Book | None = None
) -> tuple[Matrix, Matrix, U8]:
    """Replay a history through fresh state or through that of an arena.

    Parameters
    ----------
    columns
        n transactions in the order of their log; ``flags`` are filled in place.
    horizon_ms
        As in `stream.advance.advance`.
    arena
        State to go on from; empty when absent.
    book
        What they may know beyond their own log; nothing when absent.

    Returns
    -------
    X : float32 (n, d)
    S : float32 (n, SEQUENCE_STEPS, C)
    flags : uint8 (n,)
    """
    arena = arena if arena is not None else new_arena()
    x = np.empty((len(columns), len(FEATURES)), np.float32)
    s = np.empty((len(columns), SEQUENCE_STEPS, len(SEQUENCE_CHANNELS)), np.float32)
    for start in range(0, len(columns), CHUNK):
        stop = min(start + CHUNK, len(columns))
        advance(arena, part(columns, start, stop), book or Book(), horizon_ms, out=(x[start:stop], s[start:stop]))
    return x, s, columns.flags


def part(columns: Columns, start: int, stop: int) -> Columns:
    """View of the transactions from `start` up to `stop`."""
    return Columns(**{f.name: getattr(columns, f.name)[start:stop] for f in dataclasses.fields(Columns)})
