"""`fraudstream impute`: fill the gaps of a table."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from stream.cliutil import emit_json, require_extra
from stream.errors import SettingError

MOST_CATEGORIES = 64


def impute(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet file with gaps.")],
    *,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where to write it: .csv or .parquet.")] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Hide a fifth of the known cells and compare ways to fill them.")
    ] = False,
    leave: Annotated[list[str] | None, typer.Option(help="Column neither used nor filled; repeat for more.")] = None,
    nets: Annotated[int, typer.Option(help="Nets that are averaged.", min=1, max=20)] = 2,
    steps: Annotated[int, typer.Option(help="Steps of training of each net.", min=50)] = 1200,
    seed: Annotated[int, typer.Option(help="Seed of every random choice.", min=0)] = 1,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Fill missing numbers and categories by a variational autoencoder; known cells stay as they are.

    Times, texts with more than 64 values, and empty columns are neither used nor filled, and named. With --compare a
    fifth of the known cells is hidden and the error (in standard deviations) printed beside mean, median, 5 nearest
    neighbours and iterative regression. About a minute.

    Example: fraudstream impute customers.csv -o filled.csv --compare
    """
    for module in ("torch", "sklearn"):
        require_extra(module, "train")
    from training.impute import Imputer
    from training.impute_compare import compare as compare_ways
    from training.impute_file import Filling

    if out is None and not compare:
        raise SettingError("impute needs something to do: give --out FILE, or --compare, or both")
    if out is not None and out.suffix.lower() not in (".csv", ".parquet"):
        raise SettingError(f"--out {out} ends in {out.suffix!r}; name a .csv or .parquet file")
    begun, say = time.monotonic(), _quiet if json else _say
    filling = Filling(file, leave or [], MOST_CATEGORIES)
    report: dict[str, Any] = filling.described()
    if compare:
        report["compare"] = compare_ways(filling.X, filling.layout, seed=seed, say=say, nets=nets, steps=steps)
    if out is not None:
        say(f"filling {report['gaps']:,} gaps of {report['rows']:,} rows")
        imputer = Imputer(filling.layout, nets=nets, steps=steps).fit(filling.X, seed=seed, say=say)
        filling.write(imputer.fill(filling.X), out)
        report["written"] = str(out)
    report["seconds"] = round(time.monotonic() - begun, 1)
    emit_json(report) if json else _show(report)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _quiet(_: str) -> None:
    return


def _show(report: dict[str, Any]) -> None:
    typer.echo(f"{report['rows']:,} rows, {len(report['columns'])} columns, {report['gaps']:,} gaps")
    if report["left"]:
        typer.echo(f"neither used nor filled: {', '.join(report['left'])}")
    if "compare" in report:
        told = report["compare"]
        typer.echo(f"{told['hidden_cells']:,} hidden cells of {told['rows']:,} rows that no method learnt from")
        for name, error in sorted(told["rmse"].items(), key=lambda one: one[1]):
            typer.echo(f"  RMSE {error:.3f}  {name}")
        for name, share in told.get("right", {}).items():
            typer.echo(f"  categories right {share:.3f}  {name}")
    if "written" in report:
        typer.echo(f"written to {report['written']} in {report['seconds']} s")
