"""Writing a panel: versioned folders that are never changed, and the one line that makes them the champion."""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stream.scoring.manifest import (
    Calibration,
    FeatureContract,
    FusionFile,
    Manifest,
    Member,
    Tensor,
    TrainingWindow,
    digest,
    seal,
)
from training.calibrate import Calibrator
from training.detectors import Detector, Inputs, Windows
from training.fuse import RULE, Fused
from training.samples import F32

GOLDEN_ROWS = 64


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where artefacts come from."""

    code: FeatureContract
    window: TrainingWindow
    simulated: bool
    commit: str | None


def code_commit() -> str | None:
    """Name the commit of a checkout, or None where there is no git."""
    folder, command = Path(__file__).resolve().parent, ["git", "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def write_model(
    directory: Path,
    detector: Detector,
    calibrator: Calibrator,
    *,
    golden: tuple[F32, F32],
    origin: Provenance,
    metrics: Mapping[str, float],
    replace: bool = False,
) -> Manifest:
    """Write ``<directory>/<name>/<next version>/{model.onnx, manifest.json, golden.npz}``.

    Parameters
    ----------
    directory
        The models folder.
    detector, calibrator
        Fitted; raw score to logit.
    origin, metrics
        What the manifest tells about training, and figures by name.
    golden
        Rows X (n, d) and windows S (n, K, C) to keep with the raw scores that the detector gives them.
    replace
        Drop every older version and write version 1.
    """
    x, s = golden
    with _new_version(directory / detector.name, replace) as (folder, version):
        model = folder / "model.onnx"
        detector.to_onnx(model)
        raw = detector.raw_score(inputs_of(detector, x, s))
        arrays = io.BytesIO()
        np.savez_compressed(arrays, x=x, s=s, raw=raw)
        (folder / "golden.npz").write_bytes(arrays.getvalue())
        manifest = Manifest(
            name=detector.name,
            version=version,
            kind=detector.kind,
            inputs=_tensors(detector, x, s),
            output=Tensor("score", "float32", [None]),
            features=list(origin.code.names),
            channels=list(origin.code.channels),
            features_version=origin.code.version,
            features_hash=origin.code.digest,
            calibration=Calibration(calibrator.raw.tolist(), calibrator.logit.tolist()),
            training=origin.window,
            simulated=origin.simulated,
            parameters=detector.parameters,
            metrics=_rounded(metrics),
            sha256=hashlib.sha256(model.read_bytes()).hexdigest(),
            golden_sha256=hashlib.sha256(arrays.getvalue()).hexdigest(),
            code_commit=origin.commit,
        )
        (folder / "manifest.json").write_bytes(seal(manifest))
    return manifest


def write_fusion(
    directory: Path,
    fused: Fused,
    manifests: Mapping[str, tuple[str, str]],
    *,
    neutral: tuple[F32, F32],
    origin: Provenance,
    metrics: Mapping[str, float],
    replace: bool = False,
) -> str:
    """Write ``fusion/<next version>/fusion.json`` and return its version.

    Parameters
    ----------
    directory
        The models folder.
    fused
        What `training.fuse.fit_fusion` gave.
    manifests
        Version and manifest hash of every member.
    neutral
        Usual values of features (d,) and channels (C,) for attribution.
    origin, metrics
        What the file tells about training, and figures by name.
    replace
        Drop every older version and write version 1.
    """
    with _new_version(directory / "fusion", replace) as (folder, version):
        usual, steps = neutral
        fusion = FusionFile(
            version=version,
            members={name: Member(number, sha) for name, (number, sha) in sorted(manifests.items())},
            prior=fused.prior,
            threshold_rule=RULE,
            subsets=fused.subsets,
            features=list(origin.code.names),
            channels=list(origin.code.channels),
            features_version=origin.code.version,
            features_hash=origin.code.digest,
            neutral_features=[None if np.isnan(value) else float(value) for value in usual],
            neutral_sequence=[float(value) for value in steps],
            simulated=origin.simulated,
            metrics=_rounded(metrics),
        )
        (folder / "fusion.json").write_bytes(seal(fusion))
    return version


def activate(directory: Path, champion: Mapping[str, str], fusion: str) -> None:
    """Make these versions the champion, atomically."""
    members = ", ".join(f'{name} = "{version}"' for name, version in sorted(champion.items()))
    text = (
        "# The panel that decides. Promote or roll back by naming other versions of one training.\n"
        f'[panel]\nchampion = {{ {members} }}\nfusion = "{fusion}"\n'
    )
    with tempfile.NamedTemporaryFile("w", dir=directory, suffix=".toml", delete=False) as file:
        file.write(text)
    Path(file.name).chmod(0o644)
    Path(file.name).replace(directory / "active.toml")


def inputs_of(detector: Detector, x: F32, s: F32) -> Inputs:
    """Pick what a detector takes out of features and windows."""
    if detector.kind == "tabular":
        return x
    return Windows(s, x) if getattr(detector, "current_row", False) else s


def manifest_hash(manifest: Manifest) -> str:
    """The hash that a fusion knows a member by."""
    return digest(manifest)


def _tensors(detector: Detector, x: F32, s: F32) -> list[Tensor]:
    windows = Tensor("s", "float32", [None, *s.shape[1:]])
    row = Tensor("x", "float32", [None, x.shape[1]])
    if detector.kind == "tabular":
        return [row]
    return [windows, row] if getattr(detector, "current_row", False) else [windows]


@contextmanager
def _new_version(parent: Path, replace: bool) -> Iterator[tuple[Path, str]]:
    parent.mkdir(parents=True, exist_ok=True)
    taken = [int(path.name) for path in parent.iterdir() if path.name.isdigit()]
    version = "1" if replace else str(max(taken, default=0) + 1)
    temporary = Path(tempfile.mkdtemp(dir=parent, prefix=".new-"))
    try:
        yield temporary, version
        if replace:
            for number in taken:
                shutil.rmtree(parent / str(number))
        temporary.chmod(0o755)
        temporary.rename(parent / version)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _rounded(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: round(float(value), 4) for name, value in metrics.items()}
