"""What a feature is, what a family is, and the hash that models are bound to.

A family owns its part of the entity's row (a structured dtype) and small kernels, compiled together by `driver`.
To add a feature: one kernel in a family's file and one line in its `FEATURES`; the contract suite finds it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Kernel = Callable[..., Any]
Matrix = npt.NDArray[np.float32]
Scale = Literal["linear", "log1p", "log"]
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86_400.0


@dataclass(frozen=True, slots=True)
class Feature:
    """One model input.

    Parameters
    ----------
    unit
        Unit of the natural value, see `natural`: ``times``, ``amount``, ``seconds``, ``flag``, ...
    low, high
        Range that the driver guarantees for a value that is not NaN (missing); both exact in float32.
    code, text
        The reason code when it drives a decision, and the analyst's sentence; ``{value}`` and ``{usual}`` are filled.
    compute
        ``compute(state, event, view) -> float``, a compiled kernel; `view` is what the family's `look` returned.
    scale
        How the natural value was bent for the models: ``log1p`` is ln(1 + v), ``log`` is ln(v).
    neutral
        The value that says "as usual for this card"; attribution replaces a feature by it.
    usual
        ``usual(state, event, view) -> float``, what was usual before the event, as a natural value; a constant of
        the same kind; or None where a card has no usual value.
    """

    name: str
    unit: str
    low: float
    high: float
    meaning: str
    code: str
    text: str
    compute: Kernel
    scale: Scale = "linear"
    neutral: float = 0.0
    usual: Kernel | float | None = None
    from_labels: bool = False

    def natural(self, value: float) -> float:
        """Undo the scale: 2.94 of ``log`` is 18.9 times."""
        if self.scale == "log1p":
            return math.expm1(value)
        return math.exp(value) if self.scale == "log" else value

    def shown(self, value: float | None) -> str:
        """Write a value as an analyst reads it: ``18.9 times``, ``3.2 hours``, ``12.50``, ``no history``."""
        return self.written(None if value is None else self.natural(value))

    def written(self, natural: float | None) -> str:
        """Write a natural value as `shown` does."""
        if natural is None or not math.isfinite(natural):
            return "no history"
        if self.unit == "seconds":
            return _duration(natural)
        if self.unit == "flag":
            return "yes" if natural >= 0.5 else "no"
        if self.unit == "amount":
            return f"{natural:,.2f}"
        if self.unit == "share":
            return f"{natural:.0%}"
        return f"{natural:,.0f}" if natural >= 100 else f"{natural:.3g}"


@dataclass(frozen=True, slots=True)
class Entity:
    """Whom a transaction names and state is kept of.

    Parameters
    ----------
    key
        Column of `stream.events.Columns` with its 64-bit key; 0 is missing, and then all its features are NaN.
    width
        0 where each partition keeps rows of its own; else the length of the float64 row that the caller gives.
    """

    name: str
    key: str
    width: int = 0


@dataclass(frozen=True, slots=True)
class Family:
    """A group of features with state of its own.

    Parameters
    ----------
    dtype
        Structured dtype of its part of the entity's row; an all-zero row is a new entity. None: it keeps no state.
    look
        ``look(state, event) -> NamedTuple`` of scalars that its features share. Reads only.
    update
        ``update(state, event)``, called after all features were written; never for late, repeated or reversed ones.
    entity
        Name of the `Entity` whose row holds the state; where that is given, the state is the given row.
    beside
        Name of a family of the first entity, listed before; `look` gets that family's view as a third argument.
    sees_view
        Whether `update` gets its own family's view, too, as a third argument; of the first entity's families alone.
    """

    name: str
    features: tuple[Feature, ...]
    dtype: np.dtype[Any] | None
    look: Kernel
    update: Kernel | None
    entity: str = "card"
    beside: str = ""
    sees_view: bool = False


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel of the sequence: a feature of each of the last transactions, kept as a signed byte.

    Parameters
    ----------
    feature
        Name of the feature it remembers; empty for ``present``, which tells a step from none.
    step
        Value of one quantum; the channel's range is +-127 of them.
    neutral
        What stands for a missing value, and what attribution puts in.
    """

    name: str
    family: str
    feature: str
    step: float
    neutral: float = 0.0


def features_hash(families: tuple[Family, ...], channels: tuple[Channel, ...] = ()) -> str:
    """Hash of all that a model may rely on: names, order, units, ranges and row layouts (sha256, hex)."""
    digest = hashlib.sha256()
    for family in families:
        layout = family.dtype.descr if family.dtype is not None else None
        digest.update(f"{family.entity}/{family.name}/{layout!r}\n".encode())
        for f in family.features:
            digest.update(f"{f.name}|{f.unit}|{f.scale}|{f.low!r}|{f.high!r}|{f.neutral!r}\n".encode())
    for c in channels:
        digest.update(f"{c.name}|{c.family}|{c.feature}|{c.step!r}|{c.neutral!r}\n".encode())
    return digest.hexdigest()


def _duration(seconds: float) -> str:
    for size, word in ((_DAY, "days"), (_HOUR, "hours"), (_MINUTE, "minutes")):
        if seconds >= size:
            return f"{seconds / size:.1f} {word}"
    return f"{seconds:.0f} seconds"
