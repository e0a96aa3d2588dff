"""`fraudstream features`: what the models are fed."""

from __future__ import annotations

import inspect
import json
from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from stream.features.registry import Feature


def command(
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
    markdown: bool = typer.Option(False, "--markdown", help="Print the page docs/features.md."),
) -> None:
    """List every feature: name, range and meaning; --json and --markdown give the rest as well.

    Example: fraudstream features --json
    """
    from stream.features import FEATURES_HASH, FEATURES_VERSION, PROGRAM

    if as_json:
        table = {"version": FEATURES_VERSION, "hash": FEATURES_HASH, "bytes_per_card": PROGRAM.row.itemsize}
        typer.echo(json.dumps(table | {"features": _rows(), "channels": _channels()}, indent=2))
    elif markdown:
        typer.echo(page(), nl=False)
    else:
        _print_table()


def _described(family: str, feature: Feature) -> dict[str, Any]:
    names = ("name", "unit", "scale", "low", "high", "neutral", "meaning", "code")
    return {"family": family} | {name: getattr(feature, name) for name in names}


def _rows() -> list[dict[str, Any]]:
    from stream.features import FAMILIES

    return [_described(family.name, feature) for family in FAMILIES for feature in family.features]


def _channels() -> list[dict[str, Any]]:
    from stream.features import SEQUENCE_CHANNELS

    return [{"name": c.name, "feature": c.feature, "step": c.step, "neutral": c.neutral} for c in SEQUENCE_CHANNELS]


def _print_table() -> None:
    from rich.console import Console
    from rich.table import Table

    from stream.features import FEATURES_VERSION, PROGRAM

    rows = _rows()
    title = f"{len(rows)} features, version {FEATURES_VERSION}, {PROGRAM.row.itemsize} bytes a card"
    table = Table(title=title, box=None, pad_edge=False)
    for heading in ("family", "feature", "range"):
        table.add_column(heading, no_wrap=True)
    table.add_column("meaning", overflow="fold")
    for row in rows:
        span = f"{row['low']:g}..{row['high']:g}"
        table.add_row(row["family"], row["name"], span, f"{row['meaning']} [dim]({row['unit']}, {row['scale']})[/dim]")
    Console().print(table)


def _about(family: str) -> str:
    """What the family's own module says of it."""
    return inspect.cleandoc(import_module(f"stream.features.{family}").__doc__ or "")


def page() -> str:
    """Write docs/features.md from the registry."""
    from stream.features import FEATURES_VERSION, PROGRAM

    rows, channels = _rows(), _channels()
    lines = [
        "# Features",
        "",
        f"Written by `fraudstream features --markdown`; version {FEATURES_VERSION}, {len(rows)} features, "
        f"{PROGRAM.row.itemsize} bytes of state a card.",
        "",
        "Every value is computed before the transaction updates its card. A missing one is NaN. On scale `log1p`",
        "the models see ln(1 + value), on scale `log` ln(value); reasons show the value itself.",
    ]
    family = ""
    for row in rows:
        if row["family"] != family:
            family = row["family"]
            heading = "| feature | unit | scale | range | meaning | reason code |"
            lines += ["", f"## {family}", "", _about(family), "", heading, "|---|---|---|---|---|---|"]
        span = f"{row['low']:g} .. {row['high']:g}"
        lines.append(
            f"| `{row['name']}` | {row['unit']} | {row['scale']} | {span} | {row['meaning']} | `{row['code']}` |"
        )
    lines += ["", "## sequence", "", _about("sequence"), ""]
    lines += ["| channel | feature | quantum | neutral |", "|---|---|---|---|"]
    for c in channels:
        lines.append(f"| `{c['name']}` | {c['feature'] or 'a step is there'} | {c['step']:g} | {c['neutral']:g} |")
    return "\n".join(lines) + "\n"
