"""How near generated rows are to real ones: each column, pairs of columns, coverage, and what judges can tell."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def ks(real: Array, made: Array) -> npt.NDArray[np.float64]:
    """Kolmogorov-Smirnov distance of each column (n, d) and (m, d); missing values are a value of their own."""
    found = []
    for c in range(real.shape[1]):
        a, b = (np.sort(np.nan_to_num(x[:, c].astype(np.float64), nan=-1e9)) for x in (real, made))
        every = np.concatenate([a, b])
        shares = [np.searchsorted(x, every, side="right") / len(x) for x in (a, b)]
        found.append(float(np.abs(shares[0] - shares[1]).max()))
    return np.array(found)


def correlation_distance(real: Array, made: Array) -> float:
    """Mean absolute difference of the rank correlations of all pairs of columns that vary in both."""
    ranks = [_ranks(x) for x in (real, made)]
    vary = np.logical_and(*(r.std(0) > 1e-9 for r in ranks))
    if vary.sum() < 2:
        return 1.0
    a, b = (np.atleast_2d(np.corrcoef(r[:, vary], rowvar=False)) for r in ranks)
    above = np.triu_indices(len(a), 1)
    return float(np.abs(a[above] - b[above]).mean())


def _ranks(x: Array) -> npt.NDArray[np.float64]:
    from scipy.stats import rankdata

    return np.asarray(rankdata(np.nan_to_num(x.astype(np.float64), nan=-1e9), axis=0))


def coverage(real: Array, made: Array, seed: int, *, most: int = 1500, neighbours: int = 5) -> float:
    """Share of real rows that have a generated row within their fifth nearest real one (Naeem 2020)."""
    from sklearn.neighbors import NearestNeighbors

    rng = np.random.default_rng(seed)
    known = np.isfinite(real).any(0)
    real, made = real[:, known].astype(np.float64), made[:, known].astype(np.float64)
    centre, scale = np.nanmean(real, 0), np.nanstd(real, 0) + 1e-6
    a, b = (np.nan_to_num(np.clip((x[rng.permutation(len(x))[:most]] - centre) / scale, -5, 5)) for x in (real, made))
    radius = NearestNeighbors(n_neighbors=neighbours + 1).fit(a).kneighbors(a)[0][:, -1]
    nearest = NearestNeighbors(n_neighbors=1).fit(b).kneighbors(a)[0][:, 0]
    return float((nearest <= radius).mean())


def tell_apart(real: Array, made: Array, groups: tuple[Array, Array], seed: int) -> float:
    """AUC of a boosting that is trained to tell generated rows from real ones, on groups that it did not see.

    Parameters
    ----------
    groups
        Of either kind of rows, the cards; half of them are for training.
    """
    from sklearn.metrics import roc_auc_score

    x, y, train = halves(real, made, groups, seed)
    scores = boost(x[train], y[train], x[~train], seed)
    return float(roc_auc_score(y[~train], scores))


def halves(real: Array, made: Array, groups: tuple[Array, Array], seed: int) -> tuple[Array, Array, Array]:
    """Put rows together, 1 for real ones, as many of either kind, and mark the half to train on by group."""
    rng = np.random.default_rng(seed)
    size = min(len(real), len(made))
    parts, marks = [], []
    for x, group in zip((real, made), groups, strict=True):
        chosen = np.sort(rng.permutation(len(x))[:size])
        names, code = np.unique(group[chosen], return_inverse=True)
        parts.append(x[chosen])
        marks.append(rng.permuted(np.arange(len(names)) % 2)[code] == 0)
    return np.concatenate(parts), np.repeat([1.0, 0.0], size), np.concatenate(marks)


def boost(x: Array, y: Array, test: Array, seed: int, *, trees: int = 200) -> npt.NDArray[np.float64]:
    """Scores of a fixed LightGBM: 200 trees of 31 leaves, rate .05, at least 20 rows a leaf."""
    import lightgbm

    data = lightgbm.Dataset(x, y, free_raw_data=True)
    settings = {
        "objective": "binary", "learning_rate": 0.05, "num_leaves": 31, "min_data_in_leaf": 20, "feature_fraction": 0.7,
        "bagging_fraction": 0.8, "bagging_freq": 1, "verbosity": -1, "num_threads": 1, "seed": seed,
        "deterministic": True, "force_row_wise": True,
    }  # fmt: skip
    return np.asarray(lightgbm.train(settings, data, trees).predict(test), np.float64)


def convolve(x: Array, y: Array, test: Array, seed: int, *, epochs: int = 12) -> npt.NDArray[np.float64]:
    """Scores of a fixed small convolutional network on windows (n, K, C): two layers of 32, pooled, 12 epochs."""
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        centre, scale = x.mean((0, 1)), x.std((0, 1)) + 1e-3
        a, b = (
            torch.from_numpy(((v - centre) / scale).clip(-6, 6).astype(np.float32)).transpose(1, 2) for v in (x, test)
        )
        net = _Small(x.shape[2])
        optimiser = torch.optim.Adam(net.parameters(), 2e-3, weight_decay=1e-4)
        target = torch.from_numpy(y.astype(np.float32))
        for _ in range(epochs):
            for block in torch.randperm(len(a)).split(64):
                loss = nn.functional.binary_cross_entropy_with_logits(net(a[block]), target[block])
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
        net.eval()
        with torch.no_grad():
            return np.asarray(net(b).numpy(), np.float64)


def _Small(channels: int) -> Any:  # noqa: N802 - a module's maker
    from torch import nn

    return nn.Sequential(
        nn.Conv1d(channels, 32, 3, padding=1), nn.ReLU(), nn.Conv1d(32, 32, 3, padding=1), nn.ReLU(),
        nn.AdaptiveMaxPool1d(4), nn.Flatten(), nn.Dropout(0.2), nn.Linear(128, 32), nn.ReLU(),
        nn.Linear(32, 1), nn.Flatten(0),
    )  # fmt: skip


def tell_windows_apart(real: Array, made: Array, groups: tuple[Array, Array], seed: int) -> float:
    """As `tell_apart`, by the convolutional network on windows."""
    from sklearn.metrics import roc_auc_score

    x, y, train = halves(real, made, groups, seed)
    return float(roc_auc_score(y[~train], convolve(x[train], y[train], x[~train], seed)))


def useful(x: Array, y: Array, test: Array, truth: Array, seed: int) -> float:
    """Average precision on real rows of a boosting trained on rows with labels."""
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(truth, boost(x, y, test, seed)))
