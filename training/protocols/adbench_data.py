"""ADBench's tables, its splits and labels as published, and its published figures."""

from __future__ import annotations

import csv
import gzip
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import MinMaxScaler

from stream.errors import SettingError

F64 = npt.NDArray[np.float64]
SEEDS = (1, 2, 3)
LABELS = (0.0, 0.01, 0.1, 1.0)
TEN = (
    "campaign", "donors", "mammography", "shuttle", "thyroid", "cardio", "satellite", "magic.gamma", "celeba", "cover",
)  # fmt: skip
LEFT_OUT = ("ALOI", "InternetAds")  # of the 23 for which earlier recipes are known
_LEAST, _MOST = 1000, 10_000


@dataclass(frozen=True, slots=True)
class Split:
    """One table under one seed.

    Parameters
    ----------
    X, y
        Training rows (n, d) float64 in [0, 1], and the truth about them (n,).
    test, test_y
        Test rows in the training rows' scale, and their truth.
    seed
        Of the split, and of the detectors trained on it.
    """

    X: F64
    y: F64
    test: F64
    test_y: F64
    seed: int
    state: Any

    def labels(self, share: float) -> F64:
        """Labels that are given when a share of the anomalies is known: the others count as normal, (n,)."""
        anomalies = np.flatnonzero(self.y > 0)
        rng = np.random.RandomState()
        rng.set_state(self.state)
        known = rng.choice(anomalies, math.ceil(share * len(anomalies)), replace=False)
        given = np.zeros(len(self.y))
        given[known] = 1.0
        return given


def split(X: npt.NDArray[np.generic], y: npt.NDArray[np.generic], seed: int) -> Split:
    """Draw, split and scale a table as the benchmark does.

    Under 1,000 rows: 1,000 drawn with replacement; over 10,000: that many without; 70 % to train, stratified; scaled
    by the training rows' least and largest values. The generator runs on from draw to split to labels.

    Parameters
    ----------
    X, y
        The table (n, d) and its anomalies (n,), as the file has them.
    seed
        1, 2 and 3 are the published ones.
    """
    rng = np.random.RandomState(seed)
    if len(y) < _LEAST:
        index = rng.choice(len(y), _LEAST, replace=True)
        X, y = X[index], y[index]
    if len(y) > _MOST:
        rng = np.random.RandomState(seed)
        index = rng.choice(np.arange(len(y)), _MOST, replace=False)
        X, y = X[index], y[index]
    train, test, train_y, test_y = train_test_split(X, y, test_size=0.3, shuffle=True, stratify=y, random_state=rng)
    scaler = MinMaxScaler().fit(train)
    return Split(
        X=scaler.transform(train),
        y=train_y.astype(np.float64),
        test=scaler.transform(test),
        test_y=test_y.astype(np.float64),
        seed=seed,
        state=rng.get_state(legacy=True),
    )


def tables(data: Path) -> dict[str, Path]:
    """Find the tables of a folder: name without its number -> file, in the order of their names.

    Raises
    ------
    SettingError
        No folder, or no table in it.
    """
    found = {}
    for folder in (data, data / "adbench"):
        for path in sorted(folder.glob("*.npz")) if folder.is_dir() else []:
            number, _, name = path.stem.partition("_")
            found[name if number.isdigit() and name else path.stem] = path
        if found:
            return dict(sorted(found.items(), key=lambda item: item[0].lower()))
    raise SettingError(f"--data {data} holds no ADBench table; name the folder of its Classical .npz files")


def load(path: Path) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.int64]]:
    """Read X (n, d) and y (n,) of one table.

    Raises
    ------
    SettingError
        The file is no ADBench table.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            X, y = arrays["X"], arrays["y"].astype(np.int64).reshape(-1)
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise SettingError(f"{path} cannot be read as X and y of an ADBench table ({error})") from None
    if X.ndim != 2 or len(X) != len(y) or not np.isin(y, (0, 1)).all() or not 2 <= y.sum() <= len(y) - 2:
        raise SettingError(f"{path} must hold X (rows, columns) and y with 0 and 1 for each row, at least two of both")
    return X, y


Published = dict[tuple[float, str, str], tuple[float, float]]


def published(data: Path) -> Published:
    """Read published figures: (share of labels, algorithm, table) -> (AUCROC, AUCPR) in %; empty without the file."""
    places = [folder / name for folder in (data, data.parent) for name in _names(folder)]
    if not places:
        return {}
    cells: dict[tuple[float, str, str], dict[str, float]] = {}
    with gzip.open(places[0], "rt", encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            if row["value_pct"]:
                share = float(row["labelled_anomaly_ratio"] or 0.0)
                key = (share, row["algorithm"], row["dataset"])
                cells.setdefault(key, {})[row["metric"]] = float(row["value_pct"])
    return {key: (cell["AUCROC"], cell["AUCPR"]) for key, cell in cells.items() if len(cell) == 2}


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("adbench_published*.csv.gz"))


def published_mean(figures: Published, share: float, names: Iterable[str]) -> dict[str, tuple[float, float]]:
    """Mean over tables by algorithm, for those that have a figure for each of them."""
    wanted = list(names)
    algorithms = sorted({algorithm for at, algorithm, _ in figures if at == share})
    means = {}
    for algorithm in algorithms:
        cells = [figures[share, algorithm, name] for name in wanted if (share, algorithm, name) in figures]
        if cells and len(cells) == len(wanted):
            means[algorithm] = (float(np.mean([c[0] for c in cells])), float(np.mean([c[1] for c in cells])))
    return means
