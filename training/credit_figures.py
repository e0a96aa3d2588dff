"""Figures of probabilities of default: ranking, calibration, and the cost of decisions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


def auc_interval(y: F64, score: F64, *, seed: int, rounds: int = 500) -> tuple[float, float, float]:
    """Area under the ROC curve and its 95 % interval by a bootstrap within the classes."""
    rng = np.random.default_rng(seed)
    bad, good = np.flatnonzero(y > 0), np.flatnonzero(y == 0)
    drawn = []
    for _ in range(rounds):
        index = np.concatenate([rng.choice(bad, len(bad)), rng.choice(good, len(good))])
        drawn.append(roc_auc_score(y[index], score[index]))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(roc_auc_score(y, score)), float(low), float(high)


def calibration(y: F64, p: F64) -> dict[str, float]:
    """Brier skill against the constant share, and slope and offset of outcomes on the logit (ideal: 1 and 0)."""
    brier, constant = float(np.mean((p - y) ** 2)), float(np.mean((y.mean() - y) ** 2))
    clipped = np.clip(p, 1e-6, 1 - 1e-6)
    line = LogisticRegression(C=1e6).fit(np.log(clipped / (1 - clipped))[:, None], y)
    return {
        "brier": brier,
        "brier_skill": 1.0 - brier / constant,
        "slope": float(line.coef_[0, 0]),
        "offset": float(line.intercept_[0]),
        "expected_bad": float(p.sum()),
        "observed_bad": float(y.sum()),
    }


def best_threshold(y: F64, p: F64, cost: float) -> float:
    """Refuse from this probability on: the least cost on rows whose outcome may be used to choose.

    A bad row that is accepted costs `cost`, a good row that is refused 1.
    """
    order = np.argsort(-p, kind="stable")
    ranked, outcome = p[order], y[order]
    # refusing the first k rows: their good ones cost 1 each, the bad ones after them `cost` each
    refused_good = np.concatenate([[0.0], np.cumsum(1.0 - outcome)])
    missed = outcome.sum() - np.concatenate([[0.0], np.cumsum(outcome)])
    total = refused_good + cost * missed
    cut = np.concatenate([[True], np.diff(ranked) < 0, [True]])  # never between equal probabilities
    cheapest = np.flatnonzero(cut & (total == total[cut].min()))
    k = int(cheapest[len(cheapest) // 2])
    above = ranked[k - 1] if k else 1.0
    below = ranked[k] if k < len(ranked) else 0.0
    return float(0.5 * (above + below)) if 0 < k < len(ranked) else float(1.1 if k == 0 else 0.0)


def cost_of(y: F64, refused: npt.NDArray[np.bool_], cost: float) -> float:
    """Mean cost of a row: `cost` for each bad one accepted, 1 for each good one refused."""
    return float((cost * ((y > 0) & ~refused).sum() + ((y == 0) & refused).sum()) / len(y))


def nested_cost(y: F64, p: F64, fold: I64, cost: float) -> dict[str, float]:
    """Cost when each fold is decided at the threshold that was best on the other folds, beside simple rules."""
    refused = np.zeros(len(y), bool)
    cuts = []
    for k in np.unique(fold):
        cut = best_threshold(y[fold != k], p[fold != k], cost)
        refused[fold == k] = p[fold == k] >= cut
        cuts.append(cut)
    everyone = np.ones(len(y), bool)
    return {
        "cost": cost_of(y, refused, cost),
        "threshold": float(np.mean(cuts)),
        "refused": float(refused.mean()),
        "bad_caught": float(refused[y > 0].mean()),
        "cost_at_break_even": cost_of(y, p >= 1.0 / (1.0 + cost), cost),
        "cost_accept_all": cost_of(y, ~everyone, cost),
        "cost_refuse_all": cost_of(y, everyone, cost),
    }


def draw_calibration(y: F64, p: F64, path: Path, title: str) -> None:
    """Draw observed against expected shares in ten groups of equal size, with 95 % intervals, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    groups = np.array_split(np.argsort(p, kind="stable"), min(10, max(2, len(p) // 20)))
    expected = np.array([p[g].mean() for g in groups])
    observed = np.array([y[g].mean() for g in groups])
    size = np.array([len(g) for g in groups])
    # Wilson's interval stays inside 0 and 1
    centre = (observed + 1.92 / size) / (1 + 3.84 / size)
    half = 1.96 / (1 + 3.84 / size) * np.sqrt(observed * (1 - observed) / size + 0.96 / size**2)
    figure = Figure(figsize=(6, 6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="0.6", linestyle="--", label="perfect")
    spread = np.abs(np.stack([observed - (centre - half), (centre + half) - observed]))
    axes.errorbar(expected, observed, yerr=spread, fmt="o-", capsize=3, color="#1f5fa8", label="groups of equal size")
    axes.hist(
        p, bins=30, range=(0, 1), weights=np.full(len(p), 1 / len(p)), color="0.85", zorder=0, label="share of rows"
    )
    axes.set(xlabel="probability of default", ylabel="share that was bad", xlim=(0, 1), ylim=(0, 1), title=title)
    axes.legend(loc="upper left")
    figure.savefig(path, dpi=120)
