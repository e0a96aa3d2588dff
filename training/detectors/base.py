"""What every detector is: fit, raw score, calibrated score, ONNX."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from training.calibrate import Calibrator, fit_calibrator, rank_calibrator, sigmoid

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]


class Windows(NamedTuple):
    """Inputs of a sequence detector that also sees the current row."""

    steps: F32  # (n, K, C)
    row: F32  # (n, d)


Inputs = F32 | Windows


class Detector(ABC):
    """A trainable model of how risky a row is.

    Any float matrix (n, d), or windows (n, K, C) for sequence detectors; NaN is missing. A detector scales its own
    inputs, inside its graph too, and never changes the arrays it is given.
    """

    name: ClassVar[str]
    kind: ClassVar[str]  # tabular | sequence
    supervised: ClassVar[bool]
    calibrator: Calibrator | None = None

    @abstractmethod
    def fit(
        self, X: Inputs, y: npt.ArrayLike | None = None, *, seed: int, validation: tuple[Inputs, F64] | None = None
    ) -> Self:
        """Train.

        Parameters
        ----------
        X
            (n, d) or (n, K, C), in order of time.
        y
            (n,) labels in {0, 1}, or None for detectors that need none.
        seed
            Two fits with one seed give the same detector.
        validation
            Later rows with their labels for early stopping; the last fifth of X when left out.
        """

    @abstractmethod
    def raw_score(self, X: Inputs) -> F64:
        """Score on the model's own scale, (n,) float64, higher = riskier."""

    @abstractmethod
    def to_onnx(self, path: Path) -> None:
        """Write the graph of `raw_score`: inputs ``x`` and/or ``s``, output ``score`` (n,)."""

    @property
    @abstractmethod
    def parameters(self) -> int:
        """Count of trained numbers."""

    def score(self, X: Inputs) -> F64:
        """Score calibrated to [0, 1], (n,).

        Raises
        ------
        ValueError
            Before `fit`.
        """
        if self.calibrator is None:
            raise ValueError(f"{type(self).__name__} is not fitted")
        return sigmoid(self.calibrator(self.raw_score(X)))

    def _calibrate(self, X: Inputs, y: F64 | None) -> None:
        """Give `score` a first scale from held-out rows; training replaces it by a cross-fitted one."""
        raw = self.raw_score(X)
        labelled = y is not None and 0.0 < float(np.mean(y)) < 1.0
        self.calibrator = fit_calibrator(raw, y) if labelled and y is not None else rank_calibrator(raw)


def labels_of(y: npt.ArrayLike | None, n: int) -> F64:
    """Check labels of a supervised detector.

    Raises
    ------
    ValueError
        None, of another length, or of one class only.
    """
    if y is None:
        raise ValueError("this detector learns from labels; pass y")
    labels = np.asarray(y, np.float64).reshape(-1)
    if len(labels) != n or not np.isin(labels, (0.0, 1.0)).all() or len(np.unique(labels)) < 2:
        raise ValueError(f"y must hold {n} labels of both classes, 0 and 1")
    return labels


def split_last(n: int, share: float = 0.2) -> tuple[slice, slice]:
    """Split rows in time order: the first part to train, the last to validate."""
    cut = max(1, int(n * (1 - share)))
    return slice(0, cut), slice(cut if cut < n else 0, n)
