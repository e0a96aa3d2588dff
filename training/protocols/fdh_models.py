"""The models of the handbook's protocol: ours in the configuration chosen on the validation folds, and references."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from training.calibrate import fit_calibrator
from training.detectors import SVM, Detector, SequenceCNN
from training.detectors.base import F32, Inputs
from training.detectors.cnn import take
from training.detectors.gbdt import GBDT
from training.fuse import fit_logistic
from training.protocols.figures import F64, I64

# Chosen on the four validation folds, before the test folds were opened; docs/evaluation/fdh.md has what was tried.
CHOSEN: dict[str, dict[str, object]] = {
    "gbdt": {"trees": 150, "leaves": 15, "rate": 0.05, "column_share": 0.5, "bins": 8191, "genuine_share": 0.5},
    "cnn": {"current_row": True},
    "svm": {"landmarks": 160, "most_rows": 20_000},
}
CROSS_FOLDS = 2
_TAIL = 2000
Scores = list[F64]


def gbdt() -> GBDT:
    """Boosting as chosen."""
    return GBDT(trees=150, leaves=15, rate=0.05, column_share=0.5, bins=8191, genuine_share=0.5)


def cnn() -> SequenceCNN:
    """Convolutions over windows with the current row beside them, as chosen."""
    return SequenceCNN(current_row=True)


def svm() -> SVM:
    """Support vector machine as chosen."""
    return SVM(landmarks=160, most_rows=20_000)


MEMBERS: dict[str, Callable[[], Detector]] = {"gbdt": gbdt, "cnn": cnn, "svm": svm}


def fitted(make: Callable[[], Detector], X: Inputs, y: F64 | None, seed: int) -> Detector:
    """Fit a detector on all rows; only one that must stop early holds out the last fifth of them."""
    detector = make()
    if isinstance(detector, SequenceCNN):
        return detector.fit(X, y, seed=seed)
    tail = slice(max(0, _rows(X) - _TAIL), _rows(X))
    return detector.fit(X, y, seed=seed, validation=None if y is None else (take(X, tail), y[tail]))


def mean_score(
    make: Callable[[], Detector], X: Inputs, y: F64, tests: Sequence[Inputs], seeds: Sequence[int]
) -> Scores:
    """Mean raw score over seeds, for each of several sets of rows."""
    total = [np.zeros(_rows(rows)) for rows in tests]
    for seed in seeds:
        detector = fitted(make, X, y, seed)
        for at, rows in enumerate(tests):
            total[at] += detector.raw_score(rows) / len(seeds)
    return total


def _rows(X: Inputs) -> int:
    return len(X[0]) if isinstance(X, tuple) else len(X)


def card_folds(card: I64, seed: int) -> I64:
    """Fold of each row (n,), the same for all rows of a card."""
    cards, place = np.unique(card, return_inverse=True)
    return (np.random.default_rng(seed).permutation(len(cards)) % CROSS_FOLDS)[place]


def cross_scores(make: Callable[[], Detector], X: Inputs, y: F64, fold: I64, seed: int) -> F64:
    """Raw scores (n,) of training rows by detectors that did not see their cards."""
    out = np.empty(len(y))
    for k in range(CROSS_FOLDS):
        rest, held = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        out[held] = fitted(make, take(X, rest), y[rest], seed).raw_score(take(X, held))
    return out


def fuse(held: Sequence[F64], y: F64, test: Sequence[F64]) -> F64:
    """Fused logit (m,): each member calibrated, then a logistic model, both on cross-fitted scores alone.

    Parameters
    ----------
    held, test
        Scores of each member on training rows (cross-fitted) and on test rows.
    """
    tables = [fit_calibrator(raw, y) for raw in held]
    bias, weights = fit_logistic(np.column_stack([table(raw) for table, raw in zip(tables, held, strict=True)]), y)
    return bias + np.column_stack([table(raw) for table, raw in zip(tables, test, strict=True)]) @ weights


def logistic_regression(X: F32, y: F64, test: F32, seed: int = 0) -> F64:
    """Score by the handbook's logistic regression: standardised inputs, scikit-learn's defaults."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(X)
    model = LogisticRegression(random_state=seed, max_iter=1000).fit(scaler.transform(X), y)
    return np.asarray(model.predict_proba(scaler.transform(test))[:, 1], np.float64)


def random_forest(X: F32, y: F64, test: F32, seed: int = 0) -> F64:
    """Score by the handbook's random forest: 100 trees, scikit-learn's defaults."""
    from sklearn.ensemble import RandomForestClassifier

    model = RandomForestClassifier(random_state=seed, n_jobs=-1).fit(X, y)
    return np.asarray(model.predict_proba(test)[:, 1], np.float64)


def plain_boosting(X: F32, y: F64, test: F32, seed: int = 0) -> F64:
    """Score by plain boosting in the place of the handbook's XGBoost, whose library is not used here.

    Of three settings in the handbook's range (rate, depth, trees) the one that was best on a validation fold: rate
    .03, depth 9, 100 trees; all rows and columns, fine cuts, no early stop.
    """
    import lightgbm

    settings = {
        "objective": "binary", "learning_rate": 0.03, "max_depth": 9, "num_leaves": 512, "min_data_in_leaf": 1,
        "min_sum_hessian_in_leaf": 1.0, "lambda_l2": 1.0, "max_bin": 8191, "verbose": -1, "num_threads": 1,
        "seed": seed, "deterministic": True,
    }  # fmt: skip
    model = lightgbm.train(settings, lightgbm.Dataset(X, y, params={"max_bin": 8191, "verbose": -1}), 100)
    return np.asarray(model.predict(test, raw_score=True), np.float64)
