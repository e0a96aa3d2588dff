"""Credit risk by folds: equal treatment, costs, goals that can be lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

from stream.errors import SettingError
from training.protocols import german


def write(path: Path, rows: int = 360) -> None:
    rng = np.random.default_rng(4)
    duration, age = rng.integers(4, 60, rows), rng.integers(19, 70, rows)
    checking = rng.choice(["none", "low", "high"], rows)
    logit = 0.08 * (duration - 30) + np.where(checking == "low", 1.5, -1.5) - 0.7
    bad = (rng.random(rows) < 1 / (1 + np.exp(-logit))).astype(int)
    pa_csv.write_csv(pa.table({"duration": duration, "age": age, "checking": checking, "bad": bad}), path)


def test_every_model_beats_the_constants_and_is_calibrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(german, "_QUICK_TREES", 25)
    write(tmp_path / "german.csv")
    table = german.run(tmp_path, quick=True, seed=5, say=lambda _: None)
    rows = {row.model: row for row in table.rows if row.model != "constant"}
    constants = [row.figures["cost"] for row in table.rows if row.model == "constant"]
    for row in rows.values():
        assert row.figures["auc"] > 0.65, row.model
        assert row.figures["cost"] < min(constants), row.model
        assert row.figures["brier_skill"] > 0.0, row.model
        assert 0.6 < row.figures["slope"] < 1.6, row.model
    assert len(table.details["svm"]["auc"]) == 10


def test_goals_are_lost_when_the_machine_is_worse() -> None:
    good = [german.Fold(0.80 + 0.001 * k, 0.50, 0.5, np.zeros(1)) for k in range(10)]
    poor = [german.Fold(0.70, 0.60 + 0.001 * k, 0.6, np.zeros(1)) for k in range(10)]
    lost = german._goals({"svm": poor, "random forest": good, "logistic regression": good})
    won = german._goals({"svm": good, "random forest": poor, "logistic regression": poor})
    assert [goal["met"] for goal in lost] == [False, False]
    assert [goal["met"] for goal in won] == [True, True]


def test_a_table_without_enough_outcomes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="holds no german_credit"):
        german.load(tmp_path)
    write(tmp_path / "german.csv", rows=50)
    with pytest.raises(SettingError, match="100 of each"):
        german.load(tmp_path)
