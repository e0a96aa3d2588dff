"""`fraudstream evaluate`: the panel on banks it never saw, and the detectors on published protocols."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream.cliutil import emit_json, require_extra
from stream.errors import SettingError
from stream.resources import resource_path

if TYPE_CHECKING:
    from training.banks import Size
    from training.protocols import Table

Say = Callable[[str], None]


def evaluate(
    protocol: Annotated[
        str,
        typer.Option(
            help="simulated: a bank that training never saw; or fdh, adbench, nab, prices, ulb, german with --data."
        ),
    ] = "simulated",
    data: Annotated[
        Path | None, typer.Option(help="The protocol's data: a folder or file; simulated needs none.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A smaller run, within 5 minutes on 2 cores.")] = False,
    bank: Annotated[str, typer.Option(help="Bank seeds, separated by commas.")] = "900",
    seed: Annotated[int, typer.Option(help="Seed of every random choice.", min=0)] = 77,
    prevalence: Annotated[str, typer.Option(help="Basis points, separated by commas.")] = "80,20,5",
    cards: Annotated[int, typer.Option(help="Cards of the bank.", min=10)] = 3000,
    days: Annotated[int, typer.Option(help="Days, warm-up included.", min=2)] = 75,
    warm_up_days: Annotated[float, typer.Option(help="Days that only fill the state.", min=0)] = 30.0,
    adaptive: Annotated[
        float | None, typer.Option(help="Share of fraudsters who retry smaller after a decline; as banks draw it.")
    ] = None,
    refused: Annotated[
        float | None, typer.Option(help="Share of fraudsters' attempts that are declined; as banks draw it.")
    ] = None,
    unreported: Annotated[
        float | None, typer.Option(help="Share of fraud cases that nobody reports; as banks draw it.")
    ] = None,
    leave_out: Annotated[
        str, typer.Option(help="Train without this story, or without each in turn (all), and judge it.")
    ] = "",
    plot: Annotated[Path | None, typer.Option(help="Draw the reliability diagram into this PNG or SVG file.")] = None,
    models: Annotated[Path | None, typer.Option(help="Models folder; the shipped ones when absent.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Judge the champion panel on banks that it never saw, or the detectors on a published protocol.

    Simulated banks are judged at the panel's own thresholds, by case: alerts of one card within 24 hours are one case,
    a fraud episode is one fraud. With --leave-out panels of VAE, CNN
    and GBDT are trained here, on banks 1 to 10 (--quick: VAE and GBDT on 6 small ones).

    Example: fraudstream evaluate --bank 901,902 --seed 5 --prevalence 80,20

    Example: fraudstream evaluate --leave-out bust_out --bank 901

    Example: fraudstream evaluate --protocol fdh --data fraud-handbook/ --quick
    """
    require_extra("sklearn", "train")
    if protocol == "simulated":
        from training.banks import Frauds, Size, listed

        banks = [int(number) for number in listed(bank, "--bank", 2**31)]
        points = listed(prevalence, "--prevalence", 5000)
        size = Size(cards, days, seed, Frauds(adaptive, refused, unreported))
        say = _quiet if json else _say
        if leave_out:
            _leave_out(leave_out, banks, points[0], size, warm_up_days, quick, say, json)
            return
        from training.banks import draw_reliability, evaluate_banks

        report = evaluate_banks(
            models or resource_path("models"),
            banks=banks,
            prevalence=points,
            size=size,
            warm_up_days=warm_up_days,
            quick=quick,
            say=say,
        )
        if plot is not None:
            draw_reliability(report, plot)
        if json:
            emit_json(report)
        else:
            from training.show_banks import show_banks

            show_banks(report)
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


def _leave_out(
    text: str, banks: list[int], basis_points: float, size: Size, warm_up_days: float, quick: bool, say: Say, json: bool
) -> None:
    from training.left_out import Plan, leave_out, stories_of
    from training.show_banks import show_left_out

    stories = stories_of(text)
    learn = range(1, 7) if quick else range(1, 11)
    members = ("vae", "gbdt") if quick else ("vae", "cnn", "gbdt")
    plan = Plan(
        members, learn, 400 if quick else 800, size.days, tuple(banks), size.cards, basis_points, warm_up_days, 1
    )
    report = leave_out(plan, stories, say)
    emit_json(report) if json else show_left_out(report)
