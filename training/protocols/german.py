"""German credit (UCI Statlog): ten folds, three times; a wrong yes costs five times a wrong no.

Every model gets the same treatment inside the training rows of a fold: five machines, one calibration across them, and
the threshold that costs least on rows that they did not see. The tenth that is left is opened once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import RepeatedStratifiedKFold, StratifiedKFold

from stream.errors import SettingError
from training.credit import Machine, platt, probability
from training.credit_figures import best_threshold, calibration, cost_of
from training.credit_table import Coder, Column, attributes, find_target, read_table
from training.protocols.table import Row, Table

F64 = npt.NDArray[np.float64]
Margin = Callable[[Sequence[Column]], F64]
Fit = Callable[[Sequence[Column], F64, int], Margin]
COST = 5.0
CHOSEN: dict[str, Any] = {
    "svm": {"kernel": "rbf", "C": 1.0, "gamma": "1 / (columns x variance)"},
    "logistic regression": {"penalty": "l2", "C": 1.0},
    "random forest": {"trees": 300, "min_samples_leaf": 1},
    "inputs": "numbers standardised, words as 0/1 columns, learnt on training rows",
    "calibration": "Platt on margins of five inner folds",
    "threshold": "least cost on the inner folds' held-out rows",
    "chosen_by": "defaults of the libraries; nothing was chosen on this table",
}
_INNER = 5
_QUICK_TREES = 100


class Fold(NamedTuple):
    """What one model did on one held-out tenth."""

    auc: float
    cost: float
    cost_break_even: float
    p: F64


def run(data: Path, *, quick: bool, seed: int, say: Callable[[str], None]) -> Table:
    """Judge the support vector machine beside logistic regression and a random forest.

    Raises
    ------
    SettingError
        The data are not a table with a target of two values.
    """
    columns, y = load(data)
    trees, repeats = (_QUICK_TREES, 1) if quick else (CHOSEN["random forest"]["trees"], 3)
    models: dict[str, Fit] = {"svm": _svm, "logistic regression": _logistic, "random forest": _forest(trees)}
    outer = list(RepeatedStratifiedKFold(n_splits=10, n_repeats=repeats, random_state=seed).split(y, y))
    folds: dict[str, list[Fold]] = {name: [] for name in models}
    for k, (train, test) in enumerate(outer):
        for name, fit in models.items():
            folds[name].append(_fold(fit, columns, y, train, test, seed))
        if (k + 1) % 5 == 0:
            say(f"{k + 1} of {len(outer)} folds")
    rows = [_row(name, part, y, outer) for name, part in folds.items()]
    rows += _constants(y)
    headings = ("auc", "auc_se", "cost", "cost_se", "brier_skill", "slope")
    return Table(
        protocol="german",
        chosen=CHOSEN,
        rows=rows,
        headings=headings,
        goals=_goals(folds),
        notes=_notes(folds, repeats, quick),
        details={name: {"auc": [f.auc for f in part], "cost": [f.cost for f in part]} for name, part in folds.items()},
    )


def load(data: Path) -> tuple[list[Column], F64]:
    """Read the table, from a file or from the folder that holds it."""
    places = [data] if data.is_file() else [p for f in (data, data / "credit") for p in sorted(f.glob("german*"))]
    if not places:
        raise SettingError(f"--data {data} holds no german_credit.parquet or .csv; name the file itself")
    table = read_table(places[0])
    target, y = find_target(table, None, None)
    if np.isnan(y).any() or not 0 < y.mean() < 1 or min(y.sum(), (1 - y).sum()) < 100:
        raise SettingError(f"{places[0]} needs the outcome of every row in {target}, and 100 of each for ten folds")
    return attributes(table, target)[0], y


def _fold(
    fit: Fit, columns: list[Column], y: F64, train: npt.NDArray[np.int64], test: npt.NDArray[np.int64], seed: int
) -> Fold:
    known, truth = [column.take(train) for column in columns], y[train]
    asked = [column.take(test) for column in columns]
    inner = StratifiedKFold(_INNER, shuffle=True, random_state=seed)
    unseen, margins = np.zeros(len(train)), []
    for a, b in inner.split(truth, truth):
        margin = fit([column.take(a) for column in known], truth[a], seed)
        unseen[b] = margin([column.take(b) for column in known])
        margins.append(margin(asked))
    line = platt(unseen, truth)
    cut = best_threshold(truth, probability(line(unseen)), COST)
    p = probability(np.mean([line(margin) for margin in margins], axis=0))
    at_break_even = cost_of(y[test], p >= 1.0 / (1.0 + COST), COST)
    return Fold(float(roc_auc_score(y[test], p)), cost_of(y[test], p >= cut, COST), at_break_even, p)


def _svm(columns: Sequence[Column], y: F64, seed: int) -> Margin:
    return Machine(columns, y, seed=seed).margin


def _logistic(columns: Sequence[Column], y: F64, seed: int) -> Margin:
    coder = Coder(columns)
    line = LogisticRegression(C=1.0, max_iter=1000, random_state=seed).fit(coder(columns), y)
    return lambda asked: np.asarray(line.decision_function(coder(asked)), np.float64)


def _forest(trees: int) -> Fit:
    def fit(columns: Sequence[Column], y: F64, seed: int) -> Margin:
        coder = Coder(columns)
        forest = RandomForestClassifier(trees, random_state=seed).fit(coder(columns), y)

        def margin(asked: Sequence[Column]) -> F64:
            share = (forest.predict_proba(coder(asked))[:, 1] * trees + 0.5) / (trees + 1)
            return np.log(share / (1 - share))

        return margin

    return fit


def _error(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1) / len(values) ** 0.5)


def _row(name: str, part: list[Fold], y: F64, outer: list[Any]) -> Row:
    aucs, costs = [f.auc for f in part], [f.cost for f in part]
    p, truth = np.concatenate([f.p for f in part]), np.concatenate([y[test] for _, test in outer])
    fit = calibration(truth, p)
    figures = {
        "auc": float(np.mean(aucs)),
        "auc_sd": float(np.std(aucs, ddof=1)),
        "auc_se": _error(aucs),
        "cost": float(np.mean(costs)),
        "cost_se": _error(costs),
        "cost_break_even": float(np.mean([f.cost_break_even for f in part])),
        "brier_skill": fit["brier_skill"],
        "slope": fit["slope"],
    }
    # folds share their training rows: Nadeau and Bengio's correction of the variance
    half = 1.96 * figures["auc_sd"] * (1 / len(part) + 1 / 9) ** 0.5
    interval = {"auc": (figures["auc"] - half, figures["auc"] + half)}
    return Row(
        name, "10 folds, calibrated, threshold nested", "ours" if name == "svm" else "yardstick", figures, interval
    )


def _constants(y: F64) -> list[Row]:
    everyone = np.ones(len(y), bool)
    costs = {"accept all": cost_of(y, ~everyone, COST), "refuse all": cost_of(y, everyone, COST)}
    return [
        Row("constant", name, "control", {"auc": 0.5, "cost": cost, "brier_skill": 0.0}) for name, cost in costs.items()
    ]


def _goals(folds: dict[str, list[Fold]]) -> list[dict[str, Any]]:
    auc = {name: float(np.mean([f.auc for f in part])) for name, part in folds.items()}
    cost = {name: float(np.mean([f.cost for f in part])) for name, part in folds.items()}
    best = max((name for name in auc if name != "svm"), key=auc.__getitem__)
    error = _error([f.auc for f in folds[best]])
    gap = [np.array([f.cost for f in folds["svm"]]) - np.array([f.cost for f in folds[o]]) for o in folds if o != "svm"]
    level = all(float(g.mean()) <= _error(g.tolist()) for g in gap)
    return [
        {
            "goal": f"SVM's AUC within one standard error ({error:.4f}) of the best other, {best} {auc[best]:.4f}",
            "reached": f"{auc['svm']:.4f}",
            "met": auc["svm"] >= auc[best] - error,
        },
        {
            "goal": "SVM's cost 5:1 below both others, or level within one standard error of the paired difference",
            "reached": ", ".join(f"{name} {value:.4f}" for name, value in cost.items()),
            "met": level,
        },
    ]


def _notes(folds: dict[str, list[Fold]], repeats: int, quick: bool) -> list[str]:
    ours, notes = np.array([f.auc for f in folds["svm"]]), []
    for name, part in folds.items():
        if name != "svm":
            gap = ours - np.array([f.auc for f in part])
            notes.append(
                f"AUC of SVM minus {name}, paired by fold: {gap.mean():+.4f}, standard error {_error(gap.tolist()):.4f}"
            )
    notes.append(
        f"10 folds x {repeats}{f', {_QUICK_TREES} trees (--quick)' if quick else ''}; errors are those of fold means"
    )
    return notes
