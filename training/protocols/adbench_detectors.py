"""The detectors of the anomaly benchmark, one configuration each, named before any of its tables was opened.

The recipes are of an earlier study that had seen the ten tables of the goals; the head's penalty, the few-label panel's
members and their weights were settled on two tables outside the benchmark: handwritten digits with one of them made
rare, and a generated table with a rare class.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import lightgbm
import numpy as np
import numpy.typing as npt
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, IsolationForest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import QuantileTransformer, StandardScaler
from sklearn.svm import SVC

from training.detectors.table_vae import TableVAE
from training.protocols.adbench_data import Split

F64 = npt.NDArray[np.float64]
CHOSEN: dict[str, Any] = {
    "VAE": {
        "columns": "normal scores of mid-ranks", "hidden": [64, 64], "beta": 2.0, "steps": 1000,
        "score": "z(KL) + z(-ELBO)",
    },
    "isolation forest": {"trees": 200},
    "VAE + forest": {"score": "z(VAE) + z(isolation forest)"},
    "VAE head": {
        "inputs": "the VAE's scores, errors, code, KL, ELBO", "C": 0.01, "classes": "balanced", "vae": [0.4, 0.2],
    },
    "few-label panel": {
        "members": "VAE head, extra trees (200), from ten known anomalies on boosting (150); mean of z-scores",
        "and": "the mean of VAE and forest", "weight": [0.4, 0.2],
    },
    "few": 10,
    "GBDT": {"rate": 0.03, "trees": 400, "column share": 0.3, "l2": 3.0},
    "SVM": {"C": 1.0, "kernel": "rbf", "inputs": "standardised and normal scores side by side"},
    "chosen_by": "recipes known beforehand and tables outside the benchmark",
}  # fmt: skip
HEADLINE = {0.0: "VAE", 0.01: "few-label panel", 0.1: "few-label panel"}


class Outlook(NamedTuple):
    """What is known of a split without labels: scores of training and test rows, and inputs for a head."""

    vae: F64  # z-scores of test rows
    forest: F64
    head: tuple[F64, F64]
    trees: tuple[F64, F64]


def without_labels(part: Split) -> tuple[Outlook, dict[str, F64]]:
    """Fit on all training rows without labels: what heads build on, and test scores by detector."""
    train, test = part.X.astype(np.float32), part.test.astype(np.float32)
    vae = TableVAE("contaminated", steps=CHOSEN["VAE"]["steps"]).fit(train, seed=part.seed)
    forest = IsolationForest(n_estimators=CHOSEN["isolation forest"]["trees"], random_state=part.seed).fit(part.X)
    by_vae = vae.raw_score(train), vae.raw_score(test)
    by_forest = -forest.score_samples(part.X), -forest.score_samples(part.test)
    a, b = vae.features(train), vae.features(test)
    mean, spread = a.mean(axis=0), a.std(axis=0) + 1e-6
    a, b = np.clip((a - mean) / spread, -8, 8), np.clip((b - mean) / spread, -8, 8)
    outlook = Outlook(
        vae=_z(*by_vae),
        forest=_z(*by_forest),
        head=(a, b),
        trees=(
            np.column_stack([part.X, a[:, -2:], by_forest[0]]),
            np.column_stack([part.test, b[:, -2:], by_forest[1]]),
        ),
    )
    scores = {"VAE": outlook.vae, "isolation forest": outlook.forest, "VAE + forest": outlook.vae + outlook.forest}
    return outlook, scores


def with_few(part: Split, outlook: Outlook, share: float) -> dict[str, F64]:
    """Learn from the share of anomalies that is labelled, every other row counting as normal: test scores.

    How much the scores without labels weigh, and whether boosting counts, follows from the number of known anomalies.
    """
    given = part.labels(share)
    seed = part.seed
    head = LogisticRegression(C=CHOSEN["VAE head"]["C"], class_weight="balanced", max_iter=300).fit(
        outlook.head[0], given
    )
    line = _z(head.decision_function(outlook.head[0]), head.decision_function(outlook.head[1]))
    trees = ExtraTreesClassifier(200, class_weight="balanced", min_samples_leaf=2, random_state=seed)
    trees.fit(outlook.trees[0], given)
    wood = _z(*(trees.predict_proba(rows)[:, 1] for rows in outlook.trees))
    boosted = _z(*_boosting(*outlook.trees, given, seed))
    several = int(given.sum() >= CHOSEN["few"])
    members = [line, wood, boosted] if several else [line, wood]
    rest = CHOSEN["few-label panel"]["weight"][several] * (outlook.vae + outlook.forest) / 2.0
    return {
        "VAE head": line + CHOSEN["VAE head"]["vae"][several] * outlook.vae,
        "extra trees": wood,
        "boosting": boosted,
        "few-label panel": np.asarray(np.mean(members, axis=0) + rest, np.float64),
    }


def with_all(part: Split) -> dict[str, F64]:
    """Learn from all labels: test scores."""
    boosting = HistGradientBoostingClassifier(
        learning_rate=CHOSEN["GBDT"]["rate"],
        max_iter=CHOSEN["GBDT"]["trees"],
        max_features=CHOSEN["GBDT"]["column share"],
        l2_regularization=CHOSEN["GBDT"]["l2"],
        early_stopping=False,
        random_state=part.seed,
    ).fit(part.X, part.y)
    a, b = _both_scales(part.X, part.test, part.seed)
    machine = SVC(C=CHOSEN["SVM"]["C"], cache_size=500).fit(a, part.y)
    return {"GBDT": boosting.decision_function(part.test), "SVM": machine.decision_function(b)}


def _both_scales(train: F64, test: F64, seed: int) -> tuple[F64, F64]:
    scales: list[Any] = [
        StandardScaler(),
        QuantileTransformer(n_quantiles=200, output_distribution="normal", random_state=seed),
    ]
    for scale in scales:
        scale.fit(train)
    a, b = (np.clip(np.column_stack([scale.transform(X) for scale in scales]), -5, 5) for X in (train, test))
    return a, b


def _boosting(train: F64, test: F64, y: F64, seed: int) -> tuple[F64, F64]:
    positive = float((y == 0).sum() / max(y.sum(), 1.0))
    settings = {
        "objective": "binary", "learning_rate": 0.05, "num_leaves": 15, "feature_fraction_bynode": 0.3,
        "lambda_l2": 3.0, "min_data_in_leaf": 5, "scale_pos_weight": positive**0.5, "seed": seed, "deterministic": True,
        "force_row_wise": True, "num_threads": 1, "verbose": -1,
    }  # fmt: skip
    grown = lightgbm.train(settings, lightgbm.Dataset(train, y), num_boost_round=150)
    a, b = (np.asarray(grown.predict(X, raw_score=True, num_threads=1), np.float64) for X in (train, test))
    return a, b


def _z(train: F64, test: F64) -> F64:
    return np.asarray((test - train.mean()) / (train.std() + 1e-9), np.float64)
