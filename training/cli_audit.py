"""`fraudstream audit`: does a table know what it could not have known?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream.cliutil import emit_json, require_extra
from stream.errors import SettingError

if TYPE_CHECKING:
    from training.audit import Report

LEAKS = 3  # exit code
app = typer.Typer(help="Audit data before a model learns from it.", no_args_is_help=True)


@app.callback()
def audit() -> None:
    """Audit data before a model learns from it."""


@app.command()
def leakage(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet table, or a history folder of fraudstream simulate.")],
    *,
    mapping: Annotated[
        Path | None, typer.Option(help="The file holds raw transactions: the TOML file that replay takes.")
    ] = None,
    label: Annotated[str, typer.Option(help="Column of the verdict; usual names are found.")] = "",
    time: Annotated[str, typer.Option(help="Column of the time; usual names are found.")] = "",
    entity: Annotated[
        list[str] | None, typer.Option(help="Column of a card, customer, terminal …; repeat for more.")
    ] = None,
    label_time: Annotated[str, typer.Option(help="Column of the time at which the verdict was known.")] = "",
    ignore: Annotated[list[str] | None, typer.Option(help="Column that no model gets; repeat for more.")] = None,
    time_unit: Annotated[str, typer.Option(help="Of a numeric time: s, ms, us, ns, h, d; else by its size.")] = "",
    delay_days: Annotated[
        float | None, typer.Option(help="Days after which a verdict is known; features may use it then.", min=0)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Look for leaks: features that could not have been known at the time of their transaction.

    Looks for a single feature that is too good (by value, by being missing), knowledge of an entity's future, figures
    taken over the whole file, labels used before they arrived, times after the event, copies across a split by time,
    rows whose order tells the verdict; raw transactions also go through the engine's own features with another future.

    One line a finding: what, its figure, what to do. Exit code 0: none found; 3: leaks found; 2: it could not look.

    Example: fraudstream audit leakage features.csv --label is_fraud --time event_time --entity card_id
    """
    require_extra("sklearn", "train")
    from training.audit import audit_history, audit_table

    if time_unit not in ("", "s", "ms", "us", "ns", "h", "d"):
        raise SettingError(f"--time-unit {time_unit} is unknown; use s, ms, us, ns, h or d")
    say = _quiet if json else _say
    if file.is_dir():
        report = audit_history(file, delay_days=delay_days, say=say)
    else:
        report = audit_table(
            file,
            label=label,
            time=time,
            entities=entity or [],
            label_time=label_time,
            ignore=ignore or [],
            unit=time_unit,
            delay_days=delay_days,
            mapping=mapping,
            say=say,
        )
    emit_json(report.as_dict()) if json else _show(report)
    if report.findings:
        raise typer.Exit(LEAKS)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _quiet(_: str) -> None:
    return


def _show(report: Report) -> None:
    roles = ", ".join(
        f"{part} {told if isinstance(told, str) else ' '.join(told)}" for part, told in report.roles.items() if told
    )
    typer.echo(f"{report.rows:,} rows, {report.frauds:,} frauds, {report.columns} features; {roles}")
    for finding in report.findings:
        typer.echo(f"LEAK {finding.line()}")
    for note in report.notes:
        typer.echo(f"note: {note}")
    typer.echo(f"{len(report.findings)} leaks found" if report.findings else "no leak found")
