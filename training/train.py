"""From histories to a panel on disk: split, fit, cross-fit, judge, write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from stream.scoring.manifest import FeatureContract, TrainingWindow, subset_key
from training import evaluate, export
from training.cases import cuts_for_precision
from training.checks import MIN_FRAUDS, check_classes, check_frauds
from training.detectors import REGISTRY, SVM, VAE, Detector, SequenceCNN, WindowGBDT
from training.fuse import TARGETS, Fused, fit_fusion
from training.matrices import load_parts, save_parts
from training.samples import DAY_MS, F32, F64, Samples, join, read_samples

Say = Callable[[str], None]
_VALIDATION_FOLDS = 5
_LABELS = "as reported when all feedback had arrived; unreported frauds count as genuine, false claims as fraud"


class Scorer(Protocol):
    """A member that is not trained anew: an ONNX scorer of the champion."""

    @property
    def name(self) -> str: ...

    def raw(self, X: F32, S: F32) -> F64: ...


@dataclass(frozen=True, slots=True)
class Split:
    """Rows by what they are used for; no row, and within a bank no card, serves two uses."""

    train: Samples
    validation: Samples
    fit: Samples  # calibration, fusion and cuts, cross-fitted


@dataclass(frozen=True, slots=True)
class Options:
    """How to train.

    Parameters
    ----------
    genuine_share
        Share of genuine rows that detectors learn from; calibration undoes the sampling.
    min_frauds
        Reported frauds that each part of the history must have.
    disorder_s
        Seconds by which a transaction may be older than the newest one before it.
    """

    seed: int = 1
    warm_up_days: float = 30.0
    genuine_share: float = 0.3
    replace: bool = False
    yardstick: bool = True
    min_frauds: int = MIN_FRAUDS
    disorder_s: float = 0.0


def collect(folders: Iterable[Path], count: int, options: Options, say: Say) -> Split:
    """Read histories and split them.

    With three or more banks the last 40 % of them are for calibration and fusion, so that these meet banks that no
    detector has seen; with fewer, the last 40 % of time. Validation is every fifth card of the training part.
    """
    for_training = count - max(1, round(0.4 * count)) if count >= 3 else 0
    train: list[Samples] = []
    fit: list[Samples] = []
    rng = np.random.default_rng(options.seed)
    for bank, folder in enumerate(folders):
        learn = bank < for_training
        choose = (lambda y: _some(y, options, rng)) if learn else None
        rows = read_samples(
            folder, bank=bank, warm_up_days=options.warm_up_days, choose=choose, disorder_s=options.disorder_s
        )
        say(f"history {bank + 1}/{count}: {len(rows):,} transactions, {int(rows.y.sum()):,} reported frauds")
        if for_training:
            (train if learn else fit).append(rows)
        else:
            early = rows.event_time < np.quantile(rows.event_time, 0.6)
            train.append(rows.take(early & _some(rows.y, options, rng)))
            fit.append(rows.take(~early))
    learned, held = join(train), join(fit)
    check_classes(np.concatenate([learned.y, held.y]), "the history")
    validation = np.isin(learned.card, _some_cards(learned.card, rng))
    split = Split(learned.take(~validation), learned.take(validation), held)
    check_parts(split, options.min_frauds)
    return split


def check_parts(split: Split, least: int) -> None:
    """Refuse a split with a part that has too few reported frauds; see `training.checks.check_frauds`."""
    parts = ("training", split.train), ("validation", split.validation), ("calibration", split.fit)
    check_frauds([(name, part.y) for name, part in parts], least)


def save_split(path: Path, split: Split, code: FeatureContract) -> None:
    """Keep a split on disk; see `training.matrices.save_parts`."""
    save_parts(path, {"train": split.train, "validation": split.validation, "fit": split.fit}, code)


def load_split(path: Path, code: FeatureContract) -> Split:
    """Read a split again; see `training.matrices.load_parts`, which refuses features of another version."""
    return Split(**load_parts(path, code))


def _some_cards(card: np.ndarray[Any, np.dtype[np.int64]], rng: np.random.Generator) -> np.ndarray[Any, Any]:
    cards = np.unique(card)
    return cards[rng.permutation(len(cards)) % _VALIDATION_FOLDS == 0]


def _some(y: F64, options: Options, rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """All frauds and a share of the genuine rows."""
    return (y > 0) | (rng.random(len(y)) < options.genuine_share)


def build(name: str) -> Detector:
    """Make an unfitted detector as the shipped panel uses it."""
    special: dict[str, Callable[[], Detector]] = {
        "vae": VAE,
        "svm": lambda: SVM(landmarks=128),
        "cnn": lambda: SequenceCNN(current_row=True),
        "gbdt": lambda: WindowGBDT(trees=90, leaves=8, rate=0.25, column_share=1.0),
    }
    return special.get(name, REGISTRY[name])()


def fit_detector(name: str, split: Split, options: Options) -> Detector:
    """Fit one detector; those that need no labels see frauds only as often as they occur."""
    detector, train, validation = build(name), split.train, split.validation
    if not detector.supervised:
        rng = np.random.default_rng(options.seed)
        train = train.take((train.y == 0) | (rng.random(len(train)) < options.genuine_share))
    held = export.inputs_of(detector, validation.X, validation.S), validation.y
    inputs = export.inputs_of(detector, train.X, train.S)
    return detector.fit(inputs, train.y if detector.supervised else None, seed=options.seed, validation=held)


def train_panel(
    split: Split,
    directory: Path,
    names: Sequence[str],
    *,
    code: FeatureContract,
    simulated: bool,
    options: Options,
    others: Mapping[str, tuple[Scorer, str, str]] | None = None,
    say: Say = lambda _: None,
) -> dict[str, Any]:
    """Train detectors, fit the fusion with them and the members kept, write and activate the panel.

    Parameters
    ----------
    split
        What `collect` gave.
    directory
        The models folder.
    names
        Detectors to train.
    code
        Features of the running code.
    simulated
        Whether the history was simulated; the worker then wants that acknowledged.
    options
        Seed and sampling.
    others
        Members kept as they are: scorer, version and manifest hash by name.
    say
        Told about progress.

    Returns
    -------
    dict
        ``rows`` (figures on calibration rows, cross-fitted), ``thresholds``, ``models`` (version by name).
    """
    detectors: dict[str, Detector] = {}
    raw: dict[str, F64] = {}
    for name in names:
        say(f"training {name} on {len(split.train):,} rows, {int(split.train.y.sum()):,} of them fraud")
        detectors[name] = fit_detector(name, split, options)
        raw[name] = detectors[name].raw_score(export.inputs_of(detectors[name], split.fit.X, split.fit.S))
    for name, (scorer, _, _) in (others or {}).items():
        raw[name] = scorer.raw(split.fit.X, split.fit.S)
    say(f"calibrating and fusing on {len(split.fit):,} rows of other banks, cards or times")
    fused = fit_fusion(raw, split.fit, seed=options.seed)
    rows = _figures(fused, split, sorted(raw), code, options)
    origin = export.Provenance(code, _window(split, options), simulated, export.code_commit())
    members = {name: (version, sha) for name, (_, version, sha) in (others or {}).items()}
    for name, detector in detectors.items():
        manifest = export.write_model(
            directory,
            detector,
            fused.calibrators[name],
            golden=_golden(split.fit, options.seed),
            origin=origin,
            metrics=rows[name],
            replace=options.replace,
        )
        members[name] = (manifest.version, export.manifest_hash(manifest))
    fusion = export.write_fusion(
        directory,
        fused,
        members,
        neutral=neutral_values(split.train),
        origin=origin,
        metrics=evaluate.flatten(rows),
        replace=options.replace,
    )
    export.activate(directory, {name: version for name, (version, _) in members.items()}, fusion)
    rule = fused.subsets[subset_key(list(raw))]
    return {
        "directory": str(directory),
        "models": {name: version for name, (version, _) in members.items()},
        "fusion": fusion,
        "thresholds": {"review": rule.review, "step_up": rule.step_up, "decline": rule.decline},
        "weights": dict(zip(rule.members, rule.weights, strict=True)),
        "rows": [{"model": label, **figures} for label, figures in rows.items()],
    }


def _figures(
    fused: Fused, split: Split, names: Sequence[str], code: FeatureContract, options: Options
) -> dict[str, dict[str, float]]:
    rows = evaluate.training_table(fused, split.fit, names)
    if options.yardstick:
        best, _ = evaluate.best_single_feature(split.train, code.names, split.train.fraud)
        column = split.fit.X[:, code.names.index(best)].astype(np.float64)
        single = max(
            (evaluate.ranking(np.nan_to_num(signed, nan=-1e9), split.fit.fraud) for signed in (column, -column)),
            key=lambda figures: figures["ap"],
        )
        rows[f"best feature: {best}"] = single
        logit = evaluate.boosting(split.train, seed=options.seed)(split.fit)
        cut = cuts_for_precision(split.fit, logit, split.fit.y > 0, [TARGETS["review"]])[0][0]
        fraud = split.fit.fraud
        rows["boosting"] = evaluate.ranking(logit, fraud) | evaluate.at_cut(split.fit, logit >= cut, fraud)
    return rows


def neutral_values(train: Samples) -> tuple[F32, F32]:
    """Medians of genuine rows: features (d,), NaN where never observed, and channels (C,) over filled steps."""
    genuine = train.take(train.y == 0)
    usual = np.full(train.X.shape[1], np.nan, np.float32)
    for j in range(train.X.shape[1]):
        seen = genuine.X[:, j][np.isfinite(genuine.X[:, j])]
        if len(seen):
            usual[j] = np.median(seen)
    steps = genuine.S.reshape(-1, train.S.shape[2])
    filled = steps[(steps != 0).any(axis=1)]
    return usual, np.median(filled if len(filled) else steps, axis=0).astype(np.float32)


def _golden(rows: Samples, seed: int) -> tuple[F32, F32]:
    rng = np.random.default_rng(seed)
    fraud = rng.permutation(np.flatnonzero(rows.fraud))[: export.GOLDEN_ROWS // 2]
    other = rng.permutation(np.flatnonzero(~rows.fraud))[: export.GOLDEN_ROWS - len(fraud)]
    chosen = np.sort(np.concatenate([fraud, other]))
    return rows.X[chosen], rows.S[chosen]


def _window(split: Split, options: Options) -> TrainingWindow:
    every = [split.train, split.validation, split.fit]
    return TrainingWindow(
        first_event_time=min(int(part.event_time.min()) for part in every) // DAY_MS * DAY_MS,
        last_event_time=max(int(part.event_time.max()) for part in every),
        rows=len(split.train),
        frauds=int(split.train.y.sum()),
        labels=_LABELS,
        data_sha256=split.train.sha256(),
        seed=options.seed,
    )
