"""How rosy a random split is: boosting trained on random rows beside boosting trained on the past."""

from __future__ import annotations

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score

from training.audit.table import F64, I64, Sheet

_MOST_ROWS = 60_000
LEAST = 20


def gap(sheet: Sheet, leave_out: set[str], seed: int = 0) -> tuple[float, float] | None:
    """Average precision on the newest 30 % and on random 30 % of the rows; None with too few frauds to tell."""
    columns = [c for c in sheet.columns if c.kind != "time" and c.name not in leave_out and np.isfinite(c.values).any()]
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(sheet.y))[:_MOST_ROWS])
    if not columns:
        return None
    X = np.column_stack([column.values[rows] for column in columns])
    y, cut = sheet.y[rows], int(0.7 * len(rows))
    mixed = rng.permutation(len(rows))
    splits = [(np.arange(cut), np.arange(cut, len(rows))), (mixed[:cut], mixed[cut:])]
    if any(y[part].sum() < LEAST for split in splits for part in split):
        return None
    past, random = (_ap(X, y, train, test, seed) for train, test in splits)
    return past, random


def _ap(X: F64, y: np.ndarray[tuple[int], np.dtype[np.bool_]], train: I64, test: I64, seed: int) -> float:
    model = HistGradientBoostingClassifier(
        max_iter=60, max_leaf_nodes=15, early_stopping=False, random_state=seed, max_bins=63
    )
    varied = np.array([len(np.unique(column[np.isfinite(column)][:1000])) > 0 for column in X[train].T])
    model.fit(X[train][:, varied], y[train])
    return float(average_precision_score(y[test], model.decision_function(X[test][:, varied])))
