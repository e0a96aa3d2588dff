"""Raw score to probability: a monotone piecewise-linear table of logits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

F64 = npt.NDArray[np.float64]
_EXACT = 4000  # rows of one label that calibration keeps as they are, and bins for the rest
_SLOPE_FLOOR = 1e-3  # logits per spread of the raw score: no two raw scores may tie, ranking uses the logit
_QUANTILES = (0.0, 0.1, 0.3, 0.5, 0.7, 0.85, 0.93, 0.97, 0.985, 0.993, 0.997, 0.999, 0.9997, 1.0)


@dataclass(frozen=True, slots=True)
class Calibrator:
    """Monotone table; between knots linear, beyond them flat."""

    raw: F64
    logit: F64

    def __call__(self, raw: F64) -> F64:
        """Map raw scores to logits, (n,) -> (n,)."""
        return np.interp(raw, self.raw, self.logit)


def sigmoid(logit: F64) -> F64:
    """Map logits to probabilities without overflow."""
    return 1.0 / (1.0 + np.exp(-np.clip(logit, -60.0, 60.0)))


def logit_of(p: float) -> float:
    """Map a probability in (0, 1) to its logit."""
    return float(np.log(p) - np.log1p(-p))


def fit_calibrator(raw: F64, y: F64, weight: F64 | None = None, ridge: float = 0.05) -> Calibrator:
    """Fit the probability of fraud as a growing function of the raw score.

    The logit is a sum of ramps between knots at quantiles of the raw score, with slopes >= 0, by penalised maximum
    likelihood; unlike isotonic regression it has no flat steps, so ranks survive, and no infinite logits.

    Parameters
    ----------
    raw, y, weight
        (n,) raw scores, labels in {0, 1} and row weights (1 when left out; undo sampling with them).
    ridge
        Penalty on differences of neighbouring slopes.
    """
    raw, y = np.asarray(raw, np.float64), np.asarray(y, np.float64)
    w = np.ones(len(raw)) if weight is None else np.asarray(weight, np.float64)
    knots = _knots(raw, y)
    spread = max(float(np.subtract(*np.quantile(raw, [0.99, 0.01]))), 1e-9)
    raw, y, w = _binned(raw, y, w)
    steps = np.diff(knots)
    ramps = np.clip((raw[:, None] - knots[:-1]) / steps, 0.0, 1.0)
    prior = float(np.clip((w * y).sum() / w.sum(), 1e-7, 1 - 1e-7))
    floor = np.full(len(steps), _SLOPE_FLOOR) * np.minimum(steps / spread, 1.0) + 1e-9

    def loss(theta: F64) -> tuple[float, F64]:
        bias, rise = theta[0], theta[1:]
        z = bias + ramps @ rise
        p = sigmoid(z)
        value = float((w * (np.logaddexp(0.0, z) - y * z)).sum()) + 0.5 * ridge * float(rise @ rise)
        slack = w * (p - y)
        return value, np.concatenate([[slack.sum()], ramps.T @ slack + ridge * rise])

    start = np.concatenate([[logit_of(prior)], floor])
    bounds = [(-30.0, 30.0), *((low, 30.0) for low in floor)]
    theta = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 300}).x
    logit = theta[0] + np.concatenate([[0.0], np.cumsum(theta[1:])])
    return _with_tails(knots, logit, spread)


def rank_calibrator(raw: F64) -> Calibrator:
    """Calibrate without labels: the logit of the share of rows that score lower, growing beyond the data."""
    raw = np.asarray(raw, np.float64)
    share = np.array([0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.9, 0.97, 0.99, 0.997, 0.999])
    knots, first = np.unique(np.quantile(raw, share), return_index=True)
    logit = np.log(share[first]) - np.log1p(-share[first])
    if len(knots) < 2:
        return Calibrator(np.array([knots[0], knots[0] + 1.0]), np.array([0.0, _SLOPE_FLOOR]))
    return _with_tails(knots, logit, float(knots[-1] - knots[0]))


def _knots(raw: F64, y: F64) -> F64:
    fraud = raw[y > 0]
    points = [np.quantile(raw, _QUANTILES)]
    if len(fraud):
        points.append(np.quantile(fraud, [0.1, 0.3, 0.5, 0.7, 0.9]))
    knots = np.unique(np.concatenate(points))
    apart = max(float(knots[-1] - knots[0]) * 1e-4, 1e-9)
    kept = [float(knots[0])]
    for knot in knots[1:]:
        if knot - kept[-1] >= apart:
            kept.append(float(knot))
    return np.array(kept) if len(kept) > 1 else np.array([kept[0], kept[0] + 1.0])


def _binned(raw: F64, y: F64, w: F64) -> tuple[F64, F64, F64]:
    """Bring many rows to means of neighbours of one label: the table between knots is linear, so little is lost."""
    parts = []
    for label in (0.0, 1.0):
        order = np.flatnonzero(y == label)
        order = order[np.argsort(raw[order], kind="stable")]
        # the top is kept row by row: that is where alerts are
        bulk, top = order[: max(len(order) - _EXACT, 0)], order[max(len(order) - _EXACT, 0) :]
        edges = np.linspace(0, len(bulk), min(len(bulk), _EXACT) + 1).astype(np.int64)[:-1]
        if len(bulk):
            mass = np.add.reduceat(w[bulk], edges)
            mean = np.add.reduceat(w[bulk] * raw[bulk], edges) / np.maximum(mass, 1e-12)
            parts.append((mean, np.full(len(mass), label), mass))
        parts.append((raw[top], y[top], w[top]))
    centres, labels, weights = (np.concatenate([part[i] for part in parts]) for i in range(3))
    return centres, labels, weights


def _with_tails(knots: F64, logit: F64, spread: float) -> Calibrator:
    reach = 20.0 * spread
    raw = np.concatenate([[knots[0] - reach], knots, [knots[-1] + reach]])
    ends = np.concatenate([[logit[0] - 0.5], logit, [logit[-1] + 0.5]])
    return Calibrator(raw, ends)
