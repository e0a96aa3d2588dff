"""A panel on disk without training, and a runtime that fails as told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from stream.scoring.device import CPU, CUDA
from stream.scoring.manifest import FeatureContract, SubsetFusion, TrainingWindow, subset_key
from stream.scoring.panel import Panel
from training.calibrate import Calibrator
from training.detectors import Detector
from training.export import Provenance, activate, manifest_hash, write_fusion, write_model
from training.fuse import Fused

CODE = FeatureContract(("amount", "pace"), "7", "c0de" * 16, ("present", "amount"))
EXPECTED: dict[str, Any] = {
    "feature_names": CODE.names,
    "features_version": CODE.version,
    "features_hash": CODE.digest,
    "channels": CODE.channels,
}
ORIGIN = Provenance(CODE, TrainingWindow(0, 1, 10, 2, "made for a test", "ab" * 32, 1), True, None)


class Column(Detector):
    """Raw score = one column; its graph is a word that `FakeRuntime` understands."""

    kind, supervised, parameters = "tabular", False, 0

    def __init__(self, name: str, column: int) -> None:
        self.name = name  # type: ignore[misc]
        self.column = column

    def fit(self, X: Any, y: Any = None, *, seed: int, validation: Any = None) -> Column:
        return self

    def raw_score(self, X: Any) -> np.ndarray:
        return np.asarray(X, np.float64)[:, self.column]

    def to_onnx(self, path: Path) -> None:
        path.write_bytes(f"column {self.column}".encode())


class FakeSession:
    def __init__(self, model: bytes, provider: str, spoil: Callable[[np.ndarray], np.ndarray]) -> None:
        self.column, self.provider, self.spoil = int(model.split()[1]), provider, spoil

    def run(self, names: list[str], inputs: dict[str, Any]) -> list[Any]:
        return [self.spoil(inputs["x"][:, self.column])]

    def get_providers(self) -> list[str]:
        return [self.provider]

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name="x")]


class FakeRuntime:
    """Claims CUDA; ``cuda`` says what then happens: works | raises | silent | wrong; ``spoil`` bends CPU scores."""

    def __init__(self, cuda: str = "absent", driver: str | None = None) -> None:
        self.cuda, self.driver = cuda, driver
        self.spoil: dict[int, Callable[[np.ndarray], np.ndarray]] = {}

    def available(self) -> list[str]:
        return [CPU] if self.cuda == "absent" else [CUDA, CPU]

    def driver_problem(self) -> str | None:
        return self.driver

    def session(self, model: bytes, provider: str, threads: int) -> FakeSession:
        if provider == CUDA and self.cuda == "raises":
            raise ValueError("CUDA error 35: driver too old\nand a long trace")
        given = CPU if self.cuda == "silent" else provider
        wrong, column = provider == CUDA and self.cuda == "wrong", int(model.split()[1])

        def bend(raw: np.ndarray) -> np.ndarray:
            if wrong:
                return raw + 0.01
            return self.spoil[column](raw) if column in self.spoil else raw

        return FakeSession(model, given, bend)


def write_panel(directory: Path, names: Sequence[str] = ("one", "two")) -> Path:
    """Write a panel of column detectors: raw = logit, weights 1 and 2, thresholds that tell the subset."""
    x = np.linspace(-2, 2, 16, dtype=np.float32).reshape(8, 2)
    golden = x, np.ones((8, 3, 2), np.float32)
    table = Calibrator(np.array([-10.0, 10.0]), np.array([-10.0, 10.0]))
    members = {}
    for column, name in enumerate(names):
        manifest = write_model(
            directory, Column(name, column), table, golden=golden, origin=ORIGIN, metrics={"ap": 0.5}
        )
        members[name] = (manifest.version, manifest_hash(manifest))
    rules = [SubsetFusion([name], 0.0, [1.0], 0.1 * i, 0.1 * i + 0.3, 0.9) for i, name in enumerate(names, start=1)]
    if len(names) > 1:
        rules.append(SubsetFusion(list(names), -0.5, [1.0 + i for i in range(len(names))], 0.3, 0.6, 0.95))
    fused = Fused({}, {subset_key(rule.members): rule for rule in rules}, {}, 0.008)
    neutral = np.array([1.5, np.nan], np.float32), np.array([1.0, 0.25], np.float32)
    version = write_fusion(directory, fused, members, neutral=neutral, origin=ORIGIN, metrics={})
    activate(directory, {name: number for name, (number, _) in members.items()}, version)
    return directory


def load(directory: Path, **options: Any) -> Panel:
    """Load it with a runtime that works on the CPU unless told otherwise."""
    return Panel.load(directory, **(EXPECTED | {"runtime": FakeRuntime(), "device": "cpu"} | options))
