"""`fraudstream simulate` and `fraudstream replay`: transactions that we made, and transactions that we did not."""

import datetime as dt
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from stream.cliutil import emit_json
from stream.errors import SettingError

EVENTS_TOPIC = "fraud.events"


class Key(StrEnum):
    """What messages about transactions are keyed by; by customer, all his cards share a partition."""

    CARD = "card_id"
    CUSTOMER = "customer_id"


class Part(StrEnum):
    """Which part of the history is sent."""

    ALL = "all"
    WARMUP = "warmup"
    LIVE = "live"


def simulate(
    *,
    bootstrap: Annotated[str, typer.Option(help="Kafka to send to, host:port.")] = "",
    topic: Annotated[str, typer.Option(help="Topic of the transactions; it must exist.")] = "fraud.transactions",
    feedback_topic: Annotated[str, typer.Option(help="Topic of the labels, sent as they arrive; none if empty.")] = "",
    events_topic: Annotated[
        str, typer.Option(help="Topic of the account events; fraud.events, if it exists, when left out.")
    ] = "",
    no_events: Annotated[bool, typer.Option("--no-events", help="Send no account events.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write Parquet files into this folder instead of Kafka.")] = None,
    truth: Annotated[
        Path | None, typer.Option(help="Also write the truth of what was sent (.jsonl, .csv, .parquet).")
    ] = None,
    cards: Annotated[int, typer.Option(help="Cards of the bank.", min=10)] = 3_000,
    days: Annotated[int, typer.Option(help="Days of history.", min=1, max=3_650)] = 30,
    start: Annotated[
        str, typer.Option(help="First day, ISO 8601; default: so that it ends at the last midnight UTC.")
    ] = "",
    bank: Annotated[int, typer.Option(help="Bank seed: another one redraws every parameter.", min=0)] = 1,
    seed: Annotated[int, typer.Option(help="Stream seed of that bank.", min=0)] = 1,
    prevalence_bp: Annotated[float, typer.Option(help="Fraudulent transactions in basis points.", min=0)] = 80.0,
    story: Annotated[list[str] | None, typer.Option(help="Play only this story; repeat for more.")] = None,
    bare: Annotated[bool, typer.Option("--bare", help="Send hardly more than card, terminal and amount.")] = False,
    rate: Annotated[float, typer.Option(help="Transactions a second; 0: flat out, or by --speed.", min=0)] = 0.0,
    speed: Annotated[float, typer.Option(help="Compress event time by this factor; 0: do not follow it.", min=0)] = 0.0,
    part: Annotated[Part, typer.Option(help="Send what arrives before --warmup-days, after, or all.")] = Part.ALL,
    warmup_days: Annotated[float, typer.Option(help="Length of the warm-up part.", min=0)] = 0.0,
    late_share: Annotated[float, typer.Option(help="Share of messages that come late.", min=0, max=1)] = 0.0003,
    repeat_share: Annotated[float, typer.Option(help="Share of messages sent twice, same id.", min=0, max=1)] = 0.0003,
    key: Annotated[Key, typer.Option(help="What transactions and labels are keyed by.")] = Key.CARD,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Simulate a bank's card transactions, with seven kinds of fraud and honest look-alikes, into Kafka or files.

    The same seeds always give the same transactions, so that a history can be sent in two parts: the warm-up flat
    out, then the rest in compressed time. What happens to the accounts (sign-ins, changes) goes along. SIGINT and
    SIGTERM end it cleanly: what was sent is durable.

    Example: fraudstream simulate --bootstrap 127.0.0.1:9092 --cards 3000 --days 45 --speed 20000
    """
    _refuse_nonsense(bootstrap, out, rate, speed, part, warmup_days, days)
    begin = _start(start, days)
    told = "" if no_events or out is not None else _events_topic(bootstrap, events_topic, quiet=json)
    if bootstrap:
        _demand_topics(bootstrap, [topic, feedback_topic, told])
    from training.data.simulate import Target
    from training.data.simulator import generate

    if not json:
        sys.stderr.write(f"simulating bank {bank}, seed {seed}: {cards:,} cards, {days} days from {begin:%Y-%m-%d}\n")
    size: dict[str, Any] = {"cards": cards, "days": days, "start": begin, "prevalence_bp": prevalence_bp}
    history = generate(bank_seed=bank, seed=seed, **size, stories=story or None, bare_feed=bare)
    if out is not None:
        summary = _write(history, out)
    else:
        cut = {"part": part.value, "warmup_days": warmup_days, "late": late_share, "repeated": repeat_share}
        target = Target(bootstrap, topic, feedback_topic, told, rate, speed, key.value)
        summary = _send(history, _planned(history, begin, cut), target, truth, quiet=json)
    _print(summary | {"bank": bank, "seed": seed, "part": part.value}, json)


def _refuse_nonsense(
    bootstrap: str, out: Path | None, rate: float, speed: float, part: Part, warmup_days: float, days: int
) -> None:
    if bool(bootstrap) == (out is not None):
        raise SettingError("simulate needs a place to write to: give either --bootstrap HOST:PORT or --out FOLDER.")
    if rate and speed:
        raise SettingError(
            "--rate and --speed exclude each other: one sets the pace by number, the other by event time."
        )
    if part is not Part.ALL and not 0 < warmup_days < days:
        raise SettingError(f"--part {part.value} needs --warmup-days between 0 and --days {days}.")


def _events_topic(bootstrap: str, named: str, *, quiet: bool) -> str:
    """The topic of the account events: the one that is named, else the usual one if the broker has it."""
    from training.data.topics import exists

    if named:
        return named
    _hush()
    if exists(bootstrap, EVENTS_TOPIC):
        return EVENTS_TOPIC
    if not quiet:
        sys.stderr.write(f"the broker has no topic {EVENTS_TOPIC}: what happens to accounts is not sent\n")
    return ""


def _planned(history: Any, begin: dt.datetime, cut: dict[str, Any]) -> Any:
    from training.data.simulator.delivery import deliver

    return deliver(history, int(begin.timestamp() * 1000), **cut)


def _hush() -> None:
    """The clients' own complaints add nothing to the sentences that are said here."""
    import logging

    for client in ("kafka", "aiokafka"):
        logging.getLogger(client).setLevel(logging.CRITICAL)


def _demand_topics(bootstrap: str, topics: list[str]) -> None:
    """Stop before any work when the broker or a topic is not there."""
    from training.data.topics import partitions_of

    _hush()
    for topic in filter(None, topics):
        partitions_of(bootstrap, topic)


def _start(text: str, days: int) -> dt.datetime:
    if not text:
        midnight = dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight - dt.timedelta(days=days)
    try:
        start = dt.datetime.fromisoformat(text)
    except ValueError:
        raise SettingError(f"--start {text!r} is not a date: write it as 2026-01-31 or 2026-01-31T00:00:00Z.") from None
    start = start if start.tzinfo else start.replace(tzinfo=dt.UTC)
    if start + dt.timedelta(days=days) > dt.datetime.now(dt.UTC):
        raise SettingError(f"--start {text} and --days {days} end in the future: begin earlier or simulate fewer days.")
    return start


def _write(history: Any, out: Path) -> dict[str, Any]:
    import numpy as np

    from training.data.simulate import describe

    history.write(out)
    return describe(history, np.arange(len(history))) | {
        "labels": len(history.decisions["row"]),
        "events": len(history.account),
        "directory": str(out),
    }


def _send(history: Any, delivery: Any, target: Any, truth: Path | None, *, quiet: bool) -> dict[str, Any]:
    from training.data.pace import Progress, stop_signal
    from training.data.simulate import describe, send, write_truth

    if truth is not None and truth.suffix not in (".jsonl", ".json", ".csv", ".parquet"):
        raise SettingError(f"--truth {truth} ends in {truth.suffix!r}: name a .jsonl, .csv or .parquet file.")
    with stop_signal() as stop:
        progress = Progress(len(delivery.row), quiet)
        beside = send(history, delivery, target, stop, progress)
        seconds, rate = progress.seconds, progress.rate
        sent = delivery.row[: progress.sent]
        if truth is not None:
            write_truth(history, sent, truth)
    return describe(history, sent) | {
        **beside,
        "repeated": len(sent) - len(set(sent.tolist())),
        "seconds": round(seconds, 3),
        "rate": round(rate, 1),
        "stopped": bool(stop.is_set()),
    }


def _print(summary: dict[str, Any], json: bool) -> None:
    if json:
        emit_json(summary)
        return
    for name, value in summary.items():
        typer.echo(f"{name.replace('_', ' ')}: {_shown(name, value)}")


def _shown(name: str, value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {number:,}" for key, number in value.items()) or "none"
    counts = isinstance(value, int | float) and not isinstance(value, bool) and name not in ("bank", "seed")
    return f"{value:,}" if counts else str(value)


def replay(
    file: Annotated[Path, typer.Argument(help="CSV, JSON Lines or Parquet file.")],
    *,
    mapping: Annotated[Path, typer.Option(help="TOML file that says which column is which field.")],
    bootstrap: Annotated[str, typer.Option(help="Kafka to send to, host:port.")],
    topic: Annotated[str, typer.Option(help="Topic of the transactions; it must exist.")] = "fraud.transactions",
    speed: Annotated[float, typer.Option(help="Compress event time by this factor; 0: flat out.", min=0)] = 0.0,
    limit: Annotated[int, typer.Option(help="Read only the first rows of the file; 0: all.", min=0)] = 0,
    report: Annotated[bool, typer.Option("--report", help="Wait for the worker, then judge its alerts.")] = False,
    send: Annotated[bool, typer.Option("--send/--no-send", help="--no-send: only report on what was replayed.")] = True,
    group: Annotated[str, typer.Option(help="Consumer group of the worker, for --report.")] = "fraudstream",
    alerts_topic: Annotated[str, typer.Option(help="Topic of the alerts, for --report.")] = "fraud.alerts",
    patience: Annotated[float, typer.Option(help="Seconds without progress of the worker, for --report.")] = 60.0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Send a file of transactions that somebody else wrote into the topic, keeping its event times.

    With --report it waits until the worker has read everything, then prints precision and recall of its alerts
    against the file's own labels, by scenario, by transaction and by case (a card on one day).

    Example: fraudstream replay FILE.parquet --mapping docs/examples/fdh.toml --bootstrap 127.0.0.1:9092 --report
    """
    from training.data.mapping import load_mapping
    from training.data.pace import Progress, stop_signal
    from training.data.replay import Replay

    plan = Replay(file, load_mapping(mapping), limit=limit)
    if report and not plan.has_labels:
        raise SettingError(f'--report needs the file\'s own labels: add [labels] with truth = "COLUMN" to {mapping}.')
    _demand_topics(bootstrap, [topic, alerts_topic if report else ""])
    summary: dict[str, Any] = {}
    with stop_signal() as stop:
        if send:
            progress = Progress(0, json)
            summary = plan.send(bootstrap, topic, speed, stop, progress)
        if report and not stop.is_set():
            from training.data.report import judge, wait_for_group

            wait_for_group(bootstrap, topic, group, patience, stop, quiet=json)
            summary["report"] = judge(bootstrap, alerts_topic, plan.labelled())
    if json:
        emit_json(summary)
        return
    _print({name: value for name, value in summary.items() if name != "report"}, json=False)
    if "report" in summary:
        from training.data.report import render

        typer.echo(render(summary["report"]))
