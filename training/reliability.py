"""Whether a probability means what it says: Brier skill, slope, expected against observed frauds among alerts.

Source of the method: Cox, Two further applications of a model for binary regression (1958); Murphy, A new vector
partition of the probability score (1973).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from training.bootstrap import Blocks, weighted_sum
from training.calibrate import logit_of, sigmoid
from training.samples import F64, Mask, Samples

_EDGES = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 1.0)


def reliability(logit: F64, fraud: Mask, alert: Mask, blocks: Blocks) -> dict[str, Any]:
    """Judge the probabilities behind a logit.

    Parameters
    ----------
    logit, fraud, alert
        (n,) fused logit, what happened, which rows were alerted.
    blocks
        Of the same rows, for the interval.

    Returns
    -------
    dict
        ``brier_skill`` against the constant share of frauds of these very rows; ``slope`` and ``intercept`` of a
        logistic regression of the outcome on the logit; ``expected`` and ``observed`` frauds among alerts with the 95 %
        interval of observed / expected; ``bins`` of the reliability diagram.
    """
    p, y = sigmoid(logit), fraud.astype(np.float64)
    share = float(y.mean())
    skill = 1.0 - float(((p - y) ** 2).mean()) / max(share * (1 - share), 1e-12)
    intercept, slope = logistic_line(logit, y)
    expected, observed = weighted_sum(p * alert, blocks.of), weighted_sum(y * alert, blocks.of)
    low, high = blocks.intervals({"ratio": lambda w: observed(w) / max(expected(w), 1e-9)}, {})["ratio"]
    return {
        "brier_skill": skill,
        "slope": slope,
        "intercept": intercept,
        "expected": float(p[alert].sum()),
        "observed": int(fraud[alert].sum()),
        "ratio": float(y[alert].sum() / max(p[alert].sum(), 1e-9)),
        "ratio_interval": (low, high),
        "within": bool(low <= 1.0 <= high),
        "bins": _bins(p, y),
    }


def logistic_line(logit: F64, y: F64) -> tuple[float, float]:
    """Intercept and slope of P(y) = sigmoid(a + b logit) by Newton's method; NaN where one class is absent."""
    if not 0 < y.sum() < len(y):
        return float("nan"), float("nan")
    design = np.stack([np.ones(len(logit)), np.clip(logit, -20.0, 20.0)], axis=1)
    theta = np.array([0.0, 1.0])
    for _ in range(50):
        p = sigmoid(design @ theta)
        step = np.linalg.solve((design.T * np.maximum(p * (1 - p), 1e-12)) @ design, design.T @ (y - p))
        theta = theta + np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < 1e-8:
            break
    return float(theta[0]), float(theta[1])


def shifted(logit: F64, trained: float, here: float) -> F64:
    """Move a logit that was calibrated at one share of fraud to another share."""
    return logit + logit_of(here) - logit_of(trained)


def known_share(samples: Samples, warm_up: Mask) -> float:
    """Share of reported fraud before the judged rows; one fraud is added, so that none does not mean never."""
    y = samples.y[warm_up]
    return (float(y.sum()) + 1.0) / (len(y) + 2.0)


def _bins(p: F64, y: F64) -> list[dict[str, float]]:
    edges = np.array(_EDGES)
    where = np.clip(np.searchsorted(edges, p, side="right") - 1, 0, len(edges) - 2)
    out = []
    for k in range(len(edges) - 1):
        inside = where == k
        if inside.any():
            out.append({"rows": int(inside.sum()), "said": float(p[inside].mean()), "seen": float(y[inside].mean())})
    return out
