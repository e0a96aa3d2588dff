"""Detectors without labels, side by side: β-VAE, PCA, isolation forest, ECOD.

ECOD: Li et al., ECOD: Unsupervised Outlier Detection Using Empirical Cumulative Distribution Functions (2022).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from training.detectors import VAE
from training.detectors.base import F32
from training.protocols.figures import F64

Scorer = Callable[[F32, F32, int], F64]


class Ecod:
    """Sum of the negative log tail probabilities of the columns; the larger of left, right and by skewness."""

    def __init__(self, X: F64) -> None:
        self._sorted = np.sort(X, axis=0)
        centred = X - X.mean(axis=0)
        spread = np.maximum(centred.std(axis=0), 1e-12)
        self._skew = ((centred / spread) ** 3).mean(axis=0)

    def score(self, X: F64) -> F64:
        """Score (n,), higher = rarer; tails of the training rows, so that a row's score is its own affair."""
        n = len(self._sorted)
        left, right = np.empty_like(X), np.empty_like(X)
        for j in range(X.shape[1]):
            column = self._sorted[:, j]
            left[:, j] = np.searchsorted(column, X[:, j], side="right")
            right[:, j] = n - np.searchsorted(column, X[:, j], side="left")
        below = -np.log((left + 1) / (n + 1))
        above = -np.log((right + 1) / (n + 1))
        by_skew = np.where(self._skew < 0, below, above)
        sums = [part.sum(axis=1) for part in (below, above, by_skew)]
        return np.asarray(np.max(sums, axis=0), np.float64)


def _whole(X: F32, test: F32) -> tuple[F64, F64]:
    """Training and test rows with medians for missing values, standardised."""
    X, test = X.astype(np.float64), test.astype(np.float64)
    middle = np.nan_to_num(np.nanmedian(X, axis=0))
    X, test = np.where(np.isnan(X), middle, X), np.where(np.isnan(test), middle, test)
    mean, spread = X.mean(axis=0), X.std(axis=0)
    spread[spread < 1e-9] = 1.0
    return (X - mean) / spread, (test - mean) / spread


def vae(X: F32, test: F32, seed: int) -> F64:
    """Score by the β-VAE of the panel, with its mask of missing values."""
    return VAE().fit(X, seed=seed).raw_score(test)


def pca(X: F32, test: F32, seed: int) -> F64:
    """Score by the squared error of a reconstruction from the first half of the principal components."""
    train, rows = _whole(X, test)
    _, vectors = np.linalg.eigh(train.T @ train / len(train))
    kept = vectors[:, -max(1, train.shape[1] // 2) :]
    return np.asarray(((rows - rows @ kept @ kept.T) ** 2).sum(axis=1))


def isolation_forest(X: F32, test: F32, seed: int) -> F64:
    """Score by scikit-learn's isolation forest, 100 trees."""
    from sklearn.ensemble import IsolationForest

    train, rows = _whole(X, test)
    return -np.asarray(IsolationForest(random_state=seed, n_estimators=100).fit(train).score_samples(rows), np.float64)


def ecod(X: F32, test: F32, seed: int) -> F64:
    """Score by ECOD."""
    train, rows = _whole(X, test)
    return Ecod(train).score(rows)


SCORERS: dict[str, Scorer] = {"vae": vae, "pca": pca, "isolation forest": isolation_forest, "ecod": ecod}
