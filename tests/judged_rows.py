"""Rows for the tests of figures."""

from __future__ import annotations

import numpy as np

from stream.features import FEATURE_NAMES
from training.samples import Samples

HOUR = 3_600_000


def rows(fraud: np.ndarray, **more: object) -> Samples:
    """Samples with one transaction an hour, each on a card of its own unless told otherwise."""
    n = len(fraud)
    given: dict[str, object] = {
        "X": np.zeros((n, len(FEATURE_NAMES)), np.float32),
        "S": np.zeros((n, 2, 13), np.float32),
        "y": np.asarray(fraud, float),
        "fraud": np.asarray(fraud) > 0,
        "event_time": np.arange(n, dtype=np.int64) * HOUR,
        "card": np.arange(n, dtype=np.int64),
        "bank": np.zeros(n, np.int64),
        "fraud_case": np.full(n, -1, np.int64),
        "story": np.full(n, "", "U24"),
    }
    return Samples(**(given | more))  # type: ignore[arg-type]
