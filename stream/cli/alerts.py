"""`fraudstream alerts`: read the feed of alerts and verify its chain."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    help="Read the feed of alerts, and verify that nothing in it is missing, changed or told twice.",
    no_args_is_help=True,
)

Bootstrap = Annotated[str | None, typer.Option("--bootstrap", "-b", help="Kafka, host:port[,host:port].")]
Topic = Annotated[str | None, typer.Option("--topic", "-t", help="Topic of the alerts; the setting topics.alerts.")]
Config = Annotated[Path | None, typer.Option("--config", "-c", help="TOML settings file.")]


@app.command()
def tail(
    *,
    bootstrap: Bootstrap = None,
    topic: Topic = None,
    config: Config = None,
    from_beginning: Annotated[bool, typer.Option("--from-beginning", help="Begin with the oldest alert.")] = False,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="Stop after so many alerts.")] = None,
    idle: Annotated[float | None, typer.Option(min=0, help="Stop after so many seconds without an alert.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line, as published.")] = False,
) -> None:
    """Print alerts as they come, one line each and a line per reason; Ctrl-C ends it.

    Examples:

        fraudstream alerts tail --bootstrap 127.0.0.1:9092

        fraudstream alerts tail --from-beginning --idle 2 --json | jq .outcome
    """
    from stream.cli.reading import reading, settings_for

    settings = settings_for(config, bootstrap)
    with reading(settings.kafka.bootstrap, topic or settings.topics.alerts) as reader:
        try:
            for record in _until(reader.follow(from_beginning), limit, idle):
                _print(record.value, as_json)
        except KeyboardInterrupt:
            return


@app.command()
def verify(
    *,
    bootstrap: Bootstrap = None,
    topic: Topic = None,
    config: Config = None,
    partition: Annotated[int | None, typer.Option("--partition", "-p", min=0, help="Only this partition.")] = None,
    from_offset: Annotated[int, typer.Option(min=0, help="Begin at this offset of each partition.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Recompute every hash and follow each partition's chain; exit code 1 when something is wrong.

    A break is a missing, changed or foreign message; a fork a second successor; a repeat an alert told twice.
    Superseded messages are a fenced worker's surplus after a failure: counted, and harmless.

    Examples:

        fraudstream alerts verify --bootstrap 127.0.0.1:9092

        fraudstream alerts verify --partition 3 --from-offset 120000 --json
    """
    from stream.cli.reading import reading, settings_for
    from stream.cliutil import emit_json
    from stream.sinks.chain import verify as verify_chain

    settings = settings_for(config, bootstrap)
    name = topic or settings.topics.alerts
    with reading(settings.kafka.bootstrap, name, partition) as reader:
        found = verify_chain((r.partition, r.offset, r.value or b"") for r in reader.history(from_offset))
    counts = {field: getattr(found, field) for field in ("alerts", "breaks", "forks", "superseded", "repeats")}
    if as_json:
        emit_json({"topic": name, **counts, "first_problem": found.first_problem, "ok": found.ok})
    else:
        typer.echo(f"{name}: " + ", ".join(f"{field} {count}" for field, count in counts.items()))
        typer.echo("the chain is whole" if found.ok else f"first problem: {found.first_problem}")
    if not found.ok:
        raise typer.Exit(1)


def _until(records: Iterator[Any], limit: int | None, idle: float | None) -> Iterator[Any]:
    """Real records, until there were enough of them or none for too long."""
    seen, last = 0, time.monotonic()
    for record in records:
        if record is not None and record.value is not None:
            seen, last = seen + 1, time.monotonic()
            yield record
            if seen == limit:
                return
        elif idle is not None and time.monotonic() - last >= idle:
            return


def _print(value: bytes, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(value.decode("utf-8", "replace") + "\n")
        sys.stdout.flush()
        return
    try:
        typer.echo(line(json.loads(value)))
    except (ValueError, KeyError, TypeError, AttributeError):
        typer.echo(f"a message that is no alert ({len(value)} bytes)")


def line(alert: dict[str, Any]) -> str:
    """One alert for a terminal: what, how sure, who, how much, and why."""
    _, _, card, merchant, amount, currency, *_ = alert["transaction"].values()  # whatever its stream calls them
    score = "rules" if alert["score"] is None else f"{alert['score']:.3f}"
    marks = "".join(f" [{mark}]" for mark in ("degraded", "late", "clock_skew") if alert[mark])
    head = (
        f"{alert['event_time']}  {alert['outcome']:<19} {score}  {str(card)[:12]}  "
        f"{amount} {currency} at {merchant}{marks}"
    )
    reasons = [f"    {reason['code']}: {reason['text']}" for reason in alert["reasons"]]
    return _printable("\n".join([head, *reasons]))


def _printable(text: str) -> str:
    """Without control characters: a merchant's name must not steer the analyst's terminal."""
    return "".join(c if c == "\n" or c.isprintable() else "�" for c in text)
