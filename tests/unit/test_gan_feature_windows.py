"""Generated fraud windows look like the fold's frauds, not like the rest."""

from __future__ import annotations

import numpy as np
import pytest

from training.gan.feature_windows import FeatureWindowGAN, augment


def fold(n: int = 500) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = (rng.random(n) < 0.15).astype(np.float64)
    windows = rng.normal(0, 1, (n, 8, 3)).astype(np.float32)
    windows[..., 0] += np.where(labels[:, None] > 0, np.linspace(0, 4, 8), 0)
    windows[..., 2] = rng.random((n, 8)) < np.where(labels[:, None] > 0, 0.8, 0.1)
    return windows, labels


def test_generated_windows_follow_the_frauds() -> None:
    windows, labels = fold()
    made = augment(windows, labels, 300, 1, rounds=70)
    real, rest = windows[labels > 0], windows[labels == 0]
    assert made.shape == (300, 8, 3) and set(np.unique(made[..., 2])) <= {0.0, 1.0}
    for c in (0, 2):
        assert (
            np.abs(made[..., c].mean(0) - real[..., c].mean(0)).mean()
            < 0.5 * np.abs(rest[..., c].mean(0) - real[..., c].mean(0)).mean()
        )
    assert made[..., 1].std() > 0.5


def test_the_same_seed_gives_the_same_windows() -> None:
    windows, labels = fold()
    one, two = (augment(windows, labels, 20, 4, rounds=5) for _ in range(2))
    assert np.array_equal(one, two)


def test_too_few_frauds_are_refused() -> None:
    windows, labels = fold(80)
    with pytest.raises(ValueError, match="of each are needed"):
        FeatureWindowGAN().fit(windows, np.where(np.arange(80) < 5, 1.0, 0.0))
    with pytest.raises(ValueError, match="not fitted"):
        FeatureWindowGAN().sample(3)
    assert labels.sum() > 0
