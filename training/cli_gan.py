"""`fraudstream synthesize`: transactions that nobody made, what they are worth, and the ring of eight modes."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream.cliutil import emit_json, require_extra
from stream.errors import SettingError

if TYPE_CHECKING:
    from training.gan.build import Material
    from training.gan.store import Model

app = typer.Typer(help="Generate transactions with a GAN, judge their quality and privacy.", no_args_is_help=True)

History = Annotated[
    Path | None, typer.Option(help="History to learn from: a folder as simulate --out writes; simulated if absent.")
]
Folder = Annotated[Path | None, typer.Option("--model", help="Model folder: read if it is there, else written.")]
Rounds = Annotated[int, typer.Option(help="Updates of the generator when it is trained.", min=1)]
Seed = Annotated[int, typer.Option(help="Seed of every random choice.", min=0)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
ROUNDS = 2500


@app.command()
def transactions(
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write: .parquet or .jsonl.")],
    *,
    number: Annotated[int, typer.Option("-n", help="Transactions to make.", min=1)] = 100_000,
    fraud_share: Annotated[float, typer.Option(help="Share of them that is fraud.", min=0, max=1)] = 0.05,
    history: History = None,
    model: Folder = None,
    rounds: Rounds = ROUNDS,
    seed: Seed = 1,
    json: Json = False,
) -> None:
    """Generate card transactions that `replay` takes; beside the file, the mapping to replay it by.

    Cards, devices and addresses are invented, merchants and words are the history's. Half of the history's customers
    are learned from, the others are held out for `synthesize report`.

    Example: fraudstream synthesize transactions -n 100000 --fraud-share 0.05 -o made.parquet --history bank/
    """
    require_extra("torch", "train")
    from training.gan.synthesis import synthesise
    from training.gan.write import write_table

    if out.suffix not in (".parquet", ".jsonl"):
        raise SettingError(f"-o {out} ends in {out.suffix!r}; name a .parquet or .jsonl file")
    begun = time.monotonic()
    found = _model(history, model, rounds, seed)
    made = synthesise(found.words, found.sampler, number, fraud_share, seed, say=_say)
    mapping = write_table(made, out)
    frauds = sum(made.column("fraud").to_pylist())
    told = {
        "file": str(out),
        "mapping": str(mapping),
        "transactions": len(made),
        "fraudulent": frauds,
        "cards": len(made.column("card_id").unique()),
        "seconds": round(time.monotonic() - begun, 1),
    }
    emit_json(told) if json else _show(told)


@app.command()
def report(
    history: Annotated[Path, typer.Option(help="History folder, as simulate --out writes it.")],
    *,
    model: Folder = None,
    rounds: Rounds = ROUNDS,
    seed: Seed = 1,
    warm_up: Annotated[float, typer.Option(help="Share of the time that only fills the state.", min=0, max=0.9)] = 0.5,
    pictures: Annotated[Path | None, typer.Option(help="Folder for pictures.")] = None,
    json: Json = False,
) -> None:
    """Judge generated transactions against the half of the history that the generator did not see.

    After the feature kernels: distance of each feature, correlations, what two fixed judges can tell, and what a model
    trained on them is worth on real ones. Privacy: closest records, membership, copies; a planted overfit beside it.

    Example: fraudstream synthesize report --history bank/ --model made-model/ --pictures docs/images
    """
    require_extra("torch", "train")
    from training.gan.build import prepare
    from training.gan.report import report as judge

    begun = time.monotonic()
    material = prepare(history, seed)
    found = _trained(material, model, rounds, seed)
    told = judge(material, found, history, seed=seed, warm_up=warm_up, say=_say)
    told["model"] = found.manifest
    told["seconds"] = round(time.monotonic() - begun, 1)
    if pictures is not None:
        from training.gan.pictures import draw_report

        draw_report(found, material, told, pictures, seed)
    emit_json(told) if json else _show_goals(told)


@app.command()
def ring(
    *,
    seeds: Annotated[int, typer.Option(help="Seeds for each loss and optimiser.", min=1)] = 10,
    rounds: Annotated[int, typer.Option(help="Updates of the generator.", min=1)] = 1500,
    loss: Annotated[str, typer.Option(help="bce, wgan-gp or both, separated by commas.")] = "wgan-gp,bce",
    optimizer: Annotated[str, typer.Option(help="adam, sgd or both, separated by commas.")] = "adam,sgd",
    pictures: Annotated[Path | None, typer.Option(help="Folder for pictures.")] = None,
    json: Json = False,
) -> None:
    """Train on a ring of eight modes with every seed, loss and optimiser, and count what converged.

    Converged: each of the last five checks of 30 finds all eight modes and at least 90 % of the samples within three
    standard deviations of one.

    Example: fraudstream synthesize ring --seeds 10
    """
    require_extra("torch", "train")
    from training.gan.ring import LOSSES, OPTIMIZERS, study, summary

    begun = time.monotonic()
    losses = tuple(x for x in LOSSES if x in loss.split(","))
    optimizers = tuple(x for x in OPTIMIZERS if x in optimizer.split(","))
    if not losses or not optimizers:
        raise SettingError(f"--loss {loss} or --optimizer {optimizer} is unknown; use bce, wgan-gp and adam, sgd")
    runs = study(seeds, losses, optimizers, rounds, _say)
    told: dict[str, Any] = {"rows": summary(runs), "seconds": round(time.monotonic() - begun, 1)}
    if pictures is not None:
        from training.gan.pictures import draw_ring

        draw_ring(runs, pictures)
    if json:
        emit_json({**told, "runs": [run.figures() for run in runs]})
        return
    for row in told["rows"]:
        _show(row)


def _model(history: Path | None, folder: Path | None, rounds: int, seed: int) -> Model:
    from training.gan.build import prepare
    from training.gan.store import load

    if folder is not None and (folder / "manifest.json").is_file():
        return load(folder)
    if history is not None:
        return _trained(prepare(history, seed), folder, rounds, seed)
    from training.banks import simulated_banks

    _say("no --history and no model: learning from a simulated bank of 1,200 cards over 60 days")
    with tempfile.TemporaryDirectory(prefix="fraudstream-gan-") as scratch:
        (simulated,) = simulated_banks(Path(scratch), range(12, 13), 1200, 60, 100.0, seed)
        return _trained(prepare(simulated, seed), folder, rounds, seed)


def _trained(material: Material, folder: Path | None, rounds: int, seed: int) -> Model:
    from training.gan.build import build
    from training.gan.fit import Plan
    from training.gan.store import load, save

    if folder is not None and (folder / "manifest.json").is_file():
        found = load(folder)
        if found.manifest["plan"]["seed"] != seed:
            raise SettingError(
                f"--model {folder} was trained with --seed {found.manifest['plan']['seed']}; "
                "give the same one, which tells the halves of the history apart"
            )
        return found
    found = build(material, Plan(rounds=rounds, seed=seed), _say)
    if folder is not None:
        save(found, folder)
    return found


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _show(told: dict[str, Any]) -> None:
    for name, value in told.items():
        typer.echo(f"{name.replace('_', ' ')}: {value}")


def _show_goals(told: dict[str, Any]) -> None:
    made, other = told["quality"]["generated"], told["quality"]["other_half"]
    for name in ("ks_mean", "correlation_distance", "coverage", "boosting_auc", "cnn_auc"):
        typer.echo(f"{name.replace('_', ' ')}: {made[name]} (the other real half: {other[name]})")
    for name, figures in told["privacy"].items():
        typer.echo(f"privacy, {name.replace('_', ' ')}: {figures}")
    for goal in told["goals"]:
        typer.echo(f"{'met' if goal['met'] else 'NOT met'}: {goal['goal']} (reached {goal['reached']})")
