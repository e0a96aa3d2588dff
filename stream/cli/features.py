"""`fraudstream features`: what the models are fed."""

from __future__ import annotations

import inspect
import json
from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from stream.features.registry import Family, Feature
    from stream.profile import StreamProfile


def command(
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
    markdown: bool = typer.Option(False, "--markdown", help="Print the page docs/features.md."),
    profile: str = typer.Option("cards", help="Stream profile: cards, package.module:OBJECT or an entry point's name."),
) -> None:
    """List every feature: name, range and meaning; --json and --markdown give the rest as well.

    Example: fraudstream features --json
    """
    from stream.profile import load_profile

    stream = load_profile(profile)
    if as_json:
        sizes = {name: row.itemsize for name, row in stream.program.layouts.items()}
        table = {"version": stream.version, "hash": stream.program.hash, "bytes": sizes}
        typer.echo(json.dumps(table | {"features": _rows(stream), "channels": _channels(stream)}, indent=2))
    elif markdown:
        typer.echo(page(stream), nl=False)
    else:
        _print_table(stream)


def _described(family: Family, feature: Feature) -> dict[str, Any]:
    names = ("name", "unit", "scale", "low", "high", "neutral", "meaning", "code", "from_labels")
    return {"family": family.name, "entity": family.entity} | {name: getattr(feature, name) for name in names}


def _rows(stream: StreamProfile) -> list[dict[str, Any]]:
    return [_described(family, feature) for family in stream.families for feature in family.features]


def _channels(stream: StreamProfile) -> list[dict[str, Any]]:
    return [{"name": c.name, "feature": c.feature, "step": c.step, "neutral": c.neutral} for c in stream.channels]


def _print_table(stream: StreamProfile) -> None:
    from rich.console import Console
    from rich.table import Table

    rows = _rows(stream)
    title = f"{len(rows)} features, version {stream.version}, {_sizes(stream)}"
    table = Table(title=title, box=None, pad_edge=False)
    for heading in ("entity", "family", "feature", "range"):
        table.add_column(heading, no_wrap=True)
    table.add_column("meaning", overflow="fold")
    for row in rows:
        span = f"{row['low']:g}..{row['high']:g}"
        meaning = f"{row['meaning']} [dim]({row['unit']}, {row['scale']})[/dim]"
        table.add_row(row["entity"], row["family"], row["name"], span, meaning)
    Console().print(table)


def _sizes(stream: StreamProfile) -> str:
    """Bytes of state of each entity that a partition keeps rows of."""
    rows = stream.program.layouts.items()
    return ", ".join(f"{row.itemsize:,} bytes a{'n' * (name[0] in 'aeiou')} {name}" for name, row in rows)


def _about(family: str, stream: StreamProfile) -> str:
    """What the family's own module says of it."""
    modules = {one.name: inspect.getmodule(inspect.unwrap(one.look)) for one in stream.families}
    module = modules.get(family) or import_module(f"stream.features.{family}")
    return inspect.cleandoc(module.__doc__ or "")


def page(stream: StreamProfile | None = None) -> str:
    """Write docs/features.md from the registry, or the same page of another stream."""
    from stream.profile import CARDS

    stream = stream or CARDS
    rows, channels = _rows(stream), _channels(stream)
    lines = [
        "# Features",
        "",
        f"Written by `fraudstream features --markdown`; version {stream.version}, {len(rows)} features. "
        f"State: {_sizes(stream)}.",
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
            about = f"Entity: {row['entity']}. {_about(family, stream)}"
            lines += ["", f"## {family}", "", about, "", heading, "|---|---|---|---|---|---|"]
        span = f"{row['low']:g} .. {row['high']:g}"
        name = f"`{row['name']}`{' †' * row['from_labels']}"
        lines.append(f"| {name} | {row['unit']} | {row['scale']} | {span} | {row['meaning']} | `{row['code']}` |")
    lines += ["", "## sequence", "", _about("sequence", stream), ""]
    lines += ["| channel | feature | quantum | neutral |", "|---|---|---|---|"]
    for c in channels:
        lines.append(f"| `{c['name']}` | {c['feature'] or 'a step is there'} | {c['step']:g} | {c['neutral']:g} |")
    return "\n".join(lines) + "\n"
