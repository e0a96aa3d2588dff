"""`fraudstream warmup`: know every card's habits before going live."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer


def command(
    source: Annotated[
        str, typer.Argument(metavar="FILE|TOPIC", help="A .parquet or .jsonl file of transactions, or a topic.")
    ],
    config: Annotated[Path | None, typer.Option("--config", "-c", help="TOML settings file of the worker.")] = None,
    bootstrap: Annotated[str | None, typer.Option(help="Kafka as host:port[,host:port].")] = None,
    group: Annotated[str | None, typer.Option(help="Consumer group that is to begin.")] = None,
    start_at: Annotated[str | None, typer.Option(help="Where the group begins: earliest or latest.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Give up offsets and state that the group has.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Fill the state of a new group from history, so that its first worker does not start blind.

    A .parquet file has our columns, a .jsonl file messages as the topic has them; send any other file into a topic of
    its own with `fraudstream replay` and name that topic. Order is that of the file or topic. Labels are taken from the
    feedback topic. The state is written as a checkpoint that stands where the group begins: at the start of the
    transactions' topic, with --start-at latest at its end, or behind the history where that is this topic itself.

    Example: fraudstream warmup history.parquet --bootstrap 127.0.0.1:9092 --group fraud --start-at latest
    """
    from stream.app.warmup import run
    from stream.cliutil import emit_json
    from stream.settings import load

    overrides: dict[str, Any] = {"kafka": {"bootstrap": bootstrap, "group": group, "start_at": start_at}}
    given = {name: {key: v for key, v in section.items() if v is not None} for name, section in overrides.items()}
    settings = load(config, {name: section for name, section in given.items() if section})
    say = (lambda _: None) if json else (lambda line: print(line, file=sys.stderr))
    summary = run(settings, source, replace=replace, say=say)
    if json:
        emit_json(summary.as_dict())
        return
    for reason, number in summary.refused.items():
        typer.echo(f"refused {number:,}: {reason}")
    typer.echo(
        f"{summary.rows:,} rows of state from {summary.transactions:,} transactions in {summary.seconds:.1f} s: "
        f"the group {settings.kafka.group} begins with them"
    )
