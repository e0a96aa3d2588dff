"""The anomaly benchmark on tables of our own: its rules of drawing, what is fitted, and how the table reads."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from stream.errors import SettingError
from training.protocols import adbench, adbench_detectors, pieces
from training.protocols.adbench_data import load, published, published_mean, split, tables
from training.protocols.adbench_picture import draw


def table(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, 5))
    y = (np.arange(rows) < rows // 20).astype(int)
    X[y == 1] += 4.0
    X[:, 4] = X[:, 4] > 0
    return X, y


def write(folder: Path, name: str, rows: int) -> None:
    X, y = table(rows)
    np.savez(folder / f"{name}.npz", X=X, y=y)


def test_small_tables_are_drawn_up_to_a_thousand_and_large_ones_down_to_ten_thousand() -> None:
    for rows, kept in ((200, 1000), (2000, 2000), (12_000, 10_000)):
        part = split(*table(rows), 1)
        assert (len(part.X), len(part.test)) == (kept * 7 // 10, kept - kept * 7 // 10)
        assert part.X.min() == 0.0
        assert part.X.max() == pytest.approx(1.0)


def test_the_draw_is_the_published_one_and_labels_follow_from_its_generator() -> None:
    X, y = table(200)
    np.random.seed(2)  # the benchmark draws from numpy's global generator
    index = np.random.choice(np.arange(200), 1000, replace=True)
    part = split(X, y, 2)
    assert part.y.sum() + part.test_y.sum() == y[index].sum()
    given = part.labels(0.1)
    assert given.sum() == np.ceil(0.1 * part.y.sum())
    assert not given[part.y == 0].any()
    assert np.array_equal(given, split(X, y, 2).labels(0.1))
    assert np.array_equal(part.labels(1.0), part.y)


def test_every_detector_finds_what_is_planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(adbench_detectors.CHOSEN["VAE"], "steps", 150)
    write(tmp_path, "38_thyroid", 1200)
    figures = adbench.measure(tmp_path / "38_thyroid.npz", 1)
    assert set(figures) >= {"0 VAE", "0 VAE + forest", "0.01 few-label panel", "0.1 VAE head", "1 GBDT", "1 SVM"}
    for name, (auc, _) in figures.items():
        assert auc > (85 if name != "0.01 boosting" else 50), name


def test_the_table_has_intervals_published_rows_and_no_goal_without_its_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "38_thyroid", 60)
    write(tmp_path, "42_WBC", 60)
    lines = ["table,metric,setting,labelled_anomaly_ratio,dataset,algorithm,value_pct"]
    for name, value in (("thyroid", 90.0), ("WBC", 80.0)):
        lines += [f"D4,{metric},unsupervised,,{name},ECOD,{value}" for metric in ("AUCROC", "AUCPR")]
    (tmp_path / "adbench_published_tables.csv.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    monkeypatch.setattr(adbench, "measure", _measured)
    said: list[str] = []
    result = adbench.run(tmp_path, quick=False, seed=1, say=said.append)
    ours = next(row for row in result.rows if row.model == "VAE")
    assert ours.figures["ten_auc"] == pytest.approx(85.5)
    assert ours.intervals["ten_auc"][0] < 85.5 < ours.intervals["ten_auc"][1]
    theirs = next(row for row in result.rows if row.source == "published")
    assert (theirs.figures["ten_auc"], theirs.figures["others_ap"]) == (90.0, 80.0)
    assert result.goals == []
    draw(result, tmp_path / "labels.png")
    assert (tmp_path / "labels.png").read_bytes().startswith(b"\x89PNG")
    assert any("1 are there" in note for note in result.notes)


def _measured(path: Path, seed: int) -> dict[str, list[float]]:
    return {"0 VAE": [80.0 + seed, 40.0]}


def test_pieces_are_kept_and_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    asked: list[int] = []

    def work(number: int) -> dict[str, int]:
        asked.append(number)
        if number == 3 and asked.count(3) == 1:
            raise KeyboardInterrupt
        return {"square": number * number}

    todo = [pieces.Piece(f"piece {k}", work, (k,)) for k in (1, 2, 3)]
    said: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        pieces.in_pieces("squares", todo, (pieces,), said.append)
    assert pieces.in_pieces("squares", todo, (pieces,), said.append) == [{"square": k * k} for k in (1, 2, 3)]
    assert asked == [1, 2, 3, 3]
    assert any("2 of 3 pieces were done before" in text for text in said)
    pieces.in_pieces("squares", todo, (adbench,), said.append)
    assert asked[4:] == [1, 2, 3], "answers of another program's text are not read"


def test_messages_name_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="holds no ADBench table"):
        tables(tmp_path)
    (tmp_path / "1_broken.npz").write_bytes(b"nothing")
    with pytest.raises(SettingError, match="1_broken"):
        load(tmp_path / "1_broken.npz")
    np.savez(tmp_path / "2_one.npz", X=np.zeros((9, 2)), y=np.zeros(9))
    with pytest.raises(SettingError, match="at least two of both"):
        load(tmp_path / "2_one.npz")
    assert published(tmp_path) == {}


def test_a_published_mean_needs_every_table() -> None:
    figures = {(0.1, "CatB", "a"): (90.0, 70.0), (0.1, "CatB", "b"): (80.0, 60.0), (0.1, "LGB", "a"): (99.0, 99.0)}
    assert published_mean(figures, 0.1, ["a", "b"]) == {"CatB": (85.0, 65.0)}
