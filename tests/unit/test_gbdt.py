"""Boosted trees in their graph: every branch goes where LightGBM sends it, missing values and borders included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from training.detectors import GBDT


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(3000, 6)).astype(np.float32)
    x[:, 1] = rng.integers(-3, 4, 3000)  # borders that many rows stand on
    x[:, 2] += 5  # never missing in training, all cuts above 0
    x[:, 3] -= 5  # never missing in training, all cuts below 0
    y = ((x[:, 0] > 0.5) & (x[:, 1] > 0) | (x[:, 2] + x[:, 3] > 2.2)).astype(float)
    x[rng.random(3000) < 0.2, 0] = np.nan
    return x, y


@pytest.fixture(scope="module")
def fitted(rows: tuple[np.ndarray, np.ndarray]) -> GBDT:
    return GBDT(trees=40).fit(*rows, seed=3)


def graph_scores(detector: GBDT, x: np.ndarray, folder: Path) -> np.ndarray:
    detector.to_onnx(folder / "model.onnx")
    session = ort.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["score"], {"x": x})[0])


def test_the_graph_sends_missing_values_where_the_trees_do(
    fitted: GBDT, rows: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    x = rows[0].copy()
    x[np.random.default_rng(4).random(x.shape) < 0.4] = np.nan
    assert np.ptp(fitted.raw_score(x)) > 1
    np.testing.assert_allclose(graph_scores(fitted, x, tmp_path), fitted.raw_score(x), rtol=1e-5, atol=1e-5)


def test_values_on_a_cut_and_next_to_it_fall_on_one_side_in_both(
    fitted: GBDT, rows: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    assert fitted.booster is not None
    cuts = fitted.booster.trees_to_dataframe().dropna(subset=["threshold"])
    cuts = cuts[cuts["threshold"].abs() > 1e-30]  # what is smaller LightGBM reads as 0 before it looks at any cut
    x = np.repeat(rows[0][:1], 3 * len(cuts), axis=0)
    for i, (column, cut) in enumerate(zip(cuts["split_feature"], cuts["threshold"], strict=True)):
        at = np.float32(cut)
        near = (np.nextafter(at, np.float32(-np.inf)), at, np.nextafter(at, np.float32(np.inf)))
        x[3 * i : 3 * i + 3, int(column.removeprefix("Column_"))] = near
    np.testing.assert_allclose(graph_scores(fitted, x, tmp_path), fitted.raw_score(x), rtol=1e-5, atol=1e-5)


def test_it_stops_growing_when_held_out_rows_say_so(rows: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = rows
    noise = np.random.default_rng(0).permutation(y)
    late = GBDT(trees=80).fit(x[:2000], y[:2000], seed=1, validation=(x[2000:], y[2000:]))
    early = GBDT(trees=80).fit(x[:2000], noise[:2000], seed=1, validation=(x[2000:], noise[2000:]))
    assert early.parameters < 0.5 * late.parameters


def test_a_share_of_missing_values_is_used_as_a_sign() -> None:
    rng = np.random.default_rng(1)
    y = (rng.random(2000) < 0.2).astype(float)
    x = rng.normal(size=(2000, 2)).astype(np.float32)
    x[(y > 0) & (rng.random(2000) < 0.9), 0] = np.nan
    raw = GBDT(trees=30).fit(x, y, seed=1).raw_score(x)
    assert raw[y > 0].mean() > raw[y == 0].mean() + 2


def test_windows_are_refused() -> None:
    with pytest.raises(ValueError, match="matrix"):
        GBDT().fit(np.zeros((10, 2, 3), np.float32), np.arange(10) % 2, seed=1)
