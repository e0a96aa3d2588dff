"""Support vector machine with an RBF kernel, through landmarks, and its graph as one kernel product.

Source of the method: Williams & Seeger, Using the Nyström Method to Speed Up Kernel Machines (2001); Cortes & Vapnik,
Support-Vector Networks (1995).
"""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.svm import LinearSVC
from torch import Tensor, nn

from training.detectors.base import F64, Inputs, labels_of, split_last
from training.detectors.scaling import Tabular
from training.detectors.torch_base import TorchDetector

_KEPT = 1e-3  # share of the largest eigenvalue below which a kernel direction is noise in float32


class KernelNet(nn.Module):
    """weights · exp(-gamma |phi(x) - landmarks|²) + bias, with the whitening folded into the weights."""

    def __init__(self, tabular: Tabular, landmarks: F64, weights: F64, bias: float, gamma: float) -> None:
        super().__init__()
        self.tabular = tabular
        self.product = nn.Parameter(torch.tensor(2.0 * gamma * landmarks.T, dtype=torch.float32))
        self.offset = nn.Parameter(torch.tensor(-gamma * (landmarks**2).sum(axis=1), dtype=torch.float32))
        self.weights = nn.Parameter(torch.tensor(weights[:, None], dtype=torch.float32))
        self.bias = nn.Parameter(torch.tensor(bias, dtype=torch.float32))
        self.gamma = gamma

    def forward(self, x: Tensor) -> Tensor:
        """Margin (n,)."""
        phi = self.tabular(x)
        square = (phi * phi).sum(dim=1, keepdim=True)
        kernel = torch.exp(phi @ self.product + self.offset - self.gamma * square)
        return (kernel @ self.weights).squeeze(1) + self.bias


class SVM(TorchDetector[KernelNet]):
    """RBF machine on ``landmarks`` rows; raw score = margin.

    Parameters
    ----------
    landmarks
        Rows that span the kernel, half of them frauds where there are enough.
    cost
        Weight of the hinge loss against the norm; classes are balanced.
    width
        Kernel width as a multiple of the median distance between rows.
    """

    name = "svm"
    kind = "tabular"
    supervised = True

    def __init__(self, landmarks: int = 160, cost: float = 1.0, width: float = 1.0, most_rows: int = 120_000) -> None:
        self.landmarks, self.cost, self.width, self.most_rows = landmarks, cost, width, most_rows

    def fit(
        self, X: Inputs, y: npt.ArrayLike | None = None, *, seed: int, validation: tuple[Inputs, F64] | None = None
    ) -> Self:
        """Fit on rows X (n, d) with labels y (n,)."""
        if isinstance(X, tuple) or X.ndim != 2:
            raise ValueError("SVM takes a matrix (n, d)")
        rows = np.ascontiguousarray(X, np.float32)
        labels = labels_of(y, len(rows))
        rng = np.random.default_rng(seed)
        tabular = Tabular(rows.shape[1]).learn(rows, labels, seed=seed)
        used = _balanced(labels, self.most_rows, rng)
        with torch.no_grad():
            phi = tabular(torch.tensor(rows[used])).numpy().astype(np.float64)
        self.module = self._solve(tabular, phi, labels[used], rng).eval()
        held = split_last(len(rows))[1]
        self._calibrate(*(validation if validation is not None else (rows[held], labels[held])))
        return self

    def _solve(self, tabular: Tabular, phi: F64, y: F64, rng: np.random.Generator) -> KernelNet:
        landmarks = phi[_landmarks(y, self.landmarks, rng)]
        some = phi[rng.choice(len(phi), min(len(phi), 500), replace=False)]
        distances = ((some[:, None, :] - some[None, ::7, :]) ** 2).sum(axis=2)
        gamma = 1.0 / (self.width**2 * max(float(np.median(distances)), 1e-6))
        values, vectors = np.linalg.eigh(rbf_kernel(landmarks, gamma=gamma))
        kept = values > _KEPT * values[-1]
        whiten = vectors[:, kept] / np.sqrt(values[kept])
        machine = LinearSVC(C=self.cost, class_weight="balanced", dual=False, tol=1e-4, random_state=0, max_iter=500)
        machine.fit(rbf_kernel(phi, landmarks, gamma=gamma) @ whiten, y)
        return KernelNet(tabular, landmarks, whiten @ machine.coef_[0], float(machine.intercept_[0]), gamma)

    def _example(self) -> dict[str, Tensor]:
        net = self._fitted()
        return {"x": torch.zeros(3, len(net.tabular.scaler.centre))}


def _balanced(y: F64, most: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    fraud, genuine = np.flatnonzero(y > 0), np.flatnonzero(y == 0)
    fraud = rng.permutation(fraud)[: most // 2]
    genuine = rng.permutation(genuine)[: most - len(fraud)]
    return np.sort(np.concatenate([fraud, genuine]))


def _landmarks(y: F64, number: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    fraud, genuine = rng.permutation(np.flatnonzero(y > 0)), rng.permutation(np.flatnonzero(y == 0))
    half = min(number // 2, len(fraud))
    return np.sort(np.concatenate([fraud[:half], genuine[: number - half]]))
