"""Quality and privacy of one checkpoint, after its transactions went through the feature kernels, beside controls."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.features import FEATURE_NAMES, SEQUENCE_CHANNELS
from training.gan.book import Book, with_fraud
from training.gan.build import Material
from training.gan.coding import F32
from training.gan.kernels import Seen, see_file
from training.gan.layout import STEPS
from training.gan.privacy import privacy
from training.gan.quality import correlation_distance, coverage, ks, tell_apart, tell_windows_apart, useful
from training.gan.store import Model
from training.gan.synthesis import synthesise
from training.gan.write import write_table

Say = Callable[[str], None]
SEEDS = 3
TRAIN_ROWS, TRAIN_SHARE = 100_000, 0.05  # of the rows that a detector is trained on, at most twice the learned ones
_OVERFIT_NOISE = 0.01


def report(material: Material, model: Model, history: Path, *, seed: int, warm_up: float, say: Say) -> dict[str, Any]:
    """Judge a model against the half of its history that it never saw.

    Parameters
    ----------
    warm_up
        Share of the time that only fills the kernels' state.

    Returns
    -------
    dict
        ``quality`` of generated rows and of the other half of the real ones (the floor), ``use``, ``privacy`` of the
        model and of a planted one that remembers its training data, ``goals``.
    """
    say("replaying the two real halves through the feature kernels")
    file = history / "transactions.parquet"
    held_out = with_fraud(material.held_out, history)
    real = _half(file, held_out, warm_up)
    learned = _half(file, material.train, warm_up)
    with tempfile.TemporaryDirectory(prefix="fraudstream-gan-") as scratch:
        like = _made(model, len(held_out), float(held_out.fraud.mean()), seed, Path(scratch), warm_up, say)
        number = min(TRAIN_ROWS, 2 * len(material.train))
        rich = _made(model, number, TRAIN_SHARE, seed + 1, Path(scratch), warm_up, say)
    say("judging")
    quality = {"generated": compare(real, like, seed), "other_half": compare(real, learned, seed)}
    use = _use(real, learned, rich, seed)
    secrets = private(material, model, seed)
    told = {"rows": {"held_out": len(real.X), "learned": len(learned.X), "generated": len(like.X)}}
    return told | {"quality": quality, "use": use, "privacy": secrets, "goals": _goals(quality, use, secrets)}


def _half(file: Path, book: Book, warm_up: float) -> Seen:
    import pyarrow.parquet as pq

    fraud = np.zeros(pq.read_metadata(file).num_rows, bool)
    fraud[book.row] = book.fraud
    return see_file(file, np.sort(book.row), fraud, warm_up)


def _made(model: Model, rows: int, share: float, seed: int, scratch: Path, warm_up: float, say: Say) -> Seen:
    path = scratch / f"{seed}.parquet"
    write_table(synthesise(model.words, model.sampler, rows, share, seed, say=say), path)
    return see_file(path, None, None, warm_up)


def compare(real: Seen, made: Seen, seed: int) -> dict[str, Any]:
    """Judge windows that share no row, as the kernels tell them."""
    (a, s, card), (b, t, other) = real.windows(), made.windows()
    apart = ks(a, b)
    channels = [channel.name for channel in SEQUENCE_CHANNELS]
    names = [*FEATURE_NAMES, *(f"mean_{name}" for name in channels), *(f"spread_{name}" for name in channels)]
    groups = (card, other)
    return {
        "windows": {"real": len(a), "made": len(b)},
        "ks_mean": round(float(apart.mean()), 4),
        "ks_median": round(float(np.median(apart)), 4),
        "ks": {names[c]: round(float(apart[c]), 4) for c in np.argsort(-apart)},
        "correlation_distance": round(correlation_distance(a, b), 4),
        "coverage": round(coverage(a, b, seed), 4),
        "boosting_auc": _mean([tell_apart(a, b, groups, seed + i) for i in range(SEEDS)]),
        "cnn_auc": _mean([tell_windows_apart(s, t, groups, seed + i) for i in range(SEEDS)]),
    }


def _mean(values: list[float]) -> dict[str, float]:
    return {"mean": round(float(np.mean(values)), 4), "sd": round(float(np.std(values)), 4)}


def _use(real: Seen, learned: Seen, made: Seen, seed: int) -> dict[str, Any]:
    truth = real.fraud.astype(np.float64)
    figures = {
        name: _mean([useful(part.X, part.fraud.astype(np.float64), real.X, truth, seed + i) for i in range(SEEDS)])
        for name, part in (("train_on_real", learned), ("train_on_generated", made))
    }
    ratio = figures["train_on_generated"]["mean"] / max(figures["train_on_real"]["mean"], 1e-9)
    return {**figures, "constant": round(float(truth.mean()), 4), "ratio": round(ratio, 4)}


def records(steps: F32) -> npt.NDArray[np.float64]:
    """Windows as records to measure distances between: (w, STEPS * WIDTH)."""
    return steps.reshape(len(steps), -1).astype(np.float64)


def private(material: Material, model: Model, seed: int) -> dict[str, dict[str, float]]:
    """Judge the model, and a planted one that gives its training windows back with a little noise."""
    rng = np.random.default_rng(seed)
    train, held_out = material.windows(STEPS), material.held_out_windows(STEPS)
    size = min(len(train), len(held_out))
    train = train.take(np.sort(rng.permutation(len(train))[:size]))
    held_out = held_out.take(np.sort(rng.permutation(len(held_out))[:size]))
    # conditions of neither: habits are the model's own profiles, masks those of the held-out half
    profile = rng.integers(0, len(model.words.habits), size)
    habits = np.clip(model.words.habits[profile], -4, 4).astype(np.float32)
    mask = held_out.fraud[rng.permutation(size)]
    first = model.sampler.draw(habits, mask, np.zeros_like(held_out.before), rng)
    before = np.concatenate([first[:, -1], np.ones((size, 1), np.float32)], axis=1)
    made = model.sampler.draw(habits, mask, before, rng)
    noise = rng.normal(0, _OVERFIT_NOISE, train.steps.shape).astype(np.float32)
    planted = {"model": made, "planted_overfit": train.steps + noise, "planted_copies": train.steps}
    known, others = records(train.steps), records(held_out.steps)
    figures = {name: privacy(known, others, records(steps), seed) for name, steps in planted.items()}
    return {name: {key: round(value, 4) for key, value in part.items()} for name, part in figures.items()}


def _goals(quality: dict[str, Any], use: dict[str, Any], secrets: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    made, model = quality["generated"], secrets["model"]
    found = [
        ("boosting AUC at most .65", made["boosting_auc"]["mean"], made["boosting_auc"]["mean"] <= 0.65),
        ("CNN AUC at most .65", made["cnn_auc"]["mean"], made["cnn_auc"]["mean"] <= 0.65),
        ("train on generated at least .9 of train on real", use["ratio"], use["ratio"] >= 0.9),
        ("membership at 1 % false positives at most 2 %", model["membership_tpr"], model["membership_tpr"] <= 0.02),
        ("closest-record share .47 to .53", model["closest_share"], 0.47 <= model["closest_share"] <= 0.53),
        ("no copies", model["copies"], model["copies"] == 0),
    ]
    return [{"goal": goal, "reached": reached, "met": bool(met)} for goal, reached, met in found]
