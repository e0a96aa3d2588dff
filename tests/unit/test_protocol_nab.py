"""NAB's scoring against a plain reading of its definition, and the protocol on a small benchmark of our own."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stream.errors import SettingError
from training.forecast.online import Learning
from training.protocols import nab
from training.protocols.nab_scoring import PROFILES, Marked, Profile, Sweep, probation_of


def plain(marked: list[Marked], scores: list[np.ndarray], threshold: float, profile: Profile) -> float:
    """NAB's score as its paper tells it, row by row."""

    def sigmoid(position: float) -> float:
        return -1.0 if position > 3 else 2 / (1 + math.exp(5 * position)) - 1

    raw, windows = 0.0, 0
    for file, score in zip(marked, scores, strict=True):
        windows += len(file.windows)
        hits = dict.fromkeys(range(len(file.windows)), -profile.missed)
        for row in range(file.probation, file.length):
            if score[row] < threshold:
                continue
            inside = [k for k, (first, last) in enumerate(file.windows) if first <= row <= last]
            before = [(first, last) for first, last in file.windows if last < row]
            if inside:
                first, last = file.windows[inside[0]]
                worth = sigmoid(-(last - row + 1) / (last - first + 1)) / sigmoid(-1.0)
                hits[inside[0]] = max(hits[inside[0]], profile.hit * worth)
            elif before:
                first, last = before[-1]
                raw += profile.false * sigmoid((row - last) / (last - first))
            else:
                raw -= profile.false
        raw += sum(hits.values())
    nothing = -profile.missed * windows
    return 100 * (raw - nothing) / (profile.hit * windows - nothing)


@pytest.fixture
def benchmark() -> tuple[list[Marked], list[np.ndarray]]:
    random = np.random.default_rng(3)
    windows = [[(100, 130), (200, 240)], [], [(150, 190)]]
    marked = [Marked(300, np.array(spans, np.int64).reshape(-1, 2), probation_of(300)) for spans in windows]
    return marked, [np.round(random.random(300), 2) for _ in marked]


@pytest.mark.parametrize("name", list(PROFILES))
@pytest.mark.parametrize("threshold", [0.3, 0.9, 0.99])
def test_every_threshold_scores_as_defined(
    benchmark: tuple[list[Marked], list[np.ndarray]], name: str, threshold: float
) -> None:
    marked, scores = benchmark
    sweep = Sweep(marked, scores, PROFILES[name])
    assert sweep.at(threshold) == pytest.approx(plain(marked, scores, threshold, PROFILES[name]))


def test_the_best_threshold_is_the_best_of_all(benchmark: tuple[list[Marked], list[np.ndarray]]) -> None:
    marked, scores = benchmark
    best, threshold = Sweep(marked, scores, PROFILES["standard"]).best()
    every = [plain(marked, scores, at, PROFILES["standard"]) for at in np.unique(np.concatenate(scores))]
    assert best == pytest.approx(max(*every, 0.0))
    assert best == pytest.approx(plain(marked, scores, threshold, PROFILES["standard"]))


def test_nothing_found_is_0_and_the_first_row_of_each_window_100() -> None:
    marked = [Marked(400, np.array([[100, 139], [250, 300]]), 60)]
    scores = [np.zeros(400)]
    assert Sweep(marked, scores, PROFILES["standard"]).at(0.5) == 0.0
    scores[0][[100, 250]] = 1.0
    assert Sweep(marked, scores, PROFILES["standard"]).at(0.5) == pytest.approx(100.0)


def write_benchmark(folder: Path) -> None:
    random = np.random.default_rng(0)
    times = pd.date_range("2024-01-01", periods=400, freq="5min")
    parts, windows = [], {}
    for k in range(7):
        values = random.normal(size=400)
        values[250:256] += 25.0
        parts.append(pd.DataFrame({"file": f"a/{k}.csv", "timestamp": times, "value": values}))
        windows[f"a/{k}.csv"] = [[str(times[240]), str(times[270])]]
    pd.concat(parts).to_parquet(folder / "nab_data.parquet")
    (folder / "combined_windows.json").write_text(json.dumps(windows))


def test_the_protocol_finds_planted_spikes_and_repeats_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_benchmark(tmp_path)
    monkeypatch.setattr(nab, "LEARNING", Learning(hidden=6, window=8, batch=4, first_steps=10, steps=1))
    told: list[str] = []
    tables = []
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)  # finished seeds are kept under the working folder
        tables.append(nab.run(tmp_path, quick=True, seed=1, say=told.append))
    assert tables[0].rows[0].figures["fixed standard"] > 60
    assert tables[0].as_dict() == tables[1].as_dict()
    nab.run(tmp_path, quick=True, seed=1, say=told.append)
    assert "1 of 1 pieces were done before" in told[-1]
    assert tables[0].details["files"] == ["a/0.csv", "a/6.csv"]


def test_the_repository_s_own_layout_is_read_too(tmp_path: Path) -> None:
    write_benchmark(tmp_path)
    frame = pd.read_parquet(tmp_path / "nab_data.parquet")
    other = tmp_path / "NAB"
    for name, group in frame.groupby("file"):
        path = other / "data" / str(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        group[["timestamp", "value"]].to_csv(path, index=False)
    (other / "labels").mkdir()
    (tmp_path / "combined_windows.json").rename(other / "labels" / "combined_windows.json")
    found = nab.read_nab(other, quick=False)
    assert [file.name for file in found.files] == [f"a/{k}.csv" for k in range(7)]
    assert found.files[0].marked.windows.tolist() == [[240, 270]]


def test_a_folder_without_nab_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"nab_data\.parquet"):
        nab.run(tmp_path, quick=True, seed=1, say=print)
