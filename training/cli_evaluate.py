"""`fraudstream evaluate`: the panel on banks it never saw, and the detectors on published protocols."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream.cliutil import emit_json, require_extra
from stream.errors import SettingError
from stream.resources import resource_path

if TYPE_CHECKING:
    from training.protocols import Table


def evaluate(
    protocol: Annotated[
        str,
        typer.Option(help="simulated: a bank that training never saw; or fdh, adbench, nab, ulb, german with --data."),
    ] = "simulated",
    data: Annotated[
        Path | None, typer.Option(help="The protocol's data: a folder or file; simulated needs none.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A smaller run, within 5 minutes on 2 cores.")] = False,
    bank: Annotated[int, typer.Option(help="Bank seed.", min=0)] = 900,
    seed: Annotated[int, typer.Option(help="Seed of every random choice.", min=0)] = 77,
    prevalence: Annotated[str, typer.Option(help="Basis points, separated by commas.")] = "80,20,5",
    cards: Annotated[int, typer.Option(help="Cards of the bank.", min=10)] = 3000,
    days: Annotated[int, typer.Option(help="Days, warm-up included.", min=2)] = 75,
    warm_up_days: Annotated[float, typer.Option(help="Days that only fill the state.", min=0)] = 30.0,
    models: Annotated[Path | None, typer.Option(help="Models folder; the shipped ones when absent.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Judge the champion panel on a bank that it never saw, or the detectors on a published protocol.

    Simulated banks are judged at the panel's own thresholds, by case: alerts of one card within 24 hours are one case,
    a fraud episode is one fraud.

    Example: fraudstream evaluate --bank 901 --seed 5 --prevalence 80,20

    Example: fraudstream evaluate --protocol fdh --data fraud-handbook/ --quick
    """
    require_extra("sklearn", "train")
    if protocol == "simulated":
        from training.banks import evaluate_bank

        directory = models or resource_path("models")
        report = evaluate_bank(
            directory, bank=bank, seed=seed, prevalence=prevalence, cards=cards, days=days, warm_up_days=warm_up_days
        )
        emit_json(report) if json else _show_bank(report)
        return
    from training.protocols import PROTOCOLS
    from training.protocols import protocol as load

    if protocol not in PROTOCOLS:
        raise SettingError(f"--protocol {protocol} is unknown; use simulated, {', '.join(PROTOCOLS)}")
    if data is None or not data.exists():
        raise SettingError(f"--protocol {protocol} needs its data; name an existing folder or file with --data")
    begun = time.monotonic()
    table = load(protocol).run(data, quick=quick, seed=seed, say=_quiet if json else _say)
    seconds = round(time.monotonic() - begun, 1)
    if json:
        emit_json({**table.as_dict(), "quick": quick, "seed": seed, "seconds": seconds})
    else:
        _show_table(table, seconds)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _quiet(_: str) -> None:
    return


def _show_table(table: Table, seconds: float) -> None:
    from rich.console import Console
    from rich.table import Table as Grid

    grid = Grid(title=f"{table.protocol}, {seconds:,.0f} s")
    for heading in ("model", "setting", "source", *table.headings):
        grid.add_column(heading, justify="right" if heading in table.headings else "left")
    for row in table.rows:
        grid.add_row(
            row.model, row.setting, row.source, *(_cell(row.figures, row.intervals, h) for h in table.headings)
        )
    console = Console()
    console.print(grid)
    for goal in table.goals:
        console.print(f"{'met' if goal['met'] else 'NOT met'}: {goal['goal']} (reached {goal['reached']})")
    for note in [*table.notes, *(f"{row.model}, {row.setting}: {row.note}" for row in table.rows if row.note)]:
        console.print(f"- {note}")


def _cell(figures: Any, intervals: Any, heading: str) -> str:
    if heading not in figures:
        return ""
    low_high = intervals.get(heading)
    return f"{figures[heading]:.3f}" + (f" ({low_high[0]:.3f}–{low_high[1]:.3f})" if low_high else "")


def _show_bank(report: dict[str, Any]) -> None:
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
