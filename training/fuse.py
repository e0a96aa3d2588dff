"""Fusion of detector logits: non-negative logistic weights for every subset, cross-fitted, with cuts by precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from stream.scoring.manifest import SubsetFusion, subset_key
from training.calibrate import Calibrator, fit_calibrator, logit_of, sigmoid
from training.cases import cuts_for_precision
from training.samples import F64, Samples

TARGETS = {"review": 0.70, "step_up": 0.85, "decline": 0.95}
RULE = (
    "lowest cut on the cross-fitted fused score from which on the share of alert cases (one card, 24 h) with a "
    "labelled fraud stays at or above review 0.70, step_up 0.85, decline 0.95, looking at 100 cases and more; where no "
    "cut does, the most precise one, and for a subset the whole panel's share of alerts"
)
_FOLDS = 2
_SMALL, _EVERY = 50_000, 20


@dataclass(frozen=True, slots=True)
class Fused:
    """Calibrators of the detectors, the rule of every subset, and cross-fitted fused logits by subset, (n,) each."""

    calibrators: dict[str, Calibrator]
    subsets: dict[str, SubsetFusion]
    logits: dict[str, F64]
    prior: float


def fit_fusion(raw: Mapping[str, F64], samples: Samples, *, seed: int) -> Fused:
    """Fit calibration, fusion and cuts on rows that no detector was trained on.

    Cards fall into folds. A fold's logits come from calibrators fitted on the other folds, the fusion that judges a
    fold from weights fitted on the others; the shipped ones are then fitted on all of these out-of-fold values.

    Parameters
    ----------
    raw
        Raw scores by detector, (n,) each.
    samples
        The n rows, at the prevalence that scores shall be calibrated to.
    seed
        Of the folds.
    """
    names = sorted(raw)
    fold = _folds(samples.card, seed)
    held = np.stack([_cross_calibrated(raw[name], samples.y, fold) for name in names], axis=1)
    calibrators = {name: fit_calibrator(raw[name], samples.y) for name in names}
    logits: dict[str, F64] = {}
    columns: dict[str, F64] = {}
    for size in range(1, len(names) + 1):
        for members in combinations(range(len(names)), size):
            key = subset_key([names[i] for i in members])
            columns[key] = held[:, members]
            logits[key] = _cross_fused(columns[key], samples.y, fold)
    everyone = subset_key(names)
    shares = [float((logits[everyone] >= cut).mean()) for cut in _cuts(logits[everyone], samples, None)]
    subsets = {key: _rule(key.split("+"), columns[key], _cuts(logits[key], samples, shares), samples) for key in logits}
    return Fused(calibrators, subsets, logits, float(samples.y.mean()))


def fit_logistic(logits: F64, y: npt.ArrayLike, ridge: float = 1.0) -> tuple[float, F64]:
    """Fit bias and weights >= 0 of a logistic model on logits (n, m); the fused logit grows with every member's."""
    logits, target, weight = _thinned(logits, np.asarray(y, np.float64))
    prior = float(np.clip((weight * target).sum() / weight.sum(), 1e-6, 1 - 1e-6))

    def loss(theta: F64) -> tuple[float, F64]:
        z = theta[0] + logits @ theta[1:]
        slack = weight * (sigmoid(z) - target)
        value = float((weight * (np.logaddexp(0.0, z) - target * z)).sum()) + 0.5 * ridge * float(theta[1:] @ theta[1:])
        return value, np.concatenate([[slack.sum()], logits.T @ slack + ridge * theta[1:]])

    m = logits.shape[1]
    start = np.concatenate([[logit_of(prior) * (1 - 0.9)], np.full(m, 0.9 / m)])
    bounds = [(-30.0, 30.0), *([(1e-3, 10.0)] * m)]
    theta = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500}).x
    return float(theta[0]), theta[1:]


def _thinned(logits: F64, y: F64) -> tuple[F64, F64, F64]:
    """Keep every fraud and every row that some member ranks high; of the rest one in twenty, with that weight."""
    if len(y) < _SMALL:
        return logits, y, np.ones(len(y))
    high = (logits >= np.quantile(logits, 0.98, axis=0)).any(axis=1) | (y > 0)
    rest = np.flatnonzero(~high)[::_EVERY]
    chosen = np.concatenate([np.flatnonzero(high), rest])
    share = (~high).sum() / max(len(rest), 1)
    return logits[chosen], y[chosen], np.where(high[chosen], 1.0, share)


def _folds(card: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.int64]:
    cards, position = np.unique(card, return_inverse=True)
    return (np.random.default_rng(seed).permutation(len(cards)) % _FOLDS)[position]


def _cross_calibrated(raw: F64, y: F64, fold: npt.NDArray[np.int64]) -> F64:
    out = np.empty(len(raw))
    for k in range(_FOLDS):
        out[fold == k] = fit_calibrator(raw[fold != k], y[fold != k])(raw[fold == k])
    return out


def _cross_fused(columns: F64, y: F64, fold: npt.NDArray[np.int64]) -> F64:
    out = np.empty(len(columns))
    for k in range(_FOLDS):
        bias, weights = fit_logistic(columns[fold != k], y[fold != k])
        out[fold == k] = columns[fold == k] @ weights + bias
    return out


def _cuts(fused: F64, samples: Samples, shares: Sequence[float] | None) -> list[float]:
    """Cuts on a fused logit for every target; where one is out of reach, at a share of alerts if one is given."""
    found = cuts_for_precision(samples, fused, samples.y > 0, list(TARGETS.values()))
    cuts = []
    for i, (cut, reached) in enumerate(found):
        short = not reached and shares is not None
        cuts.append(float(np.quantile(fused, 1 - shares[i])) if short and shares is not None else cut)
    return np.maximum.accumulate(cuts).tolist()


def _rule(members: Sequence[str], columns: F64, cuts: Sequence[float], samples: Samples) -> SubsetFusion:
    bias, weights = fit_logistic(columns, samples.y)
    review, step_up, decline = np.clip(sigmoid(np.array(cuts)), 1e-6, 1 - 1e-6).tolist()
    return SubsetFusion(list(members), bias, [float(w) for w in weights], review, step_up, decline)
