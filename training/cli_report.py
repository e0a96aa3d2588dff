"""`fraudstream report`: all figures on one page."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import typer

from stream import __version__
from stream.cliutil import emit_json, require_extra
from stream.errors import SettingError
from stream.resources import resource_path


def report(
    *,
    results: Annotated[
        Path | None, typer.Option(help="Folder of JSON files, each the output of fraudstream evaluate --json.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The page to write.")] = Path("report.html"),
    pictures: Annotated[
        list[Path] | None, typer.Option(help="PNG file, or folder of such, to show; repeat for more.")
    ] = None,
    models: Annotated[Path | None, typer.Option(help="Models folder; the shipped ones when absent.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Write one self-contained HTML page: tables beside published figures, goals, pictures, notes, model cards.

    The page asks for nothing from outside: style and pictures are in it.

    Example: fraudstream evaluate --protocol ulb --data cards/ --json > results/ulb.json;
    fraudstream report --results results -o report.html
    """
    require_extra("matplotlib", "train")
    from training.report import build_page, read_results

    found = read_results(results) if results is not None else {}
    images = [one for path in pictures or [] for one in (sorted(path.glob("*.png")) if path.is_dir() else [path])]
    made = f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC"
    page = build_page(found, models or resource_path("models"), images, made=made, version=__version__)
    try:
        out.write_text(page, encoding="utf-8")
    except OSError as error:
        raise SettingError(f"--out {out} cannot be written: {error.strerror}") from None
    goals = [goal for result in found.values() for goal in result.get("goals") or []]
    summary = {
        "page": str(out),
        "bytes": len(page.encode()),
        "results": list(found),
        "goals": len(goals),
        "goals_met": sum(bool(goal["met"]) for goal in goals),
        "pictures": page.count("<img "),
    }
    if json:
        emit_json(summary)
        return
    typer.echo(
        f"{out}: {len(found)} results, {summary['goals_met']} of {len(goals)} goals met, {len(page):,} characters"
    )
