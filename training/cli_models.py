"""`fraudstream train` and `fraudstream evaluate`."""

from __future__ import annotations

import datetime as dt
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream.cliutil import emit_json, require_extra
from stream.errors import SettingError
from stream.resources import is_checkout, resource_path

if TYPE_CHECKING:
    from stream.scoring import Panel
    from stream.scoring.manifest import FeatureContract
    from training.samples import Samples
    from training.train import Scorer

START = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
_SEASON = 47  # days between the starts of two banks, so that models do not learn one season


def train(
    detector: Annotated[str, typer.Argument(help="all, or one detector: vae, cnn, svm.")] = "all",
    history: Annotated[
        Path | None,
        typer.Option(help="Folder with transactions, labels and perhaps events (.parquet), or of such folders."),
    ] = None,
    bank: Annotated[int, typer.Option(help="First bank seed of the simulated history.", min=0)] = 1,
    banks: Annotated[int, typer.Option(help="Simulated banks; the last 40 % calibrate and fuse.", min=1)] = 20,
    cards: Annotated[int, typer.Option(help="Cards of each simulated bank.", min=10)] = 800,
    days: Annotated[int, typer.Option(help="Days of each simulated bank.", min=2)] = 75,
    prevalence_bp: Annotated[float, typer.Option(help="Fraud in basis points of transactions.", min=0)] = 80.0,
    warm_up_days: Annotated[float, typer.Option(help="Days that only fill the state.", min=0)] = 30.0,
    out: Annotated[Path | None, typer.Option(help="Models folder; in a checkout: models/.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of training and of the simulated streams.", min=0)] = 1,
    replace: Annotated[bool, typer.Option("--replace", help="Drop older versions and write version 1.")] = False,
    simulated: Annotated[
        bool | None, typer.Option("--simulated/--real", help="What --history holds; the worker asks for it.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Train detectors, calibrate and fuse them, and write a new version of the panel.

    Without --history several banks are simulated (about 5 minutes on 2 cores). Each detector's ONNX graph, manifest
    and golden rows go to <out>/<name>/<version>/, and <out>/active.toml then names them.

    Example: fraudstream train all --out my-models --cards 500 --days 60
    """
    for module in ("torch", "sklearn", "onnx", "onnxscript"):
        require_extra(module, "train")
    from training.detectors import REGISTRY
    from training.train import Options, collect, train_panel

    if detector != "all" and detector not in REGISTRY:
        raise SettingError(f"there is no detector {detector}; name one of all, {', '.join(REGISTRY)}")
    if history is None and warm_up_days >= days:
        raise SettingError(f"--warm-up-days {warm_up_days:g} leaves nothing of --days {days}; use more days")
    begun = time.monotonic()
    directory = _models_folder(out)
    others = {} if detector == "all" else _kept_members(directory, detector)
    options = Options(seed=seed, warm_up_days=warm_up_days, replace=replace)
    say = _quiet if json else _say
    with tempfile.TemporaryDirectory(prefix="fraudstream-train-") as scratch:
        if history is not None:
            from training.samples import histories

            folders = histories(history)
            split = collect(folders, len(folders), options, say)
        else:
            made = _simulated(Path(scratch), range(bank, bank + banks), cards, days, prevalence_bp, seed)
            split = collect(made, banks, options, say)
    report = train_panel(
        split,
        directory,
        list(REGISTRY) if detector == "all" else [detector],
        code=_contract(),
        simulated=history is None if simulated is None else simulated,
        options=options,
        others=others,
        say=say,
    )
    if out is None:
        from training.cards import write_cards

        write_cards(directory, directory.parent / "docs" / "model-cards")
    report["seconds"] = round(time.monotonic() - begun, 1)
    emit_json(report) if json else _show_training(report)


def evaluate(
    protocol: Annotated[str, typer.Option(help="simulated: a bank that training never saw.")] = "simulated",
    bank: Annotated[int, typer.Option(help="Bank seed.", min=0)] = 900,
    seed: Annotated[int, typer.Option(help="Stream seed.", min=0)] = 77,
    prevalence: Annotated[str, typer.Option(help="Basis points, separated by commas.")] = "80,20,5",
    cards: Annotated[int, typer.Option(help="Cards of the bank.", min=10)] = 3000,
    days: Annotated[int, typer.Option(help="Days, warm-up included.", min=2)] = 75,
    warm_up_days: Annotated[float, typer.Option(help="Days that only fill the state.", min=0)] = 30.0,
    models: Annotated[Path | None, typer.Option(help="Models folder; the shipped ones when absent.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Judge the champion panel, at its own thresholds, on a bank that it never saw.

    By case: alerts of one card within 24 hours are one case, a fraud episode is one fraud.

    Example: fraudstream evaluate --bank 901 --seed 5 --prevalence 80,20
    """
    require_extra("sklearn", "train")
    if protocol != "simulated":
        raise SettingError(f"--protocol {protocol} is unknown; use simulated")
    from training.evaluate import judge
    from training.samples import read_samples

    points = _points(prevalence)
    begun, code, panel = time.monotonic(), _contract(), _panel(models or resource_path("models"))
    rows: list[dict[str, Any]] = []
    for basis_points in points:
        with tempfile.TemporaryDirectory(prefix="fraudstream-evaluate-") as scratch:
            (folder,) = _simulated(Path(scratch), range(bank, bank + 1), cards, days, basis_points, seed)
            samples: Samples = read_samples(folder, bank=0, warm_up_days=warm_up_days)
        rows.append({"model": "panel", "setting": f"{basis_points:g} bp", **judge(panel, samples, code.names)})
    report = {
        "protocol": protocol,
        "bank": bank,
        "seed": seed,
        "seconds": round(time.monotonic() - begun, 1),
        "thresholds": panel.thresholds._asdict(),
        "rows": rows,
    }
    emit_json(report) if json else _show_evaluation(report)


def _contract() -> FeatureContract:
    from stream.features import FEATURE_NAMES, FEATURES_HASH, FEATURES_VERSION, SEQUENCE_CHANNELS
    from stream.scoring.manifest import FeatureContract

    channels = tuple(channel.name for channel in SEQUENCE_CHANNELS)
    return FeatureContract(tuple(FEATURE_NAMES), FEATURES_VERSION, FEATURES_HASH, channels)


def _panel(directory: Path) -> Panel:
    from stream.scoring import Panel

    code = _contract()
    return Panel.load(
        directory,
        feature_names=code.names,
        features_version=code.version,
        features_hash=code.digest,
        channels=code.channels,
        device="cpu",
    )


def _kept_members(directory: Path, detector: str) -> dict[str, tuple[Scorer, str, str]]:
    """The champion's other members; a single detector is trained into an existing panel."""
    panel = _panel(directory)
    return {
        scorer.name: (scorer, scorer.manifest.version, scorer.manifest.manifest_sha256)
        for scorer in panel.scorers
        if scorer.name != detector
    }


def _models_folder(out: Path | None) -> Path:
    if out is None and not is_checkout():
        raise SettingError("an installed fraudstream keeps its models unchanged; name a folder of your own with --out")
    directory = out or resource_path("models")
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError(f"--out {directory} cannot be made ({error.strerror}); name a folder that can") from None
    return directory


def _simulated(scratch: Path, banks: range, cards: int, days: int, prevalence_bp: float, seed: int) -> Iterator[Path]:
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


def _points(text: str) -> list[float]:
    try:
        points = [float(part) for part in text.split(",")]
    except ValueError:
        raise SettingError(f"--prevalence {text} is no list of numbers; write it like 80,20,5") from None
    if not all(0 < point <= 5000 for point in points):
        raise SettingError(f"--prevalence {text} is out of range; each must be above 0 and at most 5000 basis points")
    return points


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _quiet(_: str) -> None:
    return


def _show_training(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="on calibration rows, cross-fitted, by the truth where it is known")
    for heading in ("model", "AP", "AUC", "precision by case", "recall by case", "alerts / 10k"):
        table.add_column(heading, justify="left" if heading == "model" else "right")
    for row in report["rows"]:
        figures = [row.get(key) for key in ("ap", "auc", "precision_case", "recall_case", "alerts_per_10k")]
        table.add_row(row["model"], *("" if value is None else f"{value:.3f}" for value in figures))
    console = Console()
    console.print(table)
    cuts = ", ".join(f"{name} {value:.3f}" for name, value in report["thresholds"].items())
    versions = ", ".join(f"{name} {version}" for name, version in report["models"].items())
    console.print(f"thresholds: {cuts}\nwritten to {report['directory']}: {versions}, fusion {report['fusion']}")


def _show_evaluation(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"bank {report['bank']}, seed {report['seed']}, never seen in training; review threshold")
    for heading in ("prevalence", "precision by case", "recall by case", "AP", "best feature's AP", "alerts / 10k"):
        table.add_column(heading, justify="right")
    for row in report["rows"]:
        at = row["panel"]["review"]
        figures = (at["precision_case"], at["recall_case"], row["panel"]["ap"], row["best_single_feature"]["ap"])
        table.add_row(row["setting"], *(f"{value:.3f}" for value in figures), f"{at['alerts_per_10k']:.1f}")
    stories = Table(title=f"recall by story at {report['rows'][0]['setting']}")
    for heading in ("story", "cases", "caught", "recall"):
        stories.add_column(heading, justify="left" if heading == "story" else "right")
    for story, figures in report["rows"][0]["stories"].items():
        stories.add_row(story, f"{figures['cases']}", f"{figures['caught']}", f"{figures['recall']:.2f}")
    console = Console()
    console.print(table)
    console.print(stories)
