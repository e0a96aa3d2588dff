"""A real worker on a real Kafka among 20,000 hostile messages: they cost themselves alone, and tell no card number."""

from __future__ import annotations

import base64
import json
import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import msgspec
import numpy as np
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from stream.advance import new_arena
from stream.events import TP
from stream.features import FAMILIES
from stream.pipeline import Chunk, Pipeline
from tests.kafka.hostile import PANS, REQUIRED, hostile, huge
from tests.kafka.worker_process import HistoryPanel
from tests.kafka.worker_rig import Topics, WorkerProcess, committed, ends, read_topic, topics_for, wait_until
from training.data.simulator import Encoder, generate

HOSTILE = 20_000
PARTITIONS = 4
MEMORY_MB = 1500
GOOD, AGAIN, BAD = b"good", b"again", b"bad"
SHARED = {f.name for family in FAMILIES if family.entity in ("merchant", "terminal") for f in family.features}
Message = tuple[bytes, bytes | None, bytes | None]  # its mark, key and value


def honest() -> list[tuple[bytes, bytes]]:
    history = generate(bank_seed=1, seed=7, cards=200, days=20, prevalence_bp=200)
    encoder, every = Encoder(history), np.arange(len(history))
    return list(zip(encoder.keys(every), encoder.values(every), strict=True))


def mixed(rows: list[tuple[bytes, bytes]], bad: list[bytes | None], seed: int) -> list[Message]:
    """Both in their order; now and then an honest message comes again."""
    rng = random.Random(seed)
    marks = [GOOD] * len(rows) + [BAD] * len(bad)
    rng.shuffle(marks)
    good, worse = iter(rows), iter(bad)
    messages: list[Message] = []
    last: dict[bytes, bytes] = {}
    for mark in marks:
        if mark == BAD:
            messages.append((BAD, rng.choice((None, b"", b"evil", b"\xff\x00")), next(worse)))
            continue
        key, value = next(good)
        if key in last and rng.random() < 0.02:
            messages.append((AGAIN, key, last[key]))
        last[key] = value
        messages.append((GOOD, key, value))
    return messages


def produce(topics: Topics, messages: list[Message], seed: int) -> None:
    """Send runs of messages with every compression, some in transactions, between transactions that are aborted."""
    rng = random.Random(seed)
    plain = {"bootstrap.servers": topics.bootstrap, "linger.ms": 5, "message.max.bytes": 12 << 20}
    producers = [Producer({**plain, "compression.type": kind}) for kind in ("none", "gzip", "lz4", "snappy", "zstd")]
    dealt = Producer({**plain, "transactional.id": f"t-{topics.transactions}-{seed}"})
    dealt.init_transactions()

    def send(producer: Any, run: list[Message]) -> None:
        for mark, key, value in run:
            place = sum(key or b"") % PARTITIONS if mark != BAD else rng.randrange(PARTITIONS)
            headers = [("mark", mark), ("odd", rng.choice((None, b"", b"\xff" * 9)))]
            producer.produce(topics.transactions, value, key, place, headers=headers)
        assert producer.flush(30) == 0

    for start in range(0, len(messages), 500):
        run = messages[start : start + 500]
        if rng.random() < 0.2:
            dealt.begin_transaction()
            send(dealt, run)
            dealt.commit_transaction()
        else:
            send(rng.choice(producers), run)
        dealt.begin_transaction()
        send(dealt, [(GOOD, b"ghost", value) for _, _, value in run[:5]])
        dealt.abort_transaction()


@dataclass
class Read:
    """A record as an independent client (librdkafka, which knows every compression) reads it."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Any


def sources(topics: Topics) -> list[Read]:
    """Every committed record of the transactions, by partition and offset."""
    consumer = Consumer({
        "bootstrap.servers": topics.bootstrap, "group.id": "nobody", "enable.auto.commit": False,
        "auto.offset.reset": "earliest", "enable.partition.eof": True,
    })  # fmt: skip
    consumer.assign([TopicPartition(topics.transactions, partition, 0) for partition in range(PARTITIONS)])
    found: list[Read] = []
    ended: set[int] = set()
    while len(ended) < PARTITIONS:
        for message in consumer.consume(1000, 1.0):
            if message.error():
                assert message.error().code() == KafkaError._PARTITION_EOF
                ended.add(message.partition())
            else:
                place = message.partition(), message.offset(), message.timestamp()[1]
                found.append(Read(*place, message.key(), message.value(), message.headers()))
    consumer.close()
    return sorted(found, key=lambda record: (record.partition, record.offset))


def work(topics: Topics) -> tuple[dict[str, float], str]:
    """Run a worker until everything is committed; its counters, with its largest memory in MB, and its output."""
    worker = WorkerProcess(topics)
    words = worker.wait_ready(PARTITIONS)
    wait_until(lambda: committed(topics) == ends(topics), 120)
    with urlopen(words["metrics"] + "/metrics") as answer:  # noqa: S310 - the worker's own address
        lines = [line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if line[0] != "#"]
    figures: dict[str, float] = defaultdict(float)
    for name, value in lines:
        figures[name.split("{")[0]] += float(value)
    status = Path(f"/proc/{worker.process.pid}/status")
    if status.exists():
        figures["memory_mb"] = int(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1]) / 1024  # type: ignore[index]
    assert worker.terminate() == 0, worker.output()
    return figures, worker.output()


def alone(topics: Topics, records: list[Any]) -> dict[tuple[int, int], dict[str, Any]]:
    """What the honest messages lead to when nothing else is there."""
    pipeline = Pipeline(topics.settings(), HistoryPanel(), "alone")
    found: dict[tuple[int, int], dict[str, Any]] = {}
    for partition in range(PARTITIONS):
        tp = TP(topics.transactions, partition)
        pipeline.open(tp, new_arena())
        mine = [record for record in records if record.partition == partition]
        for outcome in pipeline.complete(pipeline.prepare([Chunk(tp, mine)])):
            assert not outcome.dead and not outcome.late
            for alert in outcome.alerts:
                found[partition, alert.source.offset] = decided(msgspec.to_builtins(alert))
    return found


def decided(alert: dict[str, Any]) -> dict[str, Any]:
    """An alert without what names the log and the moment, nor what all partitions' clocks and counts together tell."""
    changing = ("alert_id", "detected_at", "epoch", "sequence", "previous_hash", "hash", "profile_version")
    own = {name: value for name, value in alert["features"].items() if name not in SHARED}
    return {name: value for name, value in alert.items() if name not in changing} | {"features": own}


def texts(value: Any) -> Iterator[str]:
    """Every text and number in a JSON value."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from texts(inner)
    else:
        yield str(value)


def unfit(value: bytes | None) -> bool:
    """Plainly no transaction, as Python's own parser sees it; what an ignored field holds does not matter."""
    try:
        message = json.loads((value or b"").decode("utf-8", "replace"), parse_int=float)
    except (RecursionError, ValueError):
        return True
    return not isinstance(message, dict) or any(message.get(name) in (None, "") for name in REQUIRED)


def test_hostile_messages_cost_only_themselves(kafka: str, new_topic: Callable[..., str]) -> None:
    large = {"max.message.bytes": str(12 << 20)}
    topics = topics_for(kafka, new_topic, PARTITIONS, tx={**large, "message.timestamp.type": "LogAppendTime"})
    rows, bad = honest(), hostile(HOSTILE, seed=11)
    half = len(rows) // 2
    first = mixed(rows[:half], bad[: HOSTILE // 2], seed=1)
    produce(topics, first, seed=1)
    figures, said = work(topics)
    produce(topics, [(AGAIN, key, value) for key, value in rows[half - 30 : half]], seed=2)
    produce(topics, mixed(rows[half:], [*bad[HOSTILE // 2 :], *huge()], seed=3), seed=3)
    again, said_again = work(topics)

    records = sources(topics)
    marks = {(r.partition, r.offset): dict(r.headers)["mark"] for r in records}
    alerts = [json.loads(record.value) for record in read_topic(topics.bootstrap, topics.alerts)]
    letters = [json.loads(record.value) for record in read_topic(topics.bootstrap, topics.dead_letters)]
    told = {(a["source"]["partition"], a["source"]["offset"]): decided(a) for a in alerts}
    dead = {(letter["partition"], letter["offset"]): letter for letter in letters}

    assert len(told) == len(alerts) and len(dead) == len(letters) and not told.keys() & dead.keys()
    assert told.keys() | dead.keys() <= marks.keys()
    scored = figures["fraud_transactions_total"] + again["fraud_transactions_total"]
    assert scored + len(dead) == len(records) >= len(rows) + HOSTILE
    assert all(letter["stage"] and letter["error"] for letter in letters)
    assert {marks[place] for place in dead} == {BAD}
    assert {(r.partition, r.offset) for r in records if unfit(r.value)} <= dead.keys()
    assert len(rows) > 3000 and 3000 < len(dead) < HOSTILE - 3000

    good = [record for record in records if marks[record.partition, record.offset] == GOOD]
    assert len(good) == len(rows)
    wanted = alone(topics, good)
    assert {place: alert for place, alert in told.items() if marks[place] == GOOD} == wanted
    assert len(wanted) > 50 and AGAIN not in {marks[place] for place in told}

    numbers = {re.sub("[ -]", "", pan) for pan in PANS} | {key.decode() for key, _ in rows}
    for letter in letters:
        if letter["payload_encoding"] == "base64":
            letter["payload"] = base64.b64decode(letter["payload"]).decode("latin-1")
    for spoken in (said, said_again, *texts(alerts), *texts(letters)):
        digits = re.sub(r"[ \-\0]", "", spoken)
        assert not any(number in digits for number in numbers), spoken[:300]
    assert "Traceback" not in said + said_again
    assert max(figures["memory_mb"], again["memory_mb"]) < MEMORY_MB
