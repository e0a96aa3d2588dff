"""`fraudstream dlq`: what could not be processed, and why."""

from __future__ import annotations

import base64
import json
from collections import Counter, deque
from pathlib import Path
from typing import Annotated, Any

import typer

from stream.errors import SettingError

app = typer.Typer(
    help="Look at dead letters: messages that are no transaction, with the stage and the error.",
    no_args_is_help=True,
)

Bootstrap = Annotated[str | None, typer.Option("--bootstrap", "-b", help="Kafka, host:port[,host:port].")]
Topic = Annotated[
    str | None, typer.Option("--topic", "-t", help="Topic of the dead letters; the setting topics.dead_letters.")
]
Config = Annotated[Path | None, typer.Option("--config", "-c", help="TOML settings file.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


@app.command()
def ls(
    *,
    bootstrap: Bootstrap = None,
    topic: Topic = None,
    config: Config = None,
    stage: Annotated[str | None, typer.Option(help="Only this stage: decode, mapping, validate, ...")] = None,
    last: Annotated[int, typer.Option("--last", "-n", min=1, help="Show the newest so many.")] = 20,
    as_json: Json = False,
) -> None:
    """Count dead letters by stage and list the newest: source partition and offset, size, error.

    Examples:

        fraudstream dlq ls --bootstrap 127.0.0.1:9092

        fraudstream dlq ls --stage validate --last 5 --json
    """
    from stream.cli.reading import reading, settings_for
    from stream.cliutil import emit_json

    settings = settings_for(config, bootstrap)
    name = topic or settings.topics.dead_letters
    stages: Counter[str] = Counter()
    newest: deque[dict[str, Any]] = deque(maxlen=last)
    with reading(settings.kafka.bootstrap, name) as reader:
        for record in reader.history():
            letter = parse(record.value)
            if stage is None or letter["stage"] == stage:
                stages[letter["stage"]] += 1
                newest.append({key: value for key, value in letter.items() if key != "payload"})
    if as_json:
        emit_json({"topic": name, "total": stages.total(), "stages": dict(stages), "newest": list(newest)})
        return
    counts = ", ".join(f"{name} {count}" for name, count in stages.most_common()) or "none"
    typer.echo(f"{name}: {stages.total()} dead letters ({counts})")
    for letter in newest:
        where = f"{letter['topic']}[{letter['partition']}] {letter['offset']}"
        typer.echo(f"  {where}  {letter['stage']:<9} {letter['payload_size']} bytes  {_printable(letter['error'])}")


@app.command()
def show(
    partition: Annotated[int, typer.Argument(min=0, help="Partition of the source.")],
    offset: Annotated[int, typer.Argument(min=0, help="Offset in the source.")],
    *,
    bootstrap: Bootstrap = None,
    topic: Topic = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show one dead letter in full, named by its place in the source; card numbers in the payload are masked.

    Example: fraudstream dlq show 2 10432 --bootstrap 127.0.0.1:9092
    """
    from stream.cli.reading import reading, settings_for
    from stream.cliutil import emit_json

    settings = settings_for(config, bootstrap)
    name = topic or settings.topics.dead_letters
    with reading(settings.kafka.bootstrap, name, partition) as reader:
        letters = [letter for record in reader.history() if (letter := parse(record.value))["offset"] == offset]
    if not letters:
        raise SettingError(f"{name} has no dead letter of partition {partition} offset {offset}; see `dlq ls`")
    if as_json:
        emit_json(letters[0])
        return
    for key, value in letters[0].items():
        if key not in ("payload", "payload_encoding"):
            typer.echo(f"{key:<15} {_printable(str(value))}")
    typer.echo("payload")
    typer.echo(_printable(payload_of(letters[0]).decode("utf-8", "backslashreplace"), keep="\n\t"))


def parse(value: bytes | None) -> dict[str, Any]:
    """Read one message of the dead-letter topic; what is none gets the stage ``unknown``."""
    shape: dict[str, Any] = {"topic": "", "partition": -1, "offset": -1, "stage": "unknown", "error": "", "payload": ""}
    shape |= {"payload_size": len(value or b"")}
    try:
        found = json.loads(value or b"")
    except (ValueError, RecursionError):
        return shape | {"error": "the message is no dead letter"}
    return shape | found if isinstance(found, dict) else shape | {"error": "the message is no dead letter"}


def payload_of(letter: dict[str, Any]) -> bytes:
    """The payload's bytes, whichever way they were encoded."""
    payload = str(letter["payload"])
    return base64.b64decode(payload) if letter.get("payload_encoding") == "base64" else payload.encode()


def _printable(text: str, keep: str = "") -> str:
    return "".join(c if c in keep or c.isprintable() else "�" for c in text)
