"""Simulated banks for training and judging: the one place that knows both the simulator and the trainers."""

from __future__ import annotations

import datetime as dt
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stream.errors import SettingError
from stream.features import FEATURE_NAMES, FEATURES_HASH, FEATURES_VERSION, SEQUENCE_CHANNELS
from stream.scoring import Panel
from stream.scoring.manifest import FeatureContract
from training.causes import Causes
from training.evaluate import at_cut, boosting, ranking
from training.judged import Fusion, Judged, Yardstick, score_rows, together
from training.samples import DAY_MS, Samples, join, read_samples
from training.thorough import thorough

START = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
_SEASON = 47  # days between the starts of two banks, so that models do not learn one season
_YARDSTICK_BANKS = range(1, 13)  # those that the shipped detectors learned from
_HONEST_SHARE = 0.3
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Frauds:
    """What fraudsters do: shares as in `training.data.simulator.generate`; None as each bank draws it."""

    adaptive: float | None = None
    refused: float | None = None
    unreported: float | None = None


@dataclass(frozen=True, slots=True)
class Size:
    """How large simulated banks are, and what their fraudsters do."""

    cards: int
    days: int
    seed: int
    frauds: Frauds = Frauds()


def simulated_banks(
    scratch: Path,
    banks: Sequence[int],
    cards: int,
    days: int,
    prevalence_bp: float,
    seed: int,
    frauds: Frauds | None = None,
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
            adaptive=frauds.adaptive if frauds else None,
            refused=frauds.refused if frauds else None,
            unreported=frauds.unreported if frauds else None,
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


def evaluate_banks(
    models: Path,
    *,
    banks: Sequence[int],
    prevalence: Sequence[float],
    size: Size,
    warm_up_days: float,
    quick: bool,
    say: Say = lambda _: None,
) -> dict[str, Any]:
    """Judge a panel on simulated banks at several prevalences, each bank and all together.

    Parameters
    ----------
    models
        Models folder.
    banks, prevalence
        Bank seeds, and basis points of fraud.
    size
        Of each bank.
    warm_up_days
        Days that only fill the state.
    quick
        No boosting beside it, 40 draws for the intervals instead of 200.
    say
        Told about progress.

    Returns
    -------
    dict
        ``rows``: by prevalence, all banks together (figures of `training.thorough`), each with ``banks``: the headline
        figures of each alone; ``reasons`` at the first prevalence.
    """
    begun, panel, fusion = time.monotonic(), open_panel(models), Fusion(models)
    yardsticks: dict[str, Yardstick] = {} if quick else {"boosting": _yardstick(size.seed, say)}
    causes = Causes(planted_causes(), seed=size.seed)
    rows: list[dict[str, Any]] = []
    repeats, feature = (40 if quick else 200), ""
    for point in prevalence:
        parts: list[Judged] = []
        for bank in banks:
            say(f"bank {bank} at {point:g} basis points, {time.monotonic() - begun:.0f} s since the start")
            samples, start = _rows(bank, point, size, warm_up_days)
            parts.append(score_rows(panel, samples, start, feature, yardsticks))
            feature = feature or next(n for n in parts[0].others if n.startswith("feature ")).removeprefix("feature ")
            if point == prevalence[0]:
                _explain(causes, panel, fusion, samples, parts[-1])
        say(f"figures at {point:g} basis points")
        whole = thorough(together(parts), fusion, repeats=repeats, seed=size.seed)
        alone = {str(bank): _headline(part, fusion) for bank, part in zip(banks, parts, strict=True)}
        rows.append({"model": "panel", "setting": f"{point:g} bp", "banks": alone, **whole})
    return {
        "protocol": "simulated",
        "bank": banks[0],
        "banks": list(banks),
        "seed": size.seed,
        "quick": quick,
        "seconds": round(time.monotonic() - begun, 1),
        "thresholds": panel.thresholds._asdict(),
        "reasons": causes.figures(),
        "rows": rows,
    }


def _rows(bank: int, basis_points: float, size: Size, warm_up_days: float) -> tuple[Samples, int]:
    """All rows of a bank, warm-up included, and the first judged event time."""
    with tempfile.TemporaryDirectory(prefix="fraudstream-evaluate-") as scratch:
        made = simulated_banks(Path(scratch), [bank], size.cards, size.days, basis_points, size.seed, size.frauds)
        (folder,) = made
        samples = read_samples(folder, bank=bank, warm_up_days=0.0)
    start = int(samples.event_time.min()) + int(warm_up_days * DAY_MS)
    if not (samples.event_time >= start).any():
        raise SettingError(f"--warm-up-days {warm_up_days:g} leaves nothing of --days {size.days}; use more days")
    return samples, start


def _yardstick(seed: int, say: Say) -> Yardstick:
    """Boosting on the banks that the shipped detectors learned from."""
    rng = np.random.default_rng(seed)
    parts: list[Samples] = []
    with tempfile.TemporaryDirectory(prefix="fraudstream-evaluate-") as scratch:
        for folder in simulated_banks(Path(scratch), _YARDSTICK_BANKS, 800, 75, 80.0, 1):
            rows = read_samples(
                folder,
                bank=len(parts),
                warm_up_days=30.0,
                choose=lambda y: (y > 0) | (rng.random(len(y)) < _HONEST_SHARE),
            )
            parts.append(rows)
    train = join(parts)
    say(f"boosting, the yardstick, learns from {len(train):,} rows of {len(parts)} other banks")
    return boosting(train, seed=seed)


def draw_reliability(report: dict[str, Any], path: Path) -> None:
    """Draw what was said against what was reported, a panel for each prevalence, into a PNG or SVG file."""
    from matplotlib.figure import Figure

    rows = report["rows"]
    figure = Figure(figsize=(4.2 * len(rows), 4.2), layout="constrained")
    for axes, row in zip(figure.subplots(1, len(rows), squeeze=False)[0], rows, strict=True):
        for key, colour in (("by_truth", "tab:red"), ("by_reports", "tab:blue")):
            bins = row["calibration"][key]["bins"]
            size = [8 + 12 * np.log10(part["rows"]) for part in bins]
            axes.scatter([part["said"] for part in bins], [part["seen"] for part in bins], s=size, c=colour, label=key)
        axes.plot([1e-4, 1], [1e-4, 1], color="grey", linewidth=0.8)
        axes.set(xscale="log", yscale="log", xlim=(1e-4, 1.3), ylim=(1e-4, 1.3), title=row["setting"])
        axes.set(xlabel="probability said", ylabel="share of frauds seen")
        axes.legend()
    figure.savefig(path, dpi=110)


def planted_causes() -> dict[str, tuple[str, ...]]:
    """The families that each story of the simulator shows in."""
    from training.data.simulator.stories import STORIES

    return {story.name: story.causes for story in STORIES}


def _explain(causes: Causes, panel: Panel, fusion: Fusion, samples: Samples, judged: Judged) -> None:
    kept = ~judged.warm
    logit = fusion.fused(judged.members, fusion.names)[kept]
    causes.add(panel, samples.take(kept), logit, fusion.cut(fusion.names))


def _headline(part: Judged, fusion: Fusion) -> dict[str, float]:
    """A bank alone: ranking and cases at the review threshold."""
    rows = part.take(~part.warm)
    logit = fusion.fused(rows.members, fusion.names)
    alert = logit >= fusion.cut(fusion.names)
    fraud = rows.samples.fraud
    beside = {f"{name}.ap": ranking(score, fraud)["ap"] for name, score in rows.others.items()}
    return ranking(logit, fraud) | at_cut(rows.samples, alert, fraud) | beside


def listed(text: str, option: str, highest: float) -> list[float]:
    """Read numbers separated by commas, each above 0 (or 0 for banks) and at most `highest`.

    Raises
    ------
    SettingError
        The text is no list of numbers, or one is out of range.
    """
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        raise SettingError(f"{option} {text} is no list of numbers; write it like 80,20,5") from None
    if not all(0 < number <= highest for number in numbers):
        raise SettingError(f"{option} {text} is out of range; each must be above 0 and at most {highest:g}")
    return numbers
