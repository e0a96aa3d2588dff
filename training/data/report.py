"""Judge the worker's alerts against a file's own labels: precision and recall, by scenario, transaction and case."""

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec
from kafka import TopicPartition

from stream.errors import BrokerError
from training.data.replay import Labelled
from training.data.topics import consumer, end_offsets

_POLL_SECONDS = 1.0
_STALLED_SECONDS = 20.0


class _Subject(msgspec.Struct, frozen=True):
    transaction_id: str | None = None


class _Alert(msgspec.Struct, frozen=True):
    outcome: str = "review"
    transaction: _Subject = _Subject()


def wait_for_group(
    bootstrap: str, topic: str, group: str, patience: float, stop: threading.Event, *, quiet: bool
) -> None:
    """Wait until a consumer group has committed everything that is in a topic now.

    Parameters
    ----------
    bootstrap : str
        Kafka, host:port.
    topic : str
        Topic of the transactions.
    group : str
        The worker's consumer group.
    patience : float
        Seconds without progress after which to give up.
    stop : threading.Event
        Ends the wait when set.
    quiet : bool
        Say nothing on stderr.

    Raises
    ------
    BrokerError
        If the group makes no progress for `patience` seconds.
    """
    ends = end_offsets(bootstrap, topic)
    best, since, spoken = -1, time.monotonic(), 0.0
    with consumer(bootstrap, group) as member:
        while not stop.is_set():
            offsets = {part: member.committed(TopicPartition(topic, part)) or 0 for part in ends}
            left = sum(max(end - offsets[part], 0) for part, end in ends.items())
            if left == 0:
                return
            done = sum(offsets.values())
            if done > best:
                best, since = done, time.monotonic()
            elif time.monotonic() - since > patience:
                raise BrokerError(
                    f"the group {group!r} has {left:,} transactions of {topic} still to read and made no progress for "
                    f"{patience:.0f} s: is the worker running, and is its group named by --group?"
                )
            if not quiet and time.monotonic() - spoken > 5:
                spoken = time.monotonic()
                sys.stderr.write(f"waiting for the worker: {left:,} transactions left\n")
            stop.wait(_POLL_SECONDS)


def alerted(bootstrap: str, topic: str) -> tuple[set[str], int]:
    """Transaction ids of all committed alerts of a topic, and how many messages were no readable alert.

    Raises
    ------
    BrokerError
        If the broker stops answering before the end is reached.
    """
    ends = end_offsets(bootstrap, topic)
    decode = msgspec.json.Decoder(_Alert).decode
    found: set[str] = set()
    unreadable, moved = 0, time.monotonic()
    with consumer(bootstrap) as reader:
        parts = [TopicPartition(topic, part) for part in ends]
        reader.assign(parts)
        reader.seek_to_beginning(*parts)
        while any(reader.position(part) < ends[part.partition] for part in parts):
            polled = reader.poll(timeout_ms=500, max_records=5_000)
            if polled:
                moved = time.monotonic()
            elif time.monotonic() - moved > _STALLED_SECONDS:
                raise BrokerError(f"the topic {topic} could not be read to its end: is Kafka at {bootstrap} still up?")
            for records in polled.values():
                for record in records:
                    try:
                        alert = decode(record.value or b"")
                    except msgspec.DecodeError:
                        unreadable += 1
                        continue
                    if alert.outcome != "pass" and alert.transaction.transaction_id:
                        found.add(alert.transaction.transaction_id)
    return found, unreadable


def judge(bootstrap: str, alerts_topic: str, labelled: Iterable[Labelled]) -> dict[str, Any]:
    """Compare alerts with labels (see `compare`); alerts are read from their topic, committed ones only."""
    alerts, unreadable = alerted(bootstrap, alerts_topic)
    return compare(alerts, labelled) | {"unreadable_alerts": unreadable}


def compare(alerts: set[str], labelled: Iterable[Labelled]) -> dict[str, Any]:
    """Precision and recall of alerts.

    Parameters
    ----------
    alerts : set of str
        Transaction ids.
    labelled : iterable of Labelled
        The file's verdicts.

    Returns
    -------
    dict
        ``transactions`` and ``cases`` (a card on one UTC day), each with total, fraudulent, alerted, caught,
        precision, recall; ``scenarios`` with the recall of each, by transaction and by case;
        ``other_alerts`` that name no transaction of the file.
    """
    total, matched = 0, 0
    fraud: Counter[str] = Counter()
    caught: Counter[str] = Counter()
    false = 0
    flagged: set[tuple[str, int]] = set()
    days: set[tuple[str, int]] = set()
    bad: dict[tuple[str, int], set[str]] = {}
    for block in labelled:
        total += len(block.ids)
        for row, name in enumerate(block.ids):
            case = (block.cards[row], block.days[row])
            days.add(case)
            hit = name in alerts
            if block.fraud[row]:
                fraud[block.scenario[row]] += 1
                caught[block.scenario[row]] += hit
                bad.setdefault(case, set()).add(block.scenario[row])
            else:
                false += hit
            if hit:
                matched += 1
                flagged.add(case)
    return {
        "transactions": _figures(total, sum(fraud.values()), sum(caught.values()) + false, sum(caught.values())),
        "cases": _figures(len(days), len(bad), len(flagged), len(flagged & bad.keys())),
        "scenarios": {name: _scenario(name, fraud, caught, bad, flagged) for name in sorted(fraud)},
        "other_alerts": len(alerts) - matched,
    }


def _scenario(
    name: str, fraud: Counter[str], caught: Counter[str], bad: dict[tuple[str, int], set[str]], flagged: set[Any]
) -> dict[str, Any]:
    cases = [case for case, names in bad.items() if name in names]
    hits = sum(case in flagged for case in cases)
    return {
        "fraudulent": fraud[name],
        "caught": caught[name],
        "recall": _ratio(caught[name], fraud[name]),
        "cases": len(cases),
        "cases_caught": hits,
        "case_recall": _ratio(hits, len(cases)),
    }


def _figures(total: int, fraudulent: int, alerts: int, caught: int) -> dict[str, Any]:
    return {
        "total": total,
        "fraudulent": fraudulent,
        "alerted": alerts,
        "caught": caught,
        "precision": _ratio(caught, alerts),
        "recall": _ratio(caught, fraudulent),
    }


def _ratio(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def render(report: dict[str, Any]) -> str:
    """The report as lines of text."""
    lines = []
    for kind, name in (("transactions", "by transaction"), ("cases", "by case (card and day)")):
        figures = report[kind]
        lines.append(
            f"{name}: precision {_show(figures['precision'])}, recall {_show(figures['recall'])} "
            f"({figures['caught']:,} of {figures['fraudulent']:,} frauds caught, {figures['alerted']:,} alerted, "
            f"{figures['total']:,} in all)"
        )
    for name, figures in report["scenarios"].items():
        lines.append(
            f"  scenario {name}: recall {_show(figures['recall'])} by transaction ({figures['caught']:,} of "
            f"{figures['fraudulent']:,}), {_show(figures['case_recall'])} by case ({figures['cases_caught']:,} of "
            f"{figures['cases']:,})"
        )
    lines.append(f"alerts about other transactions: {report['other_alerts']:,}")
    return "\n".join(lines)


def _show(ratio: float | None) -> str:
    return "none" if ratio is None else f"{ratio:.3f}"
