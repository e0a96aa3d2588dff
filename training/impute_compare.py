"""How well gaps are filled: known cells are hidden, filled in several ways, and compared with what they were."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from training.impute import Imputer, Layout

F64 = npt.NDArray[np.float64]
Say = Callable[[str], None]
HIDDEN, LEARNT = 0.2, 0.7
_MOST_ROWS = 6000


def compare(X: F64, layout: Layout, *, seed: int, say: Say = lambda _: None, **shape: Any) -> dict[str, Any]:
    """Hide a fifth of the known cells, learn from the first 70 % of the rows, and fill the rest.

    Parameters
    ----------
    X
        (n, d), NaN where missing; at most 6,000 rows are used, evenly spread.
    layout
        Which columns are numbers; only these have an error, the rest a share of right answers.
    shape
        As `Imputer` takes it.

    Returns
    -------
    dict
        ``rmse`` by method over hidden cells of the last rows, each column in standard deviations of its learnt cells;
        ``right`` for the categories of ours and of the most frequent one.
    """
    rng = np.random.default_rng(seed)
    X = X[:: max(1, len(X) // _MOST_ROWS)][:_MOST_ROWS]
    cut = int(LEARNT * len(X))
    hidden = np.isfinite(X) & (rng.random(X.shape) < HIDDEN)
    given = np.where(hidden, np.nan, X)
    learn, ask, gap = given[:cut], given[cut:], hidden[cut:]
    say("filling by the variational autoencoder")
    filled = {"vae": Imputer(layout, **shape).fit(learn, seed=seed, say=say).fill(ask)}
    say("filling by mean, median, nearest neighbours and iterative regression")
    numbers = [j for j, level in enumerate(layout.levels) if not level]
    out: dict[str, Any] = {"rows": len(ask), "hidden_cells": int(gap.sum()), "seed": seed, "rmse": {}}
    if numbers:
        # of what was known before cells were hidden: the scale of a column that hardly varies is luck otherwise
        centre, scale = _scale(X[:cut][:, numbers])
        truth, where = (X[cut:][:, numbers] - centre) / scale, gap[:, numbers]
        others = _others((learn[:, numbers] - centre) / scale, (ask[:, numbers] - centre) / scale, seed)
        answers = {"vae": (filled["vae"][:, numbers] - centre) / scale} | others
        out["rmse"] = {name: float(np.sqrt(np.mean((got - truth)[where] ** 2))) for name, got in answers.items()}
    codes = [j for j, level in enumerate(layout.levels) if level]
    if codes and gap[:, codes].any():
        usual = np.array([_most_frequent(learn[:, j]) for j in codes])
        right = filled["vae"][:, codes] == X[cut:][:, codes]
        guessed = usual == X[cut:][:, codes]
        out["right"] = {
            "vae": float(right[gap[:, codes]].mean()),
            "most frequent": float(guessed[gap[:, codes]].mean()),
        }
    return out


def _scale(X: F64) -> tuple[F64, F64]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # columns without a known cell
        centre, scale = np.nan_to_num(np.nanmean(X, axis=0)), np.nan_to_num(np.nanstd(X, axis=0))
    return centre, np.where(scale > 1e-9 * np.maximum(1.0, np.abs(centre)), scale, 1.0)


def _others(learn: F64, ask: F64, seed: int) -> dict[str, F64]:
    """Answers of the usual methods of scikit-learn, at their defaults."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

    methods = {
        "mean": SimpleImputer(strategy="mean", keep_empty_features=True),
        "median": SimpleImputer(strategy="median", keep_empty_features=True),
        "knn-5": KNNImputer(n_neighbors=5, keep_empty_features=True),
        "iterative": IterativeImputer(random_state=seed, keep_empty_features=True),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return {name: np.asarray(method.fit(learn).transform(ask)) for name, method in methods.items()}


def _most_frequent(codes: F64) -> float:
    values, counts = np.unique(codes[np.isfinite(codes)], return_counts=True)
    return float(values[np.argmax(counts)]) if len(values) else 0.0
