"""`fraudstream broker`: a real Apache Kafka on this machine, with nothing but Python installed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stream.broker import BrokerStatus, EmbeddedKafka, ensure_topics, product_topics
from stream.broker.jars import KAFKA_VERSION, lock_path, write_lock
from stream.broker.topics import DEFAULT_PARTITIONS
from stream.cliutil import emit_json
from stream.errors import SettingError

app = typer.Typer(
    help=f"Run a real Apache Kafka {KAFKA_VERSION} on this machine; its jars and its Java come by themselves.",
    no_args_is_help=True,
)

_NOT_RUNNING = 3

Name = Annotated[str, typer.Option("--name", help="Which broker: each name has its own ports and data.")]
Folder = Annotated[Path, typer.Option("--dir", help="Folder that holds the brokers of all names.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Partitions = Annotated[int, typer.Option("--partitions", min=1, max=1000, help="Partitions of each topic.")]
DEFAULT_FOLDER = Path(".run/broker")


def _folder(directory: Path, name: str) -> Path:
    if not name.replace("-", "").replace("_", "").replace(".", "").isalnum() or name.startswith("."):
        raise SettingError(f"--name {name!r} is no name; use letters, digits, dashes, dots and underscores")
    return directory / name


def _say(text: str) -> None:
    typer.echo(text, err=True)


@app.command()
def start(
    *,
    name: Name = "default",
    directory: Folder = DEFAULT_FOLDER,
    java: Annotated[str | None, typer.Option(help="A Java >= 17 to use instead of the bundled one.")] = None,
    heap_mb: Annotated[int, typer.Option("--heap-mb", min=128, help="Java heap, MB.")] = 512,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget the data of earlier runs.")] = False,
    topics: Annotated[bool, typer.Option("--topics", help="Make fraudstream's topics too.")] = False,
    partitions: Partitions = DEFAULT_PARTITIONS,
    as_json: Json = False,
) -> None:
    """Start a broker on free ports of 127.0.0.1 and wait until it answers; a second start finds it running.

    Example: fraudstream broker start --topics --partitions 4
    """
    broker = EmbeddedKafka(_folder(directory, name), java=java, heap_mb=heap_mb, say=_say)
    already = not fresh and broker.status().running
    bootstrap = broker.start(fresh=fresh)
    made = ensure_topics(bootstrap, product_topics(partitions)) if topics else []
    status = broker.status()
    if as_json:
        emit_json({**status.as_dict(), "name": name, "already_running": already, "topics_made": made})
        return
    verb = "already runs" if already else "runs"
    typer.echo(f"Kafka {KAFKA_VERSION} {verb} at {bootstrap} (name {name}, pid {status.pid}, log {status.log})")
    if topics:
        typer.echo(f"topics made: {', '.join(made) or 'none, all were there'}")


@app.command()
def stop(name: Name = "default", directory: Folder = DEFAULT_FOLDER, as_json: Json = False) -> None:
    """Stop a broker cleanly; its data stays for the next start.

    Example: fraudstream broker stop --name default
    """
    stopped = EmbeddedKafka(_folder(directory, name), say=_say).stop()
    if as_json:
        emit_json({"name": name, "stopped": stopped})
    else:
        typer.echo(f"Kafka {name} {'stopped' if stopped else 'was not running'}")


@app.command()
def status(name: Name = "default", directory: Folder = DEFAULT_FOLDER, as_json: Json = False) -> None:
    """Tell whether a broker runs and answers; the exit code is 3 when it does not.

    Example: fraudstream broker status --json
    """
    found = EmbeddedKafka(_folder(directory, name), say=_say).status()
    if as_json:
        emit_json({**found.as_dict(), "name": name})
    else:
        typer.echo(f"Kafka {name}: {_sentence(found)}")
    if not found.answering:
        raise typer.Exit(_NOT_RUNNING)


def _sentence(found: BrokerStatus) -> str:
    if not found.running:
        return "not running"
    state = "answers" if found.answering else "runs but does not answer"
    return f"{state} at {found.bootstrap} (pid {found.pid}, log {found.log})"


@app.command()
def topics(
    bootstrap: Annotated[
        str | None, typer.Option(envvar="KAFKA_BOOTSTRAP", help="host:port of any Kafka; the named broker's if absent.")
    ] = None,
    partitions: Partitions = DEFAULT_PARTITIONS,
    name: Name = "default",
    directory: Folder = DEFAULT_FOLDER,
    as_json: Json = False,
) -> None:
    """Make fraudstream's topics where they are missing, all with the same number of partitions.

    Example: fraudstream broker topics --bootstrap kafka:9092 --partitions 16
    """
    if bootstrap is None:
        found = EmbeddedKafka(_folder(directory, name), say=_say).status()
        if not found.answering or found.bootstrap is None:
            raise SettingError(
                f"broker {name} does not run; start it with: fraudstream broker start, or set --bootstrap"
            )
        bootstrap = found.bootstrap
    wanted = product_topics(partitions)
    made = ensure_topics(bootstrap, wanted)
    if as_json:
        emit_json({"bootstrap": bootstrap, "partitions": partitions, "topics": list(wanted), "made": made})
    else:
        typer.echo(f"topics made at {bootstrap}: {', '.join(made) or 'none, all were there'}")


@app.command()
def lock() -> None:
    """Resolve Kafka's jars again and write deploy/kafka/jars.lock (for a new Kafka version; needs the network).

    Example: fraudstream broker lock
    """
    target = lock_path()
    typer.echo(f"{write_lock(target)} jars written to {target}")
