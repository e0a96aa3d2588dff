"""How much rather real than generated a window looks: a boosting that candidates are chosen by.

A generator's samples become those of the data when each is kept in proportion to the ratio of the densities, which a
classifier between the two estimates (Azadi 2019, Turner 2019). The classifier sees training windows alone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from training.gan.coding import F32, Windows
from training.gan.layout import COLUMNS, NUMBERS
from training.gan.synthesis import Sampler

_EDGE = 4.0


class Ratio:
    """A boosted classifier's odds that a window is real.

    Parameters
    ----------
    text
        The trees, as LightGBM writes them.
    """

    def __init__(self, text: str) -> None:
        import lightgbm

        self.text = text
        self._trees = lightgbm.Booster(model_str=text)

    def __call__(self, steps: F32, habits: F32, fraud: F32, before: F32) -> np.ndarray:
        """Odds (w,), cut at e^4 and e^-4."""
        raw = self._trees.predict(features(steps, habits, fraud, before), raw_score=True, num_threads=1)
        return np.exp(np.clip(np.asarray(raw), -_EDGE, _EDGE))


def features(steps: F32, habits: F32, fraud: F32, before: F32) -> F32:
    """A window with its condition as a row: numbers, codes, shares of codes among genuine and fraudulent steps."""
    codes = np.stack([steps[..., at].argmax(-1) for at in COLUMNS.values()], -1).astype(np.float32)
    start = np.stack([before[:, at].argmax(-1) for at in [slice(c.start, c.stop) for c in COLUMNS.values()]], -1)
    heads = steps[..., len(NUMBERS) :]
    genuine = (1 - fraud)[..., None]
    shares = (heads * genuine).sum(1) / np.maximum(genuine.sum(1), 1)
    numbers = steps[..., : len(NUMBERS)]
    flow = np.diff(numbers, axis=1)
    same = (codes[:, 1:] == codes[:, :-1]).mean(1)
    parts = [
        numbers.reshape(len(steps), -1), codes.reshape(len(steps), -1), shares, (heads * fraud[..., None]).sum(1),
        habits, fraud, before[:, : len(NUMBERS)], start, numbers.mean(1), numbers.std(1), np.abs(flow).mean(1),
        (numbers[:, 1:] * numbers[:, :-1]).mean(1), same, (np.abs(numbers[..., 0:1]) * heads).mean(1),
        (numbers[..., 2:3] * heads).mean(1),
    ]  # fmt: skip
    return np.concatenate(parts, axis=1).astype(np.float32)


def learn_ratio(windows: Windows, sampler: Sampler, seed: int, say: Callable[[str], None], most: int = 16_000) -> Ratio:
    """Train on windows against generated ones under the same conditions."""
    import lightgbm

    rng = np.random.default_rng(seed)
    part = windows.take(np.sort(rng.permutation(len(windows))[:most]))
    made = sampler.draw(part.habits, part.fraud, part.before, rng)
    condition = (part.habits, part.fraud, part.before)
    x = np.concatenate([features(part.steps, *condition), features(made, *condition)])
    y = np.repeat([1.0, 0.0], len(part))
    held = np.tile(np.isin(part.card, rng.permutation(np.unique(part.card))[::5]), 2)
    settings = {
        "objective": "binary", "learning_rate": 0.08, "num_leaves": 24, "min_data_in_leaf": 60, "feature_fraction": 0.3,
        "bagging_fraction": 0.7, "bagging_freq": 1, "lambda_l2": 5.0, "verbosity": -1, "num_threads": 1, "seed": seed,
        "deterministic": True, "force_row_wise": True, "metric": "auc",
    }  # fmt: skip
    train, check = lightgbm.Dataset(x[~held], y[~held]), lightgbm.Dataset(x[held], y[held])
    stop = lightgbm.early_stopping(15, verbose=False)
    trees = lightgbm.train(settings, train, 250, valid_sets=[check], callbacks=[stop])
    say(f"weights: {trees.best_iteration} trees tell windows apart with AUC {trees.best_score['valid_0']['auc']:.3f}")
    return Ratio(trees.model_to_string(num_iteration=trees.best_iteration))
