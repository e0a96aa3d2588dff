"""Real cards: what is an input, what is a test row, and figures at few false alarms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stream.errors import SettingError
from training.protocols import ulb, ulb_detectors
from training.protocols.ulb_figures import PREVALENCE, precision_at_prevalence, recall_at


def write(path: Path, rows: int = 400, frauds: int = 40) -> None:
    rng = np.random.default_rng(1)
    V = rng.normal(size=(rows + frauds, 28))
    V[rows:, :4] += 5.0
    V[rows + 1] = V[rows]  # a repeat
    columns = {f"V{k + 1}": V[:, k] for k in range(28)}
    part = ["normal_random_day1"] * (rows - 50) + ["normal_first_hour"] * 50 + ["all_frauds"] * frauds
    time = np.r_[np.arange(rows), np.linspace(0, 170_000, frauds)]
    amount = rng.lognormal(3, 1, rows + frauds)
    amount[rows + 1] = amount[rows]
    table = {"Time": time, **columns, "Amount": amount, "Class": np.r_[np.zeros(rows), np.ones(frauds)], "part": part}
    pq.write_table(pa.table(table), path)


def test_time_and_the_first_hour_are_left_out_and_repeats_count_once(tmp_path: Path) -> None:
    write(tmp_path / "ulb_small.parquet")
    cards = ulb.load(tmp_path / "ulb_small.parquet")
    assert cards.genuine.shape == (350, 29)
    assert cards.fraud.shape == (39, 29)
    assert 0 < cards.first_day.sum() < 39


def test_the_protocol_finds_frauds_that_stand_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "ulb_small.parquet")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(ulb_detectors, "_TREES", 25)
    monkeypatch.setattr(ulb_detectors, "_QUICK_STEPS", 150)
    monkeypatch.setattr(ulb_detectors, "_ROUNDS", 40)
    table = ulb.run(tmp_path, quick=True, seed=3, say=lambda _: None)
    by_name = {(row.model, row.setting): row for row in table.rows}
    assert by_name["VAE", "genuine rows only"].figures["auc"] > 0.95
    assert by_name["panel", "5 folds, with labels"].figures["auc"] > 0.98
    assert by_name["isolation forest", "genuine rows only"].source == "yardstick"
    assert len(table.goals) == 3
    path = tmp_path / "ulb_small.parquet"
    assert ulb.fold_of(path, 3, 4) == ulb.fold_of(path, 3, 4)


def test_recall_counts_only_what_the_allowed_false_alarms_leave() -> None:
    genuine, fraud = np.arange(1000.0), np.array([998.5, 999.5, 5.0, 990.5])
    assert recall_at(genuine, fraud, 0.001) == 0.5  # one false alarm: everything above 998
    assert recall_at(genuine, fraud, 0.01) == 0.75
    assert recall_at(np.zeros(100), np.zeros(5), 0.01) == 0.0


def test_precision_is_that_of_the_full_table() -> None:
    rng = np.random.default_rng(2)
    at_random = precision_at_prevalence(rng.random(3000), rng.random(3000))
    assert at_random == pytest.approx(PREVALENCE, rel=0.2)
    assert precision_at_prevalence(np.zeros(10), np.ones(10)) == pytest.approx(1.0)


def test_a_table_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="holds no ulb_creditcard_subset"):
        ulb.run(tmp_path, quick=True, seed=1, say=lambda _: None)
    pq.write_table(pa.table({"Time": [1.0], "V1": [2.0]}), tmp_path / "ulb_x.parquet")
    with pytest.raises(SettingError, match="lacks the columns V2"):
        ulb.load(tmp_path / "ulb_x.parquet")
