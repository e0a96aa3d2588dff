"""The measures put real above good, good above collapsed, collapsed above noise; and catch what remembers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from training.gan.privacy import closest, copies, privacy, true_positives
from training.gan.quality import (
    correlation_distance,
    coverage,
    ks,
    tell_apart,
    tell_windows_apart,
    useful,
)

ROWS, STEPS, CHANNELS = 900, 8, 5
RNG = np.random.default_rng(7)
MIX = RNG.normal(size=(4, STEPS * CHANNELS))


def draw(n: int, seed: int, wrong: float = 0.0) -> np.ndarray:
    """Rows of three kinds with few factors, skewed; `wrong` blurs and shifts them as a middling generator would."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(n, 4)) + 2.0 * np.eye(4)[rng.integers(0, 3, n)]
    plain = factors @ MIX + 0.3 * rng.normal(size=(n, STEPS * CHANNELS))
    return np.tanh(0.5 * (plain + wrong * rng.normal(size=plain.shape))) + 0.15 * wrong


REAL = draw(ROWS, 1)
COLLAPSED = REAL[RNG.integers(0, 12, ROWS)] + 0.12 * RNG.normal(size=REAL.shape) + 0.25
MADE = {
    "real": draw(ROWS, 2),
    "good": draw(ROWS, 3, 0.5),
    "collapsed": COLLAPSED,
    "noise": RNG.uniform(-3, 3, REAL.shape),
}
GROUPS = (np.arange(ROWS), np.arange(ROWS))


def worth(made: np.ndarray) -> float:
    """Badness of learning from rows to predict one column of real rows from the others."""
    real, middle = draw(ROWS, 9), np.median(REAL[:, 5])
    parts = [(np.delete(x, 5, axis=1), (x[:, 5] > middle).astype(np.float64)) for x in (made, real)]
    return 1 - useful(*parts[0], *parts[1], 0)


def windows(x: np.ndarray) -> np.ndarray:
    return x.reshape(-1, STEPS, CHANNELS).astype(np.float32)


MEASURES: dict[str, Callable[[np.ndarray], float]] = {
    "ks": lambda x: float(ks(REAL, x).mean()),
    "correlation": lambda x: correlation_distance(REAL, x),
    "coverage": lambda x: 1 - coverage(REAL, x, 0),
    "boosting": lambda x: tell_apart(REAL, x, GROUPS, 0),
    "cnn": lambda x: tell_windows_apart(windows(REAL), windows(x), GROUPS, 0),
    "use": worth,
}


@pytest.mark.parametrize("name", MEASURES)
def test_order_holds(name: str) -> None:
    real, good, collapsed, noise = (MEASURES[name](MADE[kind]) for kind in ("real", "good", "collapsed", "noise"))
    assert real < good < collapsed <= noise


def test_two_real_samples_are_hardly_told_apart() -> None:
    assert abs(MEASURES["boosting"](MADE["real"]) - 0.5) < 0.06


def test_a_missing_value_is_a_value_of_its_own() -> None:
    holes = REAL.copy()
    holes[:450, 0] = np.nan
    assert ks(REAL, holes)[0] == pytest.approx(0.5, abs=0.01)


def test_a_model_that_learned_is_private_and_one_that_remembers_is_caught() -> None:
    train, held_out, fresh = draw(600, 11), draw(600, 12), draw(600, 13)
    honest = privacy(train, held_out, fresh, 0)
    planted = privacy(train, held_out, train + 0.01 * RNG.normal(size=train.shape), 0)
    assert 0.44 < honest["closest_share"] < 0.56 and honest["copies"] == 0
    assert honest["membership_tpr"] < 0.04 and abs(honest["membership_auc"] - 0.5) < 0.05
    assert planted["closest_share"] > 0.95 and planted["membership_tpr"] > 0.9 and planted["membership_auc"] > 0.9


def test_copies_are_counted() -> None:
    made = draw(50, 14)
    made[:7] = REAL[:7]
    assert copies(REAL, made) == 7
    assert closest(made, REAL)[:7].max() < 1e-6


def test_true_positives_at_one_percent() -> None:
    others = np.arange(1000.0)
    assert true_positives(np.array([995.0, 998.0, 5.0, 6.0]), others) == 0.5
