"""Detectors of the ULB protocol, one configuration each, named before its frauds were opened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesClassifier, IsolationForest, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from training.detectors.table_vae import TableVAE

F64 = npt.NDArray[np.float64]
_TREES = 300
_QUICK_STEPS = 1000
_ROUNDS = 400
Score = Callable[[F64], F64]
CHOSEN: dict[str, Any] = {
    "VAE": {
        "mode": "clean (beta 0.1, negative ELBO, a line beyond the range seen)", "latent": 10, "steps": 3000,
        "machines": 3, "score": "mean of their negative ELBO",
    },
    "yardsticks": {"isolation forest": "300 trees", "PCA error": "10 components", "kNN distance": "fifth neighbour"},
    "panel": {"members": "logistic regression, SVM, extra trees, GBDT", "score": "mean of log odds"},
    "inputs": "V1..V28 and log(1 + Amount); never Time",
    "chosen_by": "a recipe known beforehand; nothing was chosen on frauds of this table",
}  # fmt: skip


def _vae(train: F64, seed: int, quick: bool) -> Score:
    steps, machines = (_QUICK_STEPS, 1) if quick else (CHOSEN["VAE"]["steps"], CHOSEN["VAE"]["machines"])
    fitted = [
        TableVAE("clean", latent=CHOSEN["VAE"]["latent"], steps=steps).fit(train.astype(np.float32), seed=seed + k)
        for k in range(machines)
    ]
    return lambda X: np.asarray(np.mean([vae.raw_score(X.astype(np.float32)) for vae in fitted], axis=0), np.float64)


def _forest(train: F64, seed: int, quick: bool) -> Score:
    forest = IsolationForest(n_estimators=_TREES, random_state=seed).fit(train)
    return lambda X: np.asarray(-forest.score_samples(X), np.float64)


def _pca(train: F64, seed: int, quick: bool) -> Score:
    scaler = StandardScaler().fit(train)
    pca = PCA(10, random_state=seed).fit(scaler.transform(train))

    def score(X: F64) -> F64:
        z = scaler.transform(X)
        return np.asarray(((z - pca.inverse_transform(pca.transform(z))) ** 2).sum(axis=1), np.float64)

    return score


def _neighbours(train: F64, seed: int, quick: bool) -> Score:
    scaler = StandardScaler().fit(train)
    near = NearestNeighbors(n_neighbors=5).fit(scaler.transform(train))
    return lambda X: np.asarray(near.kneighbors(scaler.transform(X))[0][:, -1], np.float64)


ONE_CLASS: dict[str, Callable[[F64, int, bool], Score]] = {
    "VAE": _vae,
    "PCA error": _pca,
    "kNN distance": _neighbours,
    "isolation forest": _forest,
}


def _logistic(X: F64, y: F64, asked: F64, seed: int) -> F64:
    scaler = StandardScaler().fit(X)
    line = LogisticRegression(C=0.1, max_iter=1000, random_state=seed).fit(scaler.transform(X), y)
    return np.asarray(line.decision_function(scaler.transform(asked)), np.float64)


def _svm(X: F64, y: F64, asked: F64, seed: int) -> F64:
    scaler = StandardScaler().fit(X)
    machine = SVC(C=1.0, class_weight="balanced", random_state=seed).fit(np.clip(scaler.transform(X), -5, 5), y)
    return np.asarray(machine.decision_function(np.clip(scaler.transform(asked), -5, 5)), np.float64)


def _random_forest(X: F64, y: F64, asked: F64, seed: int) -> F64:
    forest = RandomForestClassifier(_TREES, random_state=seed).fit(X, y)
    return np.asarray(forest.predict_proba(asked)[:, 1], np.float64)


def _extra_trees(X: F64, y: F64, asked: F64, seed: int) -> F64:
    trees = ExtraTreesClassifier(_TREES, class_weight="balanced", random_state=seed).fit(X, y)
    return np.asarray(trees.predict_proba(asked)[:, 1], np.float64)


def _gbdt(X: F64, y: F64, asked: F64, seed: int) -> F64:
    settings = {
        "objective": "binary", "learning_rate": 0.03, "num_leaves": 15, "feature_fraction_bynode": 0.3,
        "lambda_l2": 3.0, "min_data_in_leaf": 10, "seed": seed, "deterministic": True, "force_row_wise": True,
        "num_threads": 1, "verbose": -1,
    }  # fmt: skip
    grown = lightgbm.train(settings, lightgbm.Dataset(X, y), num_boost_round=_ROUNDS)
    return np.asarray(grown.predict(asked, raw_score=True, num_threads=1), np.float64)


def with_labels(X: F64, y: F64, asked: F64, seed: int) -> dict[str, F64]:
    """Fit each detector on labelled rows and score others, (n,) each; the panel is the mean of their log odds."""
    trees = _extra_trees(X, y, asked, seed)
    scores = {
        "logistic regression": _logistic(X, y, asked, seed),
        "random forest": _random_forest(X, y, asked, seed),
        "SVM": _svm(X, y, asked, seed),
        "GBDT": _gbdt(X, y, asked, seed),
    }
    share = (trees * _TREES + 0.5) / (_TREES + 1)
    odds = [scores["logistic regression"], 2.0 * scores["SVM"], scores["GBDT"], np.log(share / (1 - share))]
    return scores | {"panel": np.asarray(np.mean([np.clip(each, -8, 8) for each in odds], axis=0), np.float64)}
