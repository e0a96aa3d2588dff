"""Features of a transaction, computed by the same compiled loop live and in training.

Order in the log is the order of computation; each transaction sees the state before it, and features never depend on
how the stream was cut into batches.
"""

from __future__ import annotations

import numpy as np

from stream.events import Columns
from stream.features import amount, context, geography, novelty, sequence, time, velocity
from stream.features.arena import Arena
from stream.features.driver import Program
from stream.features.registry import Channel, Family, Feature, Matrix

__all__ = [
    "FAMILIES", "FAMILY_SLICES", "FEATURES", "FEATURES_HASH", "FEATURES_VERSION", "FEATURE_NAMES", "PROGRAM",
    "SEQUENCE_CHANNELS", "SEQUENCE_STEPS", "Arena", "Channel", "Family", "Feature", "compute",
]  # fmt: skip

FEATURES_VERSION = "1"
HORIZON_MS = 30 * 86_400_000

# The ordered registry: columns of X follow it.
FAMILIES: tuple[Family, ...] = (
    amount.FAMILY,
    velocity.FAMILY,
    time.FAMILY,
    novelty.FAMILY,
    geography.FAMILY,
    context.FAMILY,
)

PROGRAM = Program(FAMILIES)
FEATURES: tuple[Feature, ...] = PROGRAM.features
FEATURE_NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)
FEATURES_HASH: str = PROGRAM.hash
SEQUENCE_STEPS = sequence.STEPS
SEQUENCE_CHANNELS: tuple[Channel, ...] = sequence.CHANNELS


def _slices() -> dict[str, slice]:
    slices, start = {}, 0
    for family in FAMILIES:
        slices[family.name] = slice(start, start + len(family.features))
        start += len(family.features)
    return slices


FAMILY_SLICES: dict[str, slice] = _slices()


def compute(
    arena: Arena,
    columns: Columns,
    horizon_ms: int = HORIZON_MS,
    *,
    update_only: bool = False,
    program: Program = PROGRAM,
    out: tuple[Matrix, Matrix] | None = None,
    habits: Matrix | None = None,
) -> tuple[Matrix, Matrix]:
    """Write the features of a batch, then let each transaction update its card's row, one after the other.

    Late and repeated transactions (both flagged in ``columns.flags``) update nothing; declined ones count as attempts;
    reversals only mark their id as seen.

    Parameters
    ----------
    arena
        Rows of the partition's cards, its watermark among them.
    columns
        n transactions with ``slot`` from ``arena.slots``; C-contiguous, writable arrays.
    horizon_ms
        Older than this behind the newest event of the arena is late.
    update_only
        Move the state and write no features, as a replay needs it; the arrays come back empty.
    program
        The compiled families; the shipped ones unless told.
    out
        Where to write X and S, C-contiguous and of n rows; new arrays when absent.
    habits
        Where to write what was usual for each card before the transaction, float32 (n, len(program.habits)),
        C-contiguous, for `Program.usual`; not told when absent.

    Returns
    -------
    X : float32 (n, d)
        NaN where missing, else within the feature's declared range.
    S : float32 (n, SEQUENCE_STEPS, C)
        Always finite; the newest step is the transaction itself, steps before the card's first are 0.

    Raises
    ------
    ValueError
        A slot is not a row of the arena, or `habits` has another shape.
    """
    n = 0 if update_only else len(columns)
    u = np.empty((0, len(program.habits)), np.float32) if habits is None or update_only else habits
    if habits is not None and u.shape != (n, len(program.habits)):
        raise ValueError(f"habits must be of shape {(n, len(program.habits))}, not {u.shape}")
    if out is not None and n:
        program.run(arena.state, arena.clock, horizon_ms, columns, *out, u, update_only)
        return out
    x = np.empty((max(n, 1), len(program.features)), np.float32)
    s = np.empty((n, sequence.STEPS, len(sequence.CHANNELS)), np.float32)
    program.run(arena.state, arena.clock, horizon_ms, columns, x, s, u, update_only)
    return x[:n], s
