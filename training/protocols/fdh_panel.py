"""One fold of the handbook's protocol: every model's scores on the judged rows, kept in the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from training.detectors import VAE, Detector
from training.detectors.base import F32, Inputs, Windows
from training.protocols import fdh_models as models
from training.protocols.fdh_anomaly import SCORERS
from training.protocols.fdh_data import Fold
from training.protocols.fdh_imbalance import score_variant, variants
from training.protocols.fdh_inputs import KNOWN_WEEK, Bench, current_row, shuffled, without_labels
from training.protocols.fdh_store import Store
from training.protocols.figures import F64, I64, average_precision

PUBLISHED, ENGINE, WEEK = "15 published inputs", "engine features", "engine features + 7-day fraud rate"
PANEL = "fusion of gbdt, cnn, svm and vae"
Scores = dict[tuple[str, str], F64]


@dataclass(frozen=True, slots=True)
class Runner:
    """Scores a fold, model by model.

    Parameters
    ----------
    bench, names
        Inputs, and the engine features that are given to models.
    seeds
        Of the models that depend on chance; a score is their mean.
    store, say
        Where scores are kept, and who is told.
    """

    bench: Bench
    names: tuple[str, ...]
    seeds: tuple[int, ...]
    store: Store
    say: Callable[[str], None]

    def run(self, fold: Fold) -> Scores:
        """All models of the supervised tables on one fold, by (model, inputs)."""
        scores: Scores = {}
        for label, parts in (
            ("references", self.references), ("published", self.published), ("engine", self.engine),
            ("week", self.week), ("imbalance", self.imbalance),
        ):  # fmt: skip
            self.say(f"fold {fold.start}: {label}")
            scores |= parts(fold)
        return scores

    def references(self, fold: Fold) -> Scores:
        """Constant, best single input, and the handbook's models on its inputs."""
        X, y, test = self.bench.book.X[fold.train], self._labels(fold), self.bench.book.X[fold.test]
        ways = {
            "logistic regression": models.logistic_regression,
            "random forest": models.random_forest,
            "boosting as XGBoost": models.plain_boosting,
        }
        scores: Scores = {
            (name, PUBLISHED): self._kept(fold, name, partial(score, X, y, test, 0)) for name, score in ways.items()
        }
        scores["constant", PUBLISHED] = np.zeros(len(test))
        scores["best single input", PUBLISHED] = best_column(X, y, test)
        return scores

    def published(self, fold: Fold) -> Scores:
        """Ours on the published inputs, with the controls of the sequence model."""
        scores = self._members(fold, PUBLISHED, self.bench.published, self.bench.published_windows)
        train, test = (self.bench.published_windows(rows) for rows in (fold.train, fold.test))
        controls = {
            "cnn, shuffled windows": lambda windows: shuffled(windows, self.seeds[0]),
            "cnn, current row alone": current_row,
        }
        for name, change in controls.items():
            scores[name, PUBLISHED] = self._model(fold, name, PUBLISHED, models.cnn, change(train), change(test))
        return scores

    def engine(self, fold: Fold) -> Scores:
        """Boosting on what the engine gives today."""
        names = tuple(name for name in self.names if name != KNOWN_WEEK)
        train, test = (self.bench.features(rows, names) for rows in (fold.train, fold.test))
        return {
            ("gbdt", ENGINE): self._model(fold, "gbdt", ENGINE, models.gbdt, train, test),
            ("best single input", ENGINE): best_column(train, self._labels(fold), test),
        }

    def week(self, fold: Fold) -> Scores:
        """The panel on the engine's features and the fraud rate of a week."""
        return self._members(
            fold, WEEK, lambda rows: self.bench.features(rows, self.names),
            lambda rows: self.bench.windows(rows, self.names),
        )  # fmt: skip

    def imbalance(self, fold: Fold) -> Scores:
        """Boosting on the published inputs, by what is done about few frauds."""
        X, y, test = self.bench.published(fold.train), self._labels(fold), self.bench.published(fold.test)
        scores: Scores = {}
        for name, make in variants().items():

            def score(name: str = name, make: object = make) -> F64:
                one = [score_variant(name, make, X, y, test, seed) for seed in self.seeds]  # type: ignore[arg-type]
                return np.mean(one, axis=0)

            scores[f"imbalance: {name}", PUBLISHED] = self._kept(fold, f"imbalance {name}", score)
        return scores

    def unlabelled(self, fold: Fold) -> Scores:
        """Detectors that learn without labels, on inputs with and without a part of labels in them."""
        plain = without_labels(self.names)
        risk = [j for j, name in enumerate(self.bench.book.inputs) if "RISK" not in name]
        inputs: dict[str, Callable[[I64], F32]] = {
            "15 published inputs, risks included": lambda rows: np.log1p(self.bench.book.X[rows]),
            "published inputs without the risks": lambda rows: np.log1p(self.bench.book.X[rows][:, risk]),
            "engine features without labels": lambda rows: self.bench.features(rows, plain),
        }
        scores: Scores = {}
        for setting, take in inputs.items():
            train, test = take(fold.train), take(fold.test)
            for name, scorer in SCORERS.items():

                def score(scorer: Callable[[F32, F32, int], F64] = scorer) -> F64:
                    return np.mean([scorer(train, test, seed) for seed in self.seeds], axis=0)  # noqa: B023

                scores[name, setting] = self._kept(fold, f"unlabelled {name} {setting}", score)
        return scores

    # -- parts

    def _members(
        self, fold: Fold, setting: str, rows: Callable[[I64], F32], windows: Callable[[I64], Windows]
    ) -> Scores:
        """Every member on one kind of inputs, and their fusion, cross-fitted by card within the training week."""
        y, scores = self._labels(fold), Scores()
        by_card = models.card_folds(self.bench.book.card[fold.train], self.seeds[0])
        held: list[F64] = []
        makers: dict[str, Callable[[], Detector]] = {**models.MEMBERS, "vae": VAE}
        for name, make in makers.items():
            take: Callable[[I64], Inputs] = windows if name == "cnn" else rows
            train, test = take(fold.train), take(fold.test)
            scores[name, setting] = self._model(fold, name, setting, make, train, test)

            def cross(make: Callable[[], Detector] = make, train: Inputs = train) -> F64:
                return models.cross_scores(make, train, y, by_card, self.seeds[0])

            held.append(self._kept(fold, f"{name} {setting} cross", cross))
        tests = [scores[name, setting] for name in makers]
        scores[PANEL, setting] = models.fuse(held, y, tests)
        for left, name in enumerate(makers):
            rest = [at for at in range(len(held)) if at != left]
            fused = models.fuse([held[at] for at in rest], y, [tests[at] for at in rest])
            scores[f"fusion without {name}", setting] = fused
        return scores

    def _model(
        self, fold: Fold, name: str, setting: str, make: Callable[[], Detector], train: Inputs, test: Inputs
    ) -> F64:
        def score() -> F64:
            return models.mean_score(make, train, self._labels(fold), [test], self.seeds)[0]

        return self._kept(fold, f"{name} {setting}", score)

    def _kept(self, fold: Fold, name: str, make: Callable[[], F64]) -> F64:
        return self.store.scores(f"{fold.start} {name}", make)

    def _labels(self, fold: Fold) -> F64:
        return self.bench.book.y[fold.train]


def best_column(X: F32, y: F64, test: F32) -> F64:
    """Score by the column that ranks best alone on the training rows, in its direction."""
    best, found = -1.0, np.zeros(len(test))
    for j in range(X.shape[1]):
        for sign in (1.0, -1.0):
            low = np.nanmin(sign * X[:, j]) if np.isfinite(X[:, j]).any() else 0.0
            reached = average_precision(y, np.nan_to_num(sign * X[:, j].astype(np.float64), nan=low))
            if reached > best:
                best, found = reached, np.nan_to_num(sign * test[:, j].astype(np.float64), nan=low)
    return found


def scenario_rows(scenario: I64, kept: Sequence[int]) -> I64:
    """Positions of genuine rows and of frauds of some scenarios."""
    return np.flatnonzero((scenario == 0) | np.isin(scenario, kept))
