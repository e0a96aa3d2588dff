"""`fraudstream worker`: score the transactions of a topic until told to stop."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def command(
    config: Annotated[Path | None, typer.Option("--config", "-c", help="TOML settings file.")] = None,
    bootstrap: Annotated[str | None, typer.Option(help="Kafka as host:port[,host:port].")] = None,
    group: Annotated[str | None, typer.Option(help="Consumer group.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cuda or cpu.")] = None,
    models: Annotated[Path | None, typer.Option(help="Folder with active.toml.")] = None,
    state: Annotated[
        str | None,
        typer.Option(help="checkpoint: load it, replay the rest; rebuild: replay the topic; empty: no history."),
    ] = None,
    acknowledge_simulated: Annotated[
        bool, typer.Option("--acknowledge-simulated", help="Accept models trained on simulated data.")
    ] = False,
    metrics_port: Annotated[int | None, typer.Option(help="Port of /metrics; 0 picks a free one.")] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
    exit_when_idle: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=0, help="Stop with success after so many seconds without lag."),
    ] = None,
) -> None:
    """Score the transactions of a topic; write alerts and dead letters; never lose one, never tell one twice.

    State is kept in memory; at start it is loaded from its checkpoint, and what came after is replayed. SIGTERM
    finishes what is in flight, commits and leaves the group. Exit codes: 0 stopped in order, 2 a wrong setting, 3 no
    broker, 4 stopped with transactions uncommitted (they are processed again), 5 an alert or dead letter could not be
    written.

    Example: fraudstream worker --bootstrap 127.0.0.1:9092 --group fraud --metrics-port 9108
    """
    from stream.app import run_worker
    from stream.settings import load

    _log_to_stderr(log_level)
    overrides: dict[str, dict[str, Any]] = {
        "kafka": {"bootstrap": bootstrap, "group": group},
        "models": {"device": device, "directory": models, "acknowledge_simulated": acknowledge_simulated or None},
        "engine": {"state": state},
        "monitor": {"port": metrics_port},
    }
    given = {name: {key: v for key, v in section.items() if v is not None} for name, section in overrides.items()}
    settings = load(config, {name: section for name, section in given.items() if section})
    raise typer.Exit(run_worker(settings, exit_when_idle=exit_when_idle))


def _log_to_stderr(level: str) -> None:
    import logging
    import sys

    from stream.app.logs import FewRepeats
    from stream.errors import SettingError

    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise SettingError(f"--log-level {level!r} is unknown; use debug, info, warning or error")
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(FewRepeats())
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)
    logging.getLogger("fraudstream").setLevel(number)
