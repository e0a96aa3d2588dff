"""`fraudstream draw`: pictures of a history."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from stream.cliutil import emit_json, require_extra
from stream.errors import SettingError

app = typer.Typer(help="Draw pictures of a history.", no_args_is_help=True)


@app.callback()
def draw() -> None:
    """Draw pictures of a history."""


@app.command()
def latent(
    *,
    history: Annotated[
        Path,
        typer.Option(help="Folder with transactions, labels and perhaps the truth (.parquet), or of such folders."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="PNG or SVG file to write.")] = Path("latent.png"),
    warm_up_days: Annotated[float, typer.Option(help="Days that only fill the state.", min=0)] = 7.0,
    steps: Annotated[int, typer.Option(help="Steps of training.", min=50)] = 3000,
    seed: Annotated[int, typer.Option(help="Seed of every random choice.", min=0)] = 1,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Map honest and fraudulent transactions in two dimensions, by a variational autoencoder without labels.

    The map is learnt from the first 60 % of the time; drawn are later frauds and as many honest transactions, beside
    the first two principal components. Printed for both: how many of a point's 10 neighbours are of its own kind.

    Example: fraudstream draw latent --history bank/ -o latent.png
    """
    for module in ("torch", "sklearn", "matplotlib"):
        require_extra(module, "train")
    from training.latent import draw as draw_map
    from training.latent import map_of
    from training.samples import histories, join, read_samples

    if out.suffix.lower() not in (".png", ".svg"):
        raise SettingError(f"--out {out} ends in {out.suffix!r}; name a .png or .svg file")
    folders = histories(history)
    parts = [read_samples(folder, bank=bank, warm_up_days=warm_up_days) for bank, folder in enumerate(folders)]
    try:
        found = map_of(join(parts), seed=seed, steps=steps, say=_quiet if json else _say)
    except ValueError as error:
        raise SettingError(f"--history {history} cannot be mapped: {error}") from None
    try:
        draw_map(found, out)
    except OSError as error:
        raise SettingError(f"--out {out} cannot be written: {error.strerror}") from None
    report = {"picture": str(out), "points": len(found.fraud), "frauds": int(found.fraud.sum())}
    report |= {"purity_vae": found.purity["vae"], "purity_pca": found.purity["pca"], "seed": seed}
    if json:
        emit_json(report)
        return
    typer.echo(f"{report['points']:,} transactions, {report['frauds']:,} of them fraud, drawn into {out}")
    typer.echo(
        f"of 10 neighbours of its own kind: autoencoder {found.purity['vae']:.3f}, PCA {found.purity['pca']:.3f}"
    )


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _quiet(_: str) -> None:
    return
