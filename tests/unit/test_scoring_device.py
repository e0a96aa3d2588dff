"""Where models run: CUDA that works, that is absent, that raises, that is silently not there, that scores wrongly."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from scoring_fakes import FakeRuntime, load, write_panel

from stream.errors import SettingError
from stream.scoring.device import OnnxRuntime

FAULTS = [
    (FakeRuntime("absent"), "built without CUDA"),
    (FakeRuntime("works", driver="no NVIDIA driver is installed"), "no NVIDIA driver is installed"),
    (FakeRuntime("raises"), "CUDA error 35: driver too old"),
    (FakeRuntime("silent"), "gave CPUExecutionProvider instead of CUDAExecutionProvider"),
    (FakeRuntime("wrong"), "golden rows give other scores"),
]


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_cuda_is_taken_when_it_answers(tmp_path: Path, device: str, caplog: pytest.LogCaptureFixture) -> None:
    panel = load(write_panel(tmp_path), runtime=FakeRuntime("works"), device=device)
    assert panel.device_info == {"one": "cuda", "two": "cuda"} and not caplog.records


@pytest.mark.parametrize(("runtime", "reason"), FAULTS)
def test_auto_falls_back_loudly(
    tmp_path: Path, runtime: FakeRuntime, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        panel = load(write_panel(tmp_path), runtime=runtime, device="auto")
    assert all(info.startswith("cpu (") and reason in info for info in panel.device_info.values())
    assert [record.levelname for record in caplog.records] == ["WARNING"] and reason in caplog.text
    assert np.isfinite(panel.score(np.ones((2, 2), np.float32), np.ones((2, 3, 2), np.float32)).score).all()


@pytest.mark.parametrize(("runtime", "reason"), FAULTS)
def test_cuda_refuses_in_one_sentence(tmp_path: Path, runtime: FakeRuntime, reason: str) -> None:
    with pytest.raises(SettingError) as caught:
        load(write_panel(tmp_path), runtime=runtime, device="cuda")
    text = str(caught.value)
    assert reason in text and "set the device to auto or cpu" in text and "\n" not in text


def test_cpu_is_quiet_and_asks_for_no_gpu(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    panel = load(write_panel(tmp_path), runtime=FakeRuntime("raises"), device="cpu")
    assert panel.device_info == {"one": "cpu", "two": "cpu"} and not caplog.records


def test_the_real_runtime_tells_about_a_model_that_is_none(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SettingError, match=r"one/1/model\.onnx is refused: the session could not be created"):
        load(write_panel(tmp_path), runtime=OnnxRuntime(), device="cpu")
    assert capfd.readouterr() == ("", ""), "onnxruntime keeps off stdout and stderr"


def test_the_real_runtime_names_what_is_missing_or_has_a_device() -> None:
    problem = OnnxRuntime().driver_problem()
    assert problem is None or "NVIDIA" in problem
