"""The `fraudstream` command. The workshop's commands are found through the entry-point group `fraudstream.commands`."""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import entry_points

import typer

from stream import __version__
from stream.errors import FraudstreamError

app = typer.Typer(
    name="fraudstream",
    help="Streaming fraud detection: transactions on Kafka become explained, auditable alerts.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_GROUPS = {"broker": "stream.cli.broker", "alerts": "stream.cli.alerts", "dlq": "stream.cli.dlq"}
_COMMANDS = {
    "demo": "stream.cli.demo",
    "worker": "stream.cli.worker",
    "check": "stream.cli.check",
    "drill": "stream.cli.drill",
    "features": "stream.cli.features",
    "warmup": "stream.cli.warmup",
}


@app.callback(invoke_without_command=True)
def root(version: bool = typer.Option(False, "--version", help="Print the version and exit.", is_eager=True)) -> None:
    """Streaming fraud detection: transactions on Kafka become explained, auditable alerts."""
    if version:
        typer.echo(f"fraudstream {__version__}")
        raise typer.Exit


def _mount() -> None:
    for name, module in _COMMANDS.items():
        app.command(name)(importlib.import_module(module).command)
    for name, module in _GROUPS.items():
        app.add_typer(importlib.import_module(module).app, name=name)
    for point in sorted(entry_points(group="fraudstream.commands"), key=lambda p: p.name):
        loaded = point.load()
        if isinstance(loaded, typer.Typer):
            app.add_typer(loaded, name=point.name)
        else:
            app.command(point.name)(loaded)


def main() -> None:
    """Console entry point: errors made for people are one sentence on stderr and an exit code other than 0."""
    _mount()
    try:
        app()
    except FraudstreamError as error:
        sys.stderr.write(f"fraudstream: {error}\n")
        raise SystemExit(error.exit_code) from None
