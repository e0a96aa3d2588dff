"""Simulated banks for training and judging: the one place that knows both the simulator and the trainers."""

from __future__ import annotations

import datetime as dt
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stream.errors import SettingError
from stream.features import FEATURE_NAMES, FEATURES_HASH, FEATURES_VERSION, SEQUENCE_CHANNELS
from stream.scoring import Panel
from stream.scoring.manifest import FeatureContract
from training.evaluate import judge
from training.samples import Samples, read_samples

START = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
_SEASON = 47  # days between the starts of two banks, so that models do not learn one season


def simulated_banks(
    scratch: Path, banks: range, cards: int, days: int, prevalence_bp: float, seed: int
) -> Iterator[Path]:
    """Write one simulated history after the other below a folder, and give the folder of each."""
    from training.data.simulator import generate

    for number, bank in enumerate(banks):
        folder = scratch / f"bank-{number:03d}"
        generate(
            bank_seed=bank,
            seed=seed,
            cards=cards,
            days=days,
            prevalence_bp=prevalence_bp,
            start=START + dt.timedelta(days=_SEASON * bank % 365),
        ).write(folder)
        yield folder


def feature_contract() -> FeatureContract:
    """What the running code computes, as manifests hold it."""
    channels = tuple(channel.name for channel in SEQUENCE_CHANNELS)
    return FeatureContract(tuple(FEATURE_NAMES), FEATURES_VERSION, FEATURES_HASH, channels)


def open_panel(directory: Path) -> Panel:
    """Load the champion panel of a models folder on the CPU."""
    code = feature_contract()
    return Panel.load(
        directory,
        feature_names=code.names,
        features_version=code.version,
        features_hash=code.digest,
        channels=code.channels,
        device="cpu",
    )


def evaluate_bank(
    models: Path, *, bank: int, seed: int, prevalence: str, cards: int, days: int, warm_up_days: float
) -> dict[str, Any]:
    """Judge a panel on one simulated bank at several prevalences; see `training.evaluate.judge` for the figures.

    Raises
    ------
    SettingError
        ``prevalence`` is no list of basis points.
    """
    points = _points(prevalence)
    begun, code, panel = time.monotonic(), feature_contract(), open_panel(models)
    rows: list[dict[str, Any]] = []
    for basis_points in points:
        with tempfile.TemporaryDirectory(prefix="fraudstream-evaluate-") as scratch:
            (folder,) = simulated_banks(Path(scratch), range(bank, bank + 1), cards, days, basis_points, seed)
            samples: Samples = read_samples(folder, bank=0, warm_up_days=warm_up_days)
        rows.append({"model": "panel", "setting": f"{basis_points:g} bp", **judge(panel, samples, code.names)})
    return {
        "protocol": "simulated",
        "bank": bank,
        "seed": seed,
        "seconds": round(time.monotonic() - begun, 1),
        "thresholds": panel.thresholds._asdict(),
        "rows": rows,
    }


def _points(text: str) -> list[float]:
    try:
        points = [float(part) for part in text.split(",")]
    except ValueError:
        raise SettingError(f"--prevalence {text} is no list of numbers; write it like 80,20,5") from None
    if not all(0 < point <= 5000 for point in points):
        raise SettingError(f"--prevalence {text} is out of range; each must be above 0 and at most 5000 basis points")
    return points
