"""`fraudstream train`."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream.cliutil import emit_json, require_extra
from stream.errors import SettingError
from stream.resources import is_checkout, resource_path

if TYPE_CHECKING:
    from training.train import Scorer


def train(
    detector: Annotated[str, typer.Argument(help="all, or one detector: vae, cnn, svm, gbdt.")] = "all",
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
    min_frauds: Annotated[
        int, typer.Option(help="Refuse when the training, validation or calibration part has fewer frauds.", min=1)
    ] = 5,
    disorder_s: Annotated[
        float, typer.Option(help="Seconds by which a transaction of --history may be out of order.", min=0)
    ] = 0.0,
    matrices: Annotated[
        Path | None, typer.Option(help="Train from this .npz of --save-matrices, without a replay.")
    ] = None,
    save_matrices: Annotated[
        Path | None, typer.Option(help="Also keep the computed features and labels in this .npz.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Train detectors, calibrate and fuse them, and write a new version of the panel.

    Without --history several banks are simulated (about 5 minutes on 2 cores). Each detector's ONNX graph, manifest
    and golden rows go to <out>/<name>/<version>/, and <out>/active.toml then names them.

    Example: fraudstream train all --out my-models --cards 500 --days 60
    """
    for module in ("torch", "sklearn", "onnx", "onnxscript", "lightgbm", "onnxmltools"):
        require_extra(module, "train")
    from training.banks import feature_contract, simulated_banks
    from training.detectors import REGISTRY
    from training.train import Options, check_parts, collect, load_split, save_split, train_panel

    if detector != "all" and detector not in REGISTRY:
        raise SettingError(f"there is no detector {detector}; name one of all, {', '.join(REGISTRY)}")
    if matrices is not None and (history is not None or simulated is None):
        raise SettingError("--matrices stands in for --history; give it alone, and say --simulated or --real with it")
    if history is None and matrices is None and warm_up_days >= days:
        raise SettingError(f"--warm-up-days {warm_up_days:g} leaves nothing of --days {days}; use more days")
    begun = time.monotonic()
    directory = _models_folder(out)
    others = {} if detector == "all" else _kept_members(directory, detector)
    options = Options(
        seed=seed, warm_up_days=warm_up_days, replace=replace, min_frauds=min_frauds, disorder_s=disorder_s
    )
    say = _quiet if json else _say
    with tempfile.TemporaryDirectory(prefix="fraudstream-train-") as scratch:
        if matrices is not None:
            split = load_split(matrices, feature_contract())
            check_parts(split, min_frauds)
        elif history is not None:
            from training.samples import histories

            folders = histories(history)
            split = collect(folders, len(folders), options, say)
        else:
            made = simulated_banks(Path(scratch), range(bank, bank + banks), cards, days, prevalence_bp, seed)
            split = collect(made, banks, options, say)
    if save_matrices is not None:
        save_split(save_matrices, split, feature_contract())
    report = train_panel(
        split,
        directory,
        list(REGISTRY) if detector == "all" else [detector],
        code=feature_contract(),
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


def _kept_members(directory: Path, detector: str) -> dict[str, tuple[Scorer, str, str]]:
    """The champion's other members; a single detector is trained into an existing panel."""
    from training.banks import open_panel

    panel = open_panel(directory)
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
