"""What a feature is, and the ordered list of families.

A family owns its columns of the entity's row (a structured dtype) and one sequential kernel, compiled with numba.
To add a feature: one function in a family file and one line in its `FEATURES`; the contract suite finds it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Feature:
    """One model input.

    Parameters
    ----------
    low, high
        Range that the kernel guarantees for a value that is not NaN (missing).
    neutral
        The value that says "as usual for this card"; attribution replaces a feature by it.
    code, text
        The reason code when it drives a decision, and the analyst's sentence; ``{value}`` and ``{usual}`` are filled.
    """

    name: str
    unit: str
    low: float
    high: float
    meaning: str
    code: str
    text: str
    neutral: float = 0.0


@dataclass(frozen=True, slots=True)
class Family:
    """A group of features with state of its own.

    Parameters
    ----------
    dtype
        Structured dtype of its part of an entity's row; an all-zero row is a new entity.
    kernel
        ``kernel(rows, columns..., out)``: for each event in order, write the features, then update the row.
    """

    name: str
    features: tuple[Feature, ...]
    dtype: np.dtype[Any]
    kernel: Callable[..., None]
    entity: str = "card"


def features_hash(families: tuple[Family, ...]) -> str:
    """Hash of all that a model may rely on: names, order, units, ranges and row layouts (sha256, hex)."""
    digest = hashlib.sha256()
    for family in families:
        digest.update(f"{family.entity}/{family.name}/{family.dtype!r}\n".encode())
        for f in family.features:
            digest.update(f"{f.name}|{f.unit}|{f.low!r}|{f.high!r}|{f.neutral!r}\n".encode())
    return digest.hexdigest()


Matrix = npt.NDArray[np.float32]
