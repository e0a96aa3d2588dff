"""Starts workers, feeds them, and checks the logs with a client that shares nothing with them (kafka-python)."""

from __future__ import annotations

import json
import os
import queue
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition

from stream.advance import new_arena
from stream.broker.topics import ensure_topics, product_topics
from stream.events import TP
from stream.pipeline import Chunk, Pipeline
from stream.settings import Settings, TopicSettings, load
from stream.sinks.chain import verify
from tests.kafka.worker_process import HistoryPanel

ROOT = Path(__file__).resolve().parents[2]
KEY = "0123456789abcdef0123456789abcdef"
SESSION_S = 3.0
SIDES = ("profiles", "feedback", "events", "checkpoints")


def transactions(n: int, seed: int, poison_every: int = 0) -> list[tuple[bytes, bytes]]:
    """Keys and JSON values in event-time order; one in `poison_every` is broken."""
    rng = random.Random(seed)
    start = int(time.time() * 1000) - n * 1000 - 3_600_000
    rows = []
    for i in range(n):
        card = f"4000{rng.randrange(60):012d}"
        body = {
            "transaction_id": f"{seed}-{i}",
            "event_time": start + i * 1000,
            "card_id": card,
            "merchant_id": f"m{rng.randrange(200)}",
            "amount": round(rng.lognormvariate(3.5, 1.0), 2),
            "currency": "EUR",
        }
        value = json.dumps(body).encode()
        rows.append((card.encode(), value[:-9] if poison_every and i % poison_every == 7 else value))
    return rows


@dataclass
class Topics:
    """Three topics of one test, and the group that reads them."""

    bootstrap: str
    transactions: str
    alerts: str
    dead_letters: str
    partitions: int
    group: str = field(default="")
    sides: dict[str, str] = field(default_factory=dict)  # topics beside these: profiles, feedback, events, checkpoints

    def __post_init__(self) -> None:
        self.group = self.group or f"g-{self.transactions}"

    def environment(self, **settings: str) -> dict[str, str]:
        given = {
            "KAFKA__SESSION_TIMEOUT_S": str(SESSION_S),
            "KAFKA__REBALANCE_TIMEOUT_S": "6",
            "TOPICS__TRANSACTIONS": self.transactions,
            "TOPICS__ALERTS": self.alerts,
            "TOPICS__DEAD_LETTERS": self.dead_letters,
            "SECURITY__TOKEN_KEY": KEY,
            **{f"TOPICS__{name.upper()}": self.sides.get(name, "") for name in SIDES},
            **settings,
        }
        return {**os.environ, **{f"FRAUDSTREAM_{name}": value for name, value in given.items()}}

    def settings(self) -> Settings:
        overrides: dict[str, Any] = {
            "kafka": {"bootstrap": self.bootstrap, "group": self.group},
            "topics": {"transactions": self.transactions, **{name: self.sides.get(name, "") for name in SIDES}},
            "security": {"token_key": KEY},
        }
        return load(None, overrides)

    def produce(self, rows: list[tuple[bytes, bytes]], pause_every: int = 0, pause_s: float = 0.0) -> None:
        producer = KafkaProducer(bootstrap_servers=self.bootstrap, linger_ms=5)
        for i, (key, value) in enumerate(rows):
            producer.send(self.transactions, value, key=key)
            if pause_every and i % pause_every == pause_every - 1:
                producer.flush()
                time.sleep(pause_s)
        producer.flush()
        producer.close()


def topics_for(kafka: str, new_topic: Callable[..., str], partitions: int = 4, **config: dict[str, str]) -> Topics:
    """Make the three topics of a test; `config` may name ``alerts`` or ``dead`` with topic settings."""
    names = [new_topic(stem, partitions=partitions, config=config.get(stem)) for stem in ("tx", "alerts", "dead")]
    return Topics(kafka, *names, partitions)


def with_checkpoints(topics: Topics) -> Topics:
    """Give a test's topics one for checkpoints, as the product makes it."""
    name = topics.sides["checkpoints"] = f"{topics.transactions}.checkpoints"
    specs = product_topics(topics.partitions, TopicSettings(checkpoints=name))
    ensure_topics(topics.bootstrap, {name: specs[name]})
    return topics


class WorkerProcess:
    """A worker and what it printed; `command` is the module that runs it, and its subcommand."""

    def __init__(
        self,
        topics: Topics,
        *options: str,
        command: Sequence[str] = ("tests.kafka.worker_process",),
        **settings: str,
    ) -> None:
        said = ["--metrics-port", "0", "--bootstrap", topics.bootstrap, "--group", topics.group, *options]
        self.process = subprocess.Popen(
            [sys.executable, "-m", *command, *said],
            cwd=ROOT,
            env=topics.environment(**settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._ready: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if line.startswith("ready "):
                self._ready.put(line)

    def wait_ready(self, partitions: int | None = None, timeout: float = 150.0) -> dict[str, str]:
        """Wait for a ready line, of that many partitions if told; return its words."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                words = dict(word.split("=", 1) for word in self._ready.get(timeout=0.2).split()[1:])
            except queue.Empty:
                assert self.process.poll() is None, self.output()
                continue
            if partitions is None or int(words["partitions"]) == partitions:
                return words
        raise AssertionError(f"not ready in {timeout} s:\n{self.output()}")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def terminate(self, timeout: float = 20.0) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.wait(timeout)

    def wait(self, timeout: float) -> int:
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"did not stop in {timeout} s:\n{self.output()}") from None
        self._reader.join(5)
        return code

    def output(self) -> str:
        return "\n".join(self.lines)


def committed(topics: Topics) -> dict[int, int]:
    """The group's offsets by partition."""
    admin = KafkaAdminClient(bootstrap_servers=topics.bootstrap)
    try:
        found = admin.list_group_offsets(topics.group)[topics.group]
        return {tp.partition: meta.offset for tp, meta in found.items() if tp.topic == topics.transactions}
    finally:
        admin.close()


def ends(topics: Topics) -> dict[int, int]:
    """Where each partition of the transactions ends."""
    consumer = KafkaConsumer(bootstrap_servers=topics.bootstrap)
    found = consumer.end_offsets([TopicPartition(topics.transactions, p) for p in range(topics.partitions)])
    consumer.close()
    return {tp.partition: offset for tp, offset in found.items()}


def wait_until(condition: Callable[[], bool], timeout: float = 30.0) -> None:
    """Wait for something that a worker does by itself."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def read_topic(bootstrap: str, topic: str) -> list[Any]:
    """Every committed record, by partition and offset."""
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap,
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
    )
    tps = [TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic)]
    consumer.assign(tps)
    ends = consumer.end_offsets(tps)
    records: list[Any] = []
    while any(consumer.position(tp) < ends[tp] for tp in tps):
        for batch in consumer.poll(500).values():
            records += batch
    consumer.close()
    return sorted(records, key=lambda record: (record.partition, record.offset))


@dataclass
class Verdict:
    """What the logs hold against what they should hold, as sets of (partition, offset) of the source."""

    lost: set[tuple[int, int]]
    extra: set[tuple[int, int]]
    repeats: int
    alerts: int
    dead_lost: set[tuple[int, int]]
    dead_extra: set[tuple[int, int]]
    dead_repeats: int
    dead: int
    chain_problem: str
    epochs: dict[int, int]

    def clean(self) -> bool:
        return (
            not (self.lost or self.extra or self.repeats or self.dead_lost or self.dead_extra or self.dead_repeats)
            and not self.chain_problem
        )


def check(topics: Topics, read: Callable[[str, str], list[Any]] = read_topic) -> Verdict:
    """Recompute alerts and dead letters from the input, uninterrupted and in one process, and compare."""
    sources = read(topics.bootstrap, topics.transactions)
    alerts, dead = expectation(topics.settings(), topics.transactions, sources)
    told = read(topics.bootstrap, topics.alerts)
    bodies = [json.loads(record.value) for record in told]
    found = Counter((body["source"]["partition"], body["source"]["offset"]) for body in bodies)
    assert all(record.partition == body["source"]["partition"] for record, body in zip(told, bodies, strict=True))
    letters = [json.loads(record.value) for record in read(topics.bootstrap, topics.dead_letters)]
    found_dead = Counter((letter["partition"], letter["offset"]) for letter in letters)
    report = verify((record.partition, record.offset, record.value) for record in told)
    epochs: dict[int, int] = defaultdict(int)
    for body in bodies:
        epochs[body["source"]["partition"]] = max(epochs[body["source"]["partition"]], body["epoch"])
    return Verdict(
        lost=alerts - found.keys(),
        extra=found.keys() - alerts,
        repeats=sum(found.values()) - len(found) + len(bodies) - len({body["alert_id"] for body in bodies}),
        alerts=len(told),
        dead_lost=dead - found_dead.keys(),
        dead_extra=found_dead.keys() - dead,
        dead_repeats=sum(found_dead.values()) - len(found_dead),
        dead=len(letters),
        chain_problem="" if report.ok else report.first_problem,
        epochs=dict(epochs),
    )


def expectation(
    settings: Settings, topic: str, sources: list[Any]
) -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
    """Source positions that must have an alert, and those that must have a dead letter."""
    pipeline = Pipeline(settings, HistoryPanel(), "expectation")
    alerts: set[tuple[int, int]] = set()
    dead: set[tuple[int, int]] = set()
    for partition in sorted({record.partition for record in sources}):
        tp = TP(topic, partition)
        pipeline.open(tp, new_arena())
        records = [record for record in sources if record.partition == partition]
        for start in range(0, len(records), 500):
            for outcome in pipeline.complete(pipeline.prepare([Chunk(tp, records[start : start + 500])])):
                alerts |= {(partition, alert.source.offset) for alert in outcome.alerts}
                dead |= {(partition, letter.offset) for letter in outcome.dead}
    return alerts, dead
