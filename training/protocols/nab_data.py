"""Reading NAB: one parquet file with its windows, or the benchmark's own repository layout."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from stream.errors import SettingError
from training.detectors.base import F64
from training.protocols.nab_scoring import I64, Marked, probation_of


@dataclass(frozen=True, slots=True)
class NabFile:
    """One series with its windows."""

    name: str
    values: F64
    hours: F64  # of day
    times: pd.DatetimeIndex
    marked: Marked


@dataclass(frozen=True, slots=True)
class Nab:
    """The benchmark; published scores by detector and file where the folder holds them."""

    files: list[NabFile]
    scores: dict[str, list[F64]]
    results: dict[str, dict[str, float]]


def read_nab(folder: Path, quick: bool) -> Nab:
    """Read the benchmark.

    Parameters
    ----------
    folder
        With ``nab_data.parquet`` (file, timestamp, value) and ``combined_windows.json``, or with ``data/`` and
        ``labels/combined_windows.json`` as in numenta/NAB.
    quick
        Every sixth file.

    Raises
    ------
    SettingError
        Files are missing or have other columns.
    """
    path = folder / "nab_data.parquet"
    if path.exists():
        frame = pd.read_parquet(path)
        windows_path = folder / "combined_windows.json"
    else:
        frame = _repository(folder)
        windows_path = folder / "labels" / "combined_windows.json"
    if not {"file", "timestamp", "value"} <= set(frame.columns) or not windows_path.exists():
        raise SettingError(f"--data {folder} needs columns file, timestamp, value and the file {windows_path.name}")
    windows = json.loads(windows_path.read_text())
    groups = {str(name): group for name, group in frame.groupby("file", observed=True)}
    names = [name for name in sorted(windows) if name in groups][:: 6 if quick else 1]
    if not names:
        raise SettingError(f"--data {folder}: no file of {windows_path.name} is among the series")
    files = [_file(name, groups[name], windows[name]) for name in names]
    return Nab(files, _published(folder, names), _results(folder))


def _repository(folder: Path) -> pd.DataFrame:
    paths = sorted((folder / "data").glob("*/*.csv"))
    if not paths:
        raise SettingError(f"--data {folder} holds neither nab_data.parquet nor data/*/*.csv of the NAB repository")
    parts = [
        pd.read_csv(path, parse_dates=["timestamp"]).assign(file=f"{path.parent.name}/{path.name}") for path in paths
    ]
    return pd.concat(parts, ignore_index=True)


def _file(name: str, group: pd.DataFrame, spans: list[list[str]]) -> NabFile:
    times = pd.DatetimeIndex(group["timestamp"])
    rows: list[list[int]] = []
    for first, last in spans:
        found = [np.flatnonzero(times == pd.Timestamp(moment)) for moment in (first, last)]
        if not all(len(rows_of) for rows_of in found):
            raise SettingError(f"a window of {name} begins or ends at a time that the series lacks: {first}, {last}")
        rows.append([int(rows_of[0]) for rows_of in found])
    windows: I64 = np.array(rows, np.int64).reshape(-1, 2)
    hours = np.asarray(times.hour + times.minute / 60, np.float64)
    marked = Marked(len(group), windows, probation_of(len(group)))
    return NabFile(name, group["value"].to_numpy(np.float64), hours, times, marked)


def _published(folder: Path, names: list[str]) -> dict[str, list[F64]]:
    path = folder / "nab_published_detector_scores.parquet"
    if not path.exists():
        return {}
    frame = pd.read_parquet(path)
    groups = {str(name): group for name, group in frame.groupby("file", observed=True)}
    detectors = [column for column in frame.columns if column not in {"file", "null"}]
    return {one: [groups[name][one].to_numpy(np.float64) for name in names] for one in detectors}


def _results(folder: Path) -> dict[str, dict[str, float]]:
    path = folder / "final_results.json"
    if not path.exists():
        path = folder / "results" / "final_results.json"
    if not path.exists():
        return {}
    keys = {"standard": "standard", "low FP": "reward_low_FP_rate", "low FN": "reward_low_FN_rate"}
    found = json.loads(path.read_text())
    return {
        detector: {name: float(row[key]) for name, key in keys.items() if key in row} for detector, row in found.items()
    }
