"""Series of our own with planted anomalies: what a threshold may be chosen on without looking at a benchmark."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from training.detectors.base import F64

DAY = 288  # points of five minutes
KINDS = ("noise", "daily", "counts", "slow", "bursts", "two levels")
CHANGES = ("spike", "shift", "noisier", "flat", "drop")


@dataclass(frozen=True, slots=True)
class Planted:
    """A series, what it is made of, and the first and last point of each change."""

    kind: str
    values: F64
    hours: F64
    changes: list[tuple[str, int, int]]


def planted_series(count: int, length: int, seed: int) -> list[Planted]:
    """Make series of every kind in turn, each with none to three changes past its first fifth.

    Parameters
    ----------
    count, length
        Series, and points of each.
    seed
        Of every random choice.
    """
    random = np.random.default_rng(seed)
    return [_planted(KINDS[k % len(KINDS)], length, random) for k in range(count)]


def _planted(kind: str, length: int, random: np.random.Generator) -> Planted:
    clock: F64 = np.arange(length, dtype=np.float64) + int(random.integers(DAY))
    values = _ordinary(kind, clock, random)
    spread = float(np.std(values)) or 1.0
    changes: list[tuple[str, int, int]] = []
    slots = np.linspace(0.2 * length, 0.97 * length, 4).astype(int)
    for first, stop in pairwise(slots.tolist()):
        if random.random() < 0.6:
            change = str(random.choice(CHANGES))
            width = (
                int(random.integers(1, 5)) if change == "spike" else int(random.integers(length // 80, length // 25))
            )
            at = int(random.integers(first + 5, stop - width))
            values[at : at + width] = _changed(change, values[at : at + width], values[at - 1], spread, random)
            changes.append((change, at, at + width - 1))
    return Planted(kind, values, (clock % DAY) * 24.0 / DAY, changes)


def _ordinary(kind: str, clock: F64, random: np.random.Generator) -> F64:
    n = len(clock)
    day = np.sin(2 * np.pi * clock / DAY)
    noise = random.normal(size=n)
    if kind == "noise":
        return np.asarray(50 + random.uniform(1, 5) * noise)
    if kind == "daily":
        return np.asarray(100 + 30 * day + random.uniform(2, 8) * noise)
    if kind == "counts":
        rate = random.uniform(2, 30) * np.exp(0.6 * day)
        return random.poisson(rate * random.gamma(4.0, 0.25, n)).astype(np.float64)
    if kind == "slow":
        return 20 + np.cumsum(_decaying(noise, 0.2)) * 0.02 + _decaying(noise, 0.97)
    if kind == "bursts":
        return np.exp(_decaying(0.3 * random.standard_t(5, n), 0.8))
    level = np.where(np.cumsum(random.random(n) < 1 / 150) % 2 == 0, 10.0, 25.0)
    return np.asarray(level + noise)


def _decaying(shocks: F64, keep: float) -> F64:
    out = np.empty_like(shocks)
    last = 0.0
    for k, shock in enumerate(shocks.tolist()):
        last = keep * last + shock
        out[k] = last
    return out


def _changed(change: str, values: F64, before: float, spread: float, random: np.random.Generator) -> F64:
    size = random.uniform(3, 8) * random.choice((-1.0, 1.0))
    if change == "spike":
        return values + 1.5 * size * spread
    if change == "shift":
        return values + size * spread
    if change == "noisier":
        return values + abs(size) * spread * random.normal(size=len(values))
    return np.full(len(values), before if change == "flat" else min(0.0, float(values.min())))
