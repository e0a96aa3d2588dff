"""Figures of a ranking, with intervals by card and day, and paired comparisons of two rankings on the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.stats import rankdata

from training.calibrate import sigmoid

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
DRAWS = 400


class Judged(NamedTuple):
    """Test rows of one fold: labels in {0, 1}, cards and days, (n,) each."""

    y: F64
    card: I64
    day: I64


def auc(y: F64, score: F64) -> float:
    """Area under the ROC curve, ties counted half; NaN where one class is absent."""
    positive = float(y.sum())
    negative = len(y) - positive
    if not positive or not negative:
        return float("nan")
    ranks = rankdata(score)
    return float((ranks[y > 0].sum() - positive * (positive + 1) / 2) / (positive * negative))


def average_precision(y: F64, score: F64) -> float:
    """Average precision, tied scores as one threshold; NaN without positives."""
    return float(Ranking(y, score).figures(np.ones(len(y)))[1])


class Ranking:
    """Labels in order of a score, so that weighted figures take one pass.

    Parameters
    ----------
    y, score
        (n,) labels in {0, 1} and scores, higher = riskier.
    """

    def __init__(self, y: F64, score: F64) -> None:
        self.order = np.argsort(-score, kind="stable")
        ranked = score[self.order]
        self._y = y[self.order]
        self._ends = np.append(np.flatnonzero(np.diff(ranked)), len(y) - 1)

    def figures(self, weight: F64) -> tuple[float, float]:
        """AUC and average precision of rows with weights (n,) in the order of the constructor."""
        w = weight[self.order]
        hits = np.cumsum(w * self._y)[self._ends]
        rows = np.cumsum(w)[self._ends]
        positive, negative = hits[-1], rows[-1] - hits[-1]
        if positive <= 0 or negative <= 0:
            return float("nan"), float("nan")
        gained = np.diff(hits, prepend=0.0)
        precision = hits / np.maximum(rows, 1e-12)
        misses = rows - hits
        below = negative - misses + 0.5 * np.diff(misses, prepend=0.0)
        return float((gained * below).sum() / (positive * negative)), float((gained * precision).sum() / positive)


def card_precision_days(rows: Judged, score: F64, k: int = 100) -> F64:
    """Card precision at k of each day, (days,).

    A card counts by its highest score of the day; of the k highest cards the share with a fraud that day. Cards that
    were caught are removed from later days.

    Source: Le Borgne et al., Reproducible Machine Learning for Credit Card Fraud Detection, ch. 4.
    """
    out: list[float] = []
    caught: set[int] = set()
    for day in np.unique(rows.day).tolist():
        at = np.flatnonzero(rows.day == day)
        at = at[~np.isin(rows.card[at], np.fromiter(caught, np.int64, len(caught)))]
        cards, code = np.unique(rows.card[at], return_inverse=True)
        highest, hit = np.full(len(cards), -np.inf), np.zeros(len(cards))
        np.maximum.at(highest, code, score[at])
        np.maximum.at(hit, code, rows.y[at])
        top = np.argsort(-highest, kind="stable")[:k]
        caught.update(cards[top[hit[top] > 0]].tolist())
        out.append(float(hit[top].sum()) / k)
    return np.array(out)


def ceiling(rows: Judged, k: int = 100) -> float:
    """Card precision at k of a perfect ranker: the labels themselves."""
    return float(card_precision_days(rows, rows.y, k).mean())


def block_weights(rows: Judged, draws: int, seed: int) -> list[F64]:
    """Bootstrap weights of rows: (card, day) blocks are drawn with replacement, `draws` times (n,)."""
    _, block = np.unique(rows.card * 100_000 + rows.day, return_inverse=True)
    count = int(block.max()) + 1
    rng = np.random.default_rng(seed)
    chances = (np.bincount(rng.integers(0, count, count), minlength=count) for _ in range(draws))
    return [chance.astype(np.float64)[block] for chance in chances]


class Resampled:
    """Folds of a test, resampled once, so that every model meets the same draws and differences are paired.

    Parameters
    ----------
    folds
        Rows of each fold.
    seed
        Of the draws.
    draws
        Number of resamples.
    """

    def __init__(self, folds: Sequence[Judged], *, seed: int, draws: int = DRAWS) -> None:
        self.folds = list(folds)
        self._weights = [block_weights(rows, draws, seed + k) for k, rows in enumerate(folds)]
        days = [len(np.unique(rows.day)) for rows in folds]
        rng = np.random.default_rng(seed)
        self._days = [rng.integers(0, count, (draws, count)) for count in days]

    def figures(self, scores: Sequence[F64]) -> dict[str, tuple[float, F64]]:
        """AUC, AP and card precision as means over folds, each with its resampled values (draws,)."""
        point, drawn = np.zeros((len(self.folds), 3)), []
        for k, (rows, score) in enumerate(zip(self.folds, scores, strict=True)):
            ranking, by_day = Ranking(rows.y, score), card_precision_days(rows, score)
            point[k] = (*ranking.figures(np.ones(len(score))), by_day.mean())
            pairs = np.array([ranking.figures(weight) for weight in self._weights[k]])
            drawn.append(np.column_stack([pairs, by_day[self._days[k]].mean(axis=1)]))
        mean, draws = point.mean(axis=0), np.mean(drawn, axis=0)
        return {name: (float(mean[j]), draws[:, j]) for j, name in enumerate(("auc", "ap", "cp100"))}


def interval(drawn: F64, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of resampled values, NaN left out."""
    low, high = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired(ours: tuple[float, F64], other: tuple[float, F64]) -> dict[str, float]:
    """Compare two models on the same draws: difference, its interval, and the one-sided p that ours is no better."""
    drawn = ours[1] - other[1]
    low, high = interval(drawn)
    return {
        "difference": ours[0] - other[0],
        "low": low,
        "high": high,
        "p": float((1 + (drawn <= 0).sum()) / (1 + len(drawn))),
    }


def calibration(y: F64, probability: F64) -> dict[str, float]:
    """Brier skill against the constant of these rows, and slope and intercept of the logits in a logistic model."""
    p = np.clip(np.asarray(probability, np.float64), 1e-7, 1 - 1e-7)
    logit = np.log(p) - np.log1p(-p)

    def loss(theta: F64) -> tuple[float, F64]:
        z = theta[0] + theta[1] * logit
        slack = sigmoid(z) - y
        return float((np.logaddexp(0.0, z) - y * z).mean()), np.array([slack.mean(), (slack * logit).mean()])

    intercept, slope = minimize(loss, np.array([0.0, 1.0]), jac=True, method="L-BFGS-B").x
    base = float(y.mean())
    skill = 1.0 - float(((p - y) ** 2).mean()) / max(float(((base - y) ** 2).mean()), 1e-12)
    return {"brier_skill": skill, "slope": float(slope), "intercept": float(intercept)}


def alert_band(rows: Judged, probability: F64, *, per_day: int = 100, seed: int = 0) -> dict[str, float]:
    """Compare expected and observed frauds among the `per_day` riskiest transactions of each day.

    The interval is that of the difference observed - expected over (card, day) blocks of the band; calibration holds
    where it covers 0.
    """
    band = np.zeros(len(probability), bool)
    for day in np.unique(rows.day).tolist():
        at = np.flatnonzero(rows.day == day)
        band[at[np.argsort(-probability[at], kind="stable")[:per_day]]] = True
    inside = Judged(rows.y[band], rows.card[band], rows.day[band])
    gap = rows.y[band] - probability[band]
    drawn = np.array([float((weight * gap).sum()) for weight in block_weights(inside, DRAWS, seed)])
    low, high = interval(drawn)
    return {
        "expected": float(probability[band].sum()),
        "observed": float(rows.y[band].sum()),
        "low": low,
        "high": high,
        "holds": float(low <= 0.0 <= high),
    }
