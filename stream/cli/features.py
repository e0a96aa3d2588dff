"""`fraudstream features`: what the models are fed."""

from __future__ import annotations

import inspect
import json
from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from stream.features.registry import Family, Feature


def command(
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
    markdown: bool = typer.Option(False, "--markdown", help="Print the page docs/features.md."),
) -> None:
    """List every feature: name, range and meaning; --json and --markdown give the rest as well.

    Example: fraudstream features --json
    """
    from stream.features import FEATURES_HASH, FEATURES_VERSION, PROGRAM

    if as_json:
        sizes = {name: row.itemsize for name, row in PROGRAM.layouts.items()}
        table = {"version": FEATURES_VERSION, "hash": FEATURES_HASH, "bytes": sizes}
        typer.echo(json.dumps(table | {"features": _rows(), "channels": _channels()}, indent=2))
    elif markdown:
        typer.echo(page(), nl=False)
    else:
        _print_table()


def _described(family: Family, feature: Feature) -> dict[str, Any]:
    names = ("name", "unit", "scale", "low", "high", "neutral", "meaning", "code", "from_labels")
    return {"family": family.name, "entity": family.entity} | {name: getattr(feature, name) for name in names}


def _rows() -> list[dict[str, Any]]:
    from stream.features import FAMILIES

    return [_described(family, feature) for family in FAMILIES for feature in family.features]


def _channels() -> list[dict[str, Any]]:
    from stream.features import SEQUENCE_CHANNELS

    return [{"name": c.name, "feature": c.feature, "step": c.step, "neutral": c.neutral} for c in SEQUENCE_CHANNELS]


def _print_table() -> None:
    from rich.console import Console
    from rich.table import Table

    from stream.features import FEATURES_VERSION

    rows = _rows()
    title = f"{len(rows)} features, version {FEATURES_VERSION}, {_sizes()}"
    table = Table(title=title, box=None, pad_edge=False)
    for heading in ("entity", "family", "feature", "range"):
        table.add_column(heading, no_wrap=True)
    table.add_column("meaning", overflow="fold")
    for row in rows:
        span = f"{row['low']:g}..{row['high']:g}"
        meaning = f"{row['meaning']} [dim]({row['unit']}, {row['scale']})[/dim]"
        table.add_row(row["entity"], row["family"], row["name"], span, meaning)
    Console().print(table)


def _sizes() -> str:
    """Bytes of state of each entity that a partition keeps rows of."""
    from stream.features import PROGRAM

    sizes = [f"{row.itemsize:,} bytes a{'n' * (name[0] in 'aeiou')} {name}" for name, row in PROGRAM.layouts.items()]
    return ", ".join(sizes)


def _about(family: str) -> str:
    """What the family's own module says of it."""
    from stream.features import FAMILIES

    modules = {one.name: inspect.getmodule(inspect.unwrap(one.look)) for one in FAMILIES}
    module = modules.get(family) or import_module(f"stream.features.{family}")
    return inspect.cleandoc(module.__doc__ or "")


def page() -> str:
    """Write docs/features.md from the registry."""
    from stream.features import FEATURES_VERSION

    rows, channels = _rows(), _channels()
    lines = [
        "# Features",
        "",
        f"Written by `fraudstream features --markdown`; version {FEATURES_VERSION}, {len(rows)} features. State: {_sizes()}.",
        "",
        "Every value is computed before the transaction updates any row. A missing one is NaN: also where the",
        "transaction does not name the entity at all. On scale `log1p` the models see ln(1 + value), on scale `log`",
        "ln(value); reasons show the value itself. Those marked † are made of confirmed frauds.",
    ]
    family = ""
    for row in rows:
        if row["family"] != family:
            family = row["family"]
            heading = "| feature | unit | scale | range | meaning | reason code |"
            lines += ["", f"## {family}", "", f"Entity: {row['entity']}. {_about(family)}", "", heading, "|---|---|---|---|---|---|"]
        span = f"{row['low']:g} .. {row['high']:g}"
        lines.append(
            f"| `{row['name']}`{' †' * row['from_labels']} | {row['unit']} | {row['scale']} | {span} | {row['meaning']} | `{row['code']}` |"
        )
    lines += ["", "## sequence", "", _about("sequence"), ""]
    lines += ["| channel | feature | quantum | neutral |", "|---|---|---|---|"]
    for c in channels:
        lines.append(f"| `{c['name']}` | {c['feature'] or 'a step is there'} | {c['step']:g} | {c['neutral']:g} |")
    return "\n".join(lines) + "\n"
