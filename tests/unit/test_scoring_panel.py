"""The panel: fusion, detectors that fail, and the rule for those that are left."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from scoring_fakes import FakeRuntime, load, write_panel

from stream.scoring import Thresholds

X = np.array([[0.5, 1.0], [-1.0, 2.0], [3.0, -2.0]], np.float32)
S = np.ones((3, 3, 2), np.float32)


def broken(values: np.ndarray) -> np.ndarray:
    raise OSError("the graph is gone")


def test_scores_are_fused_by_the_rule_of_all_members(tmp_path: Path) -> None:
    scores = load(write_panel(tmp_path)).score(X, S)
    assert scores.names == ("one", "two") and not scores.degraded
    np.testing.assert_allclose(scores.logit, X[:, 0] + 2 * X[:, 1] - 0.5, rtol=1e-6)
    np.testing.assert_allclose(scores.score, 1 / (1 + np.exp(-scores.logit)), rtol=1e-9)
    np.testing.assert_allclose(scores.scores, 1 / (1 + np.exp(-X)), rtol=1e-5)
    assert scores.thresholds == Thresholds(0.3, 0.6, 0.95)


def test_an_empty_batch_has_empty_scores(tmp_path: Path) -> None:
    scores = load(write_panel(tmp_path)).score(X[:0], S[:0])
    assert scores.logit.shape == (0,) and scores.scores.shape == (0, 2) and not scores.degraded


@pytest.mark.parametrize("spoil", [broken, lambda v: np.where(v > 0, np.nan, v), lambda v: v[:1]])
def test_a_failing_detector_leaves_the_rule_of_the_others(tmp_path: Path, spoil: object) -> None:
    runtime, told = FakeRuntime(), []
    panel = load(write_panel(tmp_path), runtime=runtime, on_degraded=lambda name, error: told.append((name, error)))
    runtime.spoil[0] = spoil  # type: ignore[assignment]
    scores = panel.score(X, S)
    assert scores.degraded and scores.names == ("two",)
    np.testing.assert_allclose(scores.logit, X[:, 1])
    assert scores.thresholds == panel.thresholds == Thresholds(0.2, 0.5, 0.9)
    assert told[0][0] == "one" and told[0][1]


def test_a_detector_that_recovers_takes_part_again(tmp_path: Path) -> None:
    runtime, told = FakeRuntime(), []
    panel = load(write_panel(tmp_path), runtime=runtime, on_degraded=lambda name, error: told.append(error))
    runtime.spoil[0] = broken
    panel.score(X, S)
    del runtime.spoil[0]
    assert not panel.score(X, S).degraded and told == ["the graph is gone", ""]


def test_after_three_failures_in_a_row_a_detector_is_not_asked_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runtime = FakeRuntime()
    panel = load(write_panel(tmp_path), runtime=runtime)
    runtime.spoil[0] = broken
    with caplog.at_level(logging.ERROR):
        for _ in range(5):
            panel.score(X, S)
    del runtime.spoil[0]
    assert panel.score(X, S).names == ("two",)
    assert len(caplog.records) == 3 and "not asked again" in caplog.text


def test_without_any_detector_scores_are_missing_and_nothing_raises(tmp_path: Path) -> None:
    runtime = FakeRuntime()
    panel = load(write_panel(tmp_path), runtime=runtime)
    runtime.spoil |= {0: broken, 1: broken}
    scores = panel.score(X, S)
    assert scores.degraded and scores.names == () and scores.scores.shape == (3, 0)
    assert np.isnan(scores.score).all() and np.isnan(scores.logit).all()


def test_neutral_values_and_models_come_from_the_artefacts(tmp_path: Path) -> None:
    panel = load(write_panel(tmp_path))
    np.testing.assert_array_equal(panel.neutral_features, np.array([1.5, np.nan], np.float32))
    np.testing.assert_array_equal(panel.neutral_sequence, np.array([1.0, 0.25], np.float32))
    assert [(ref.name, ref.version) for ref in panel.models] == [("one", "1"), ("two", "1")]
    assert panel.simulated and panel.detectors == ("one", "two")


def test_the_panel_hash_follows_every_artefact(tmp_path: Path) -> None:
    first, same = load(write_panel(tmp_path / "a")).hash, load(write_panel(tmp_path / "b")).hash
    other = load(write_panel(tmp_path / "c", ("one", "three"))).hash
    assert first == same != other and len(first) == 64
