"""What holds for every detector of the registry; a new one is found by itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from training.detectors import REGISTRY, Detector, Inputs, WindowGBDT, Windows

ROWS, TRAIN = 600, 400
QUICK: dict[str, dict[str, Any]] = {
    "vae": {"steps": 120},
    "cnn": {"epochs": 15, "patience": 15},
    "svm": {"landmarks": 24},
    "gbdt": {"trees": 40},
}
CASES = [*REGISTRY, "cnn with the current row", "gbdt with windows and the current row"]


@dataclass(frozen=True)
class Fitted:
    case: str
    detector: Detector
    inputs: Inputs
    labels: np.ndarray
    raw: np.ndarray
    graph: Path


def make(case: str) -> Detector:
    name = case.split(maxsplit=1)[0]
    if "windows" in case:
        return WindowGBDT(**QUICK[name])
    options = dict(QUICK.get(name, {})) | ({"current_row": True} if "current" in case else {})
    return REGISTRY[name](**options)


def data(case: str) -> tuple[Inputs, np.ndarray]:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(ROWS, 6)).astype(np.float32)
    s = rng.normal(size=(ROWS, 5, 3)).astype(np.float32)
    cause = x[:, 0] if REGISTRY[case.split(maxsplit=1)[0]].kind == "tabular" else s[:, -1, 0]
    labels = (cause > 1.0).astype(float)
    x[rng.random(x.shape) < 0.1] = np.nan
    s[rng.random(s.shape) < 0.05] = np.nan
    x[:, 5], s[:, :, 2] = 7.0, 0.0  # constant columns
    if "current" in case:
        return Windows(s, x), labels
    return (x if REGISTRY[case].kind == "tabular" else s), labels


def rows(inputs: Inputs, part: slice) -> Inputs:
    return Windows(inputs.steps[part], inputs.row[part]) if isinstance(inputs, Windows) else inputs[part]


def arrays(inputs: Inputs) -> list[np.ndarray]:
    return list(inputs) if isinstance(inputs, Windows) else [inputs]


@pytest.fixture(scope="module", params=CASES)
def fitted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    inputs, labels = data(request.param)
    before = [array.copy() for array in arrays(inputs)]
    detector = make(request.param).fit(rows(inputs, slice(0, TRAIN)), labels[:TRAIN], seed=3)
    raw = detector.raw_score(inputs)
    for array, copy in zip(arrays(inputs), before, strict=True):
        np.testing.assert_array_equal(array, copy, err_msg="a detector changed its input")
    graph = tmp_path_factory.mktemp("graphs") / "model.onnx"
    detector.to_onnx(graph)
    return Fitted(request.param, detector, inputs, labels, raw, graph)


def test_raw_scores_are_finite_numbers_of_the_right_shape(fitted: Fitted) -> None:
    assert fitted.raw.shape == (ROWS,) and fitted.raw.dtype == np.float64 and np.isfinite(fitted.raw).all()


def test_scores_lie_in_0_to_1_and_keep_the_order(fitted: Fitted) -> None:
    score = fitted.detector.score(fitted.inputs)
    assert ((score >= 0) & (score <= 1)).all()
    assert (np.diff(score[np.argsort(fitted.raw, kind="stable")]) >= -1e-12).all()


def test_one_seed_gives_one_detector(fitted: Fitted) -> None:
    again = make(fitted.case).fit(rows(fitted.inputs, slice(0, TRAIN)), fitted.labels[:TRAIN], seed=3)
    np.testing.assert_array_equal(again.raw_score(fitted.inputs), fitted.raw)


@pytest.mark.parametrize("batch", [1, 7, 512])
def test_the_graph_scores_as_the_detector_does(fitted: Fitted, batch: int) -> None:
    session = ort.InferenceSession(fitted.graph, providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_inputs()]
    given = dict(zip(("s", "x"), arrays(fitted.inputs), strict=True)) if len(names) == 2 else {names[0]: fitted.inputs}
    out = session.run(["score"], {name: np.asarray(value)[:batch] for name, value in given.items()})[0]
    assert out.shape == (batch,)
    np.testing.assert_allclose(out, fitted.raw[:batch], rtol=1e-5, atol=5e-5)


def test_extreme_and_missing_values_give_finite_scores(fitted: Fitted) -> None:
    for value in (np.inf, -np.inf, 3e38, np.nan):
        filled = [np.full_like(array[:4], value) for array in arrays(fitted.inputs)]
        extreme: Inputs = Windows(*filled) if isinstance(fitted.inputs, Windows) else filled[0]
        assert np.isfinite(fitted.detector.raw_score(extreme)).all(), value


def test_supervised_detectors_rank_what_they_were_taught(fitted: Fitted) -> None:
    held, labels = fitted.raw[TRAIN:], fitted.labels[TRAIN:]
    higher = np.mean(held[labels > 0][:, None] > held[labels == 0][None, :])
    assert higher > (0.8 if fitted.detector.supervised else 0.3)


def test_the_graph_tells_nothing_of_the_machine_that_made_it(fitted: Fitted) -> None:
    content = fitted.graph.read_bytes()
    assert b".py" not in content and b"/home" not in content and len(content) < 1_000_000


def test_explanations_add_up_to_what_does_not_fit(fitted: Fitted) -> None:
    explain = getattr(fitted.detector, "explain", None)
    if explain is not None:
        parts = explain(fitted.inputs)
        assert parts.shape == np.asarray(fitted.inputs).shape and (parts[np.isnan(fitted.inputs)] == 0).all()
        assert (fitted.raw - parts.sum(axis=1) >= -1e-4).all(), "what is left is the KL divergence, never negative"


def test_labels_of_one_class_are_refused(fitted: Fitted) -> None:
    if fitted.detector.supervised:
        with pytest.raises(ValueError, match="both classes"):
            make(fitted.case).fit(fitted.inputs, np.zeros(ROWS), seed=1)
    else:
        blind = make(fitted.case).fit(rows(fitted.inputs, slice(0, TRAIN)), None, seed=3)
        np.testing.assert_array_equal(blind.raw_score(fitted.inputs), fitted.raw)
