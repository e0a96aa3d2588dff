"""`fraudstream risk`: probabilities of default with reasons."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream.cliutil import emit_json, require_extra
from stream.errors import SettingError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from training.credit import Credit
    from training.credit_table import Column

app = typer.Typer(no_args_is_help=True, help="Risk of customers and companies.")


@app.callback()
def _risk() -> None:
    """Risk of customers and companies."""


@app.command()
def credit(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet, one applicant a row, columns of any mix.")],
    target: Annotated[
        str | None, typer.Option(help="Column with the outcome; bad, default, target, … when absent.")
    ] = None,
    bad: Annotated[str | None, typer.Option(help="The target's value that means default.")] = None,
    apply: Annotated[Path | None, typer.Option(help="Judge the rows of this file by what FILE taught.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write every row's probability and reasons, .csv or .parquet.")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw calibration as PNG.")] = None,
    cost: Annotated[
        float, typer.Option(help="Cost of a bad row accepted; a good one refused costs 1.", min=0.01)
    ] = 5.0,
    reasons: Annotated[int, typer.Option(help="Attributes named by row.", min=1, max=20)] = 3,
    seed: Annotated[int, typer.Option(help="Seed of folds and bootstrap.", min=0)] = 77,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Give each applicant a probability of default, and what moved it in which direction.

    A support vector machine learns from the rows whose target is filled in; each of them is judged by a machine that
    never saw it. Rows with an empty target, and those of --apply, are judged by the mean of all machines.

    Example: fraudstream risk credit applicants.csv --target bad --out risk.csv --picture calibration.png
    """
    for module in ("sklearn", "matplotlib") if picture else ("sklearn",):
        require_extra(module, "train")
    from training.credit import check_outcomes, fit_credit, judge
    from training.credit_table import attributes, find_target, read_table, same_attributes

    for name, path, ends in (("--out", out, (".csv", ".parquet")), ("--picture", picture, (".png",))):
        _check_place(name, path, ends)
    say = _quiet if json else _say
    table = read_table(file)
    name, y = find_target(table, target, bad)
    check_outcomes(y, name)
    columns, notes = attributes(table, name)
    new = same_attributes(read_table(apply), columns) if apply else None
    fitted = fit_credit(columns, y, seed=seed, say=say, why=new is None)
    report = figures(fitted, y, name, cost, seed) | {"target": name, "attributes": len(columns), "notes": notes}
    logit, effects = (fitted.logit, fitted.effects) if new is None else judge(fitted, new)
    asked = columns if new is None else new
    rows = [_row(i, logit[i], effects[i], asked, reasons) for i in range(len(logit))]
    if new is None:
        for row, outcome in zip(rows, y, strict=True):
            row["outcome"] = {0.0: "good", 1.0: "bad"}.get(float(outcome), "")
    if out is not None:
        _write(rows, out)
    if picture is not None:
        _draw(fitted, y, picture, name)
    if json:
        emit_json(report | {"judged": rows})
    else:
        _show(report, rows, out, picture)


def figures(fitted: Credit, y: npt.NDArray[np.float64], target: str, cost: float, seed: int) -> dict[str, Any]:
    """Figures of the rows whose outcome is known, each judged by a machine that never saw it."""
    import numpy as np

    from training.credit import probability
    from training.credit_figures import auc_interval, calibration, nested_cost

    known = np.isfinite(y)
    p = probability(fitted.logit[known])
    auc, low, high = auc_interval(y[known], p, seed=seed)
    return {
        "rows": int(known.sum()),
        "bad": int(y[known].sum()),
        "auc": auc,
        "auc_interval": (low, high),
        "calibration": calibration(y[known], p),
        "cost_of_bad": cost,
        "decision": nested_cost(y[known], p, fitted.fold[known], cost),
    }


def _row(
    index: int, logit: float, effects: npt.NDArray[np.float64], columns: list[Column], reasons: int
) -> dict[str, Any]:
    order = sorted(range(len(columns)), key=lambda j: -abs(float(effects[j])))[:reasons]
    moved = [
        {
            "attribute": columns[j].name,
            "value": columns[j].said(index),
            "direction": "raises" if effects[j] > 0 else "lowers",
            "logit": float(effects[j]),
        }
        for j in order
        if abs(float(effects[j])) > 1e-9
    ]
    return {"row": index + 1, "probability": 1.0 / (1.0 + math.exp(-float(logit))), "reasons": moved}


def _sentence(row: dict[str, Any]) -> list[str]:
    return [f"{r['attribute']} = {r['value']} {r['direction']} ({r['logit']:+.2f})" for r in row["reasons"]]


def _check_place(name: str, path: Path | None, ends: tuple[str, ...]) -> None:
    if path is None:
        return
    if path.suffix.lower() not in ends:
        raise SettingError(f"{name} {path} must end in {' or '.join(ends)}")
    if not path.parent.is_dir():
        raise SettingError(f"{name} {path} lies in a folder that does not exist; make {path.parent} first")


def _write(rows: list[dict[str, Any]], out: Path) -> None:
    import pyarrow as pa
    import pyarrow.csv as pa_csv
    import pyarrow.parquet as pa_parquet

    most = max(len(row["reasons"]) for row in rows)
    flat: dict[str, list[Any]] = {"row": [row["row"] for row in rows]}
    flat["probability_of_default"] = [round(row["probability"], 6) for row in rows]
    if "outcome" in rows[0]:
        flat["outcome"] = [row["outcome"] for row in rows]
    for k in range(most):
        texts = [_sentence(row) for row in rows]
        flat[f"reason_{k + 1}"] = [text[k] if k < len(text) else "" for text in texts]
    table = pa.table(flat)
    try:
        pa_csv.write_csv(table, out) if out.suffix.lower() == ".csv" else pa_parquet.write_table(table, out)
    except OSError as error:
        raise SettingError(f"--out {out} cannot be written ({error.strerror})") from None


def _draw(fitted: Credit, y: npt.NDArray[np.float64], picture: Path, target: str) -> None:
    import numpy as np

    from training.credit import probability
    from training.credit_figures import draw_calibration

    known = np.isfinite(y)
    title = f"{target}: {int(known.sum()):,} rows, each judged by a machine that never saw it"
    try:
        draw_calibration(y[known], probability(fitted.logit[known]), picture, title)
    except OSError as error:
        raise SettingError(f"--picture {picture} cannot be written ({error.strerror})") from None


def _show(report: dict[str, Any], rows: list[dict[str, Any]], out: Path | None, picture: Path | None) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    fit, decision = report["calibration"], report["decision"]
    low, high = report["auc_interval"]
    console.print(
        f"{report['rows']:,} rows with an outcome, {report['bad']:,} bad; {report['attributes']} attributes\n"
        f"AUC {report['auc']:.3f} (95 % {low:.3f}–{high:.3f})\n"
        f"calibration: Brier skill {fit['brier_skill']:.3f}, slope {fit['slope']:.2f},"
        f" expected {fit['expected_bad']:.0f} bad, observed {fit['observed_bad']:.0f}\n"
        f"cost of a bad row {report['cost_of_bad']:g}, threshold chosen on other folds ({decision['threshold']:.3f}):"
        f" {decision['cost']:.3f} a row; at break-even {decision['cost_at_break_even']:.3f}, accept all"
        f" {decision['cost_accept_all']:.3f}, refuse all {decision['cost_refuse_all']:.3f};"
        f" refuses {decision['refused']:.0%}, catches {decision['bad_caught']:.0%} of the bad"
    )
    grid = Table(title="the ten riskiest rows")
    for heading in ("row", "probability", "moved by (logit)"):
        grid.add_column(heading, justify="left" if heading.startswith("moved") else "right")
    for row in sorted(rows, key=lambda row: -row["probability"])[:10]:
        grid.add_row(str(row["row"]), f"{row['probability']:.3f}", ", ".join(_sentence(row)))
    console.print(grid)
    for note in report["notes"]:
        console.print(f"- {note}")
    for path in (out, picture):
        if path is not None:
            console.print(f"written: {path}")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _quiet(_: str) -> None:
    return
