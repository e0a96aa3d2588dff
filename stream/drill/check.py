"""The checker: reads the topics with kafka-python and recomputes what they must hold from the input alone.

A drill decides by rules on each card's own history, so that what must be told is a function of the partition's log and
not of how far other partitions had come. The models run as ever; alerts that no rule asks for are only counted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import msgspec

from stream.advance import new_arena
from stream.demo.topic import read_all
from stream.errors import FraudstreamError
from stream.events import TP
from stream.judge import PanelLike
from stream.pipeline import Chunk, Pipeline
from stream.settings import Settings
from stream.sinks.chain import verify

BATCH = 500
Place = tuple[int, int]  # partition and offset in the source


@dataclass
class Expected:
    """What an uninterrupted run in this process tells."""

    alerts: set[Place] = field(default_factory=set)
    dead: set[Place] = field(default_factory=set)
    transactions: int = 0


def expect(settings: Settings, panel: PanelLike, source: dict[int, list[Any]], *, by_rules: bool) -> Expected:
    """Run the pure pipeline over the whole log, partition by partition; `by_rules` leaves out what no rule asks for."""
    pipeline, found = Pipeline(settings, panel, topic_id="drill"), Expected()
    for partition, records in source.items():
        tp = TP(settings.topics.transactions, partition)
        pipeline.open(tp, new_arena(pipeline.profile.program))
        for low in range(0, len(records), BATCH):
            chunk = Chunk(tp, records[low : low + BATCH])
            for outcome in pipeline.complete(pipeline.prepare([chunk])):
                found.alerts |= {(partition, a.source.offset) for a in outcome.alerts if a.rules or not by_rules}
                found.dead |= {(partition, letter.offset) for letter in outcome.dead}
                found.transactions += outcome.transactions
        pipeline.close(tp)
    return found


@dataclass
class Verdict:
    """What the topics hold against what they should hold.

    Attributes
    ----------
    lost, extra
        Places whose alert or dead letter is missing from, or should not be in, what a reader of the chain sees.
    repeats, dead_repeats
        Alerts and dead letters that stand there twice; superseded alerts, of which readers are told, are apart.
    """

    lost: set[Place]
    extra: set[Place]
    repeats: int
    superseded: int
    dead_repeats: int
    alerts: int
    by_score_alone: int
    dead: int
    chain_problem: str


def judge(bootstrap: str, settings: Settings, expected: Expected, *, by_rules: bool) -> Verdict:
    """Read alerts and dead letters and compare."""
    told = read_all(bootstrap, settings.topics.alerts)
    report = verify((partition, r.offset, r.value) for partition, records in told.items() for r in records)
    found: Counter[Place] = Counter()
    ids: Counter[str] = Counter()
    alone = 0
    for partition, records in told.items():
        for alert in surviving([msgspec.json.decode(record.value) for record in records]):
            if alert["source"]["partition"] != partition:
                raise FraudstreamError(f"an alert of partition {alert['source']['partition']} stands in {partition}")
            ids[alert["alert_id"]] += 1
            if alert["rules"] or not by_rules:
                found[partition, alert["source"]["offset"]] += 1
            else:
                alone += 1
    dead: Counter[Place] = Counter()
    for records in read_all(bootstrap, settings.topics.dead_letters).values():
        letters = [msgspec.json.decode(record.value) for record in records]
        dead.update((letter["partition"], letter["offset"]) for letter in letters)
    return Verdict(
        lost=(expected.alerts - found.keys()) | (expected.dead - dead.keys()),
        extra=(found.keys() - expected.alerts) | (dead.keys() - expected.dead),
        repeats=ids.total() - len(ids),
        superseded=report.superseded,
        dead_repeats=dead.total() - len(dead),
        alerts=ids.total(),
        by_score_alone=alone,
        dead=len(dead),
        chain_problem="" if report.ok else report.first_problem,
    )


def surviving(log: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The alerts of the chain that counts: walked back from the last alert of the newest epoch."""
    by_hash = {alert["hash"]: alert for alert in log}
    newest = max((alert["epoch"] for alert in log), default=0)
    at = next((alert for alert in reversed(log) if alert["epoch"] == newest), None)
    chain = []
    while at is not None:
        chain.append(at)
        at = by_hash.get(at["previous_hash"])
    return chain[::-1]
