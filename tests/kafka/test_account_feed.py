"""Account events on a real broker: read through before work begins, kept up with, and told where they are none."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable

import numpy as np
import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from stream.codec.hashing import hash_text
from stream.codec.tokens import Tokens
from stream.entities.takeover import Takeover
from stream.errors import SettingError
from stream.monitor.metrics import Metrics
from stream.settings import load
from stream.sides.events import AccountFeed, check_events
from stream.sinks.outbox import Outbox

NOW = int(time.time() * 1000)
HOUR = 3_600_000


def event(number: int, **changes: object) -> bytes:
    plain = {
        "event_id": f"e{number}",
        "customer_id": f"C{number % 5}",
        "type": "login",
        "event_time": NOW - number * HOUR,
    }
    return json.dumps(plain | changes).encode()


def write(kafka: str, topic: str, values: list[bytes], partition: int) -> None:
    producer = KafkaProducer(bootstrap_servers=kafka)
    for value in values:
        producer.send(topic, value, partition=partition)
    producer.flush()
    producer.close()


def letters(kafka: str, topic: str) -> list[tuple[int, dict[str, object]]]:
    consumer = KafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False)
    tps = [TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic) or ()]
    consumer.assign(tps)
    consumer.seek_to_beginning(*tps)
    ends, found = consumer.end_offsets(tps), []
    while any(consumer.position(tp) < ends[tp] for tp in tps):
        for tp, records in consumer.poll(500).items():
            found += [(tp.partition, json.loads(record.value)) for record in records]
    consumer.close()
    return found


class Rig:
    """A feed with everything around it, as a worker that holds some partitions."""

    def __init__(self, kafka: str, topics: dict[str, str], held: set[int], group: str) -> None:
        self.takeover, self.metrics = Takeover(keys=256, events=4096), Metrics()
        self.outbox = Outbox(kafka, 20.0)

        async def exclusive(work: Callable[..., object], *args: object) -> object:
            return work(*args)

        self.feed = AccountFeed(
            load(None, {"kafka": {"bootstrap": kafka, "group": group}, "topics": topics}),
            self.takeover,
            Tokens(b"0123456789abcdef"),
            exclusive=exclusive,
            send=self.outbox.send,
            held=lambda: frozenset(held),
            partitions=2,
            metrics=self.metrics,
        )

    def count(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def run(self, course: Callable[[], object]) -> None:
        async def whole() -> None:
            await self.outbox.start()
            try:
                await asyncio.wait_for(self.feed.ready(), 60)
                await course()
            finally:
                await self.feed.close()
                await self.outbox.close()

        asyncio.run(whole())


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.05)


@pytest.fixture
def topics(new_topic: Callable[..., str]) -> dict[str, str]:
    appended = {"message.timestamp.type": "LogAppendTime"}
    return {
        "events": new_topic("events", partitions=3, config=appended),
        "dead_letters": new_topic("dead", partitions=2),
    }


def test_everything_is_known_before_work_begins_and_what_follows_soon_after(kafka: str, topics: dict[str, str]) -> None:
    for partition in range(3):
        write(kafka, topics["events"], [event(n) for n in range(partition, 60, 3)], partition)
    rig = Rig(kafka, topics, {0, 1}, topics["events"])

    async def course() -> None:
        assert (rig.takeover.rows, rig.takeover.events) == (5, 60)
        await asyncio.to_thread(write, kafka, topics["events"], [event(7), event(60)], 1)
        await until(lambda: rig.takeover.events == 61)
        await until(lambda: rig.count("fraud_account_events_lag_messages") == 0)
        key = np.array([hash_text("C0")], np.uint64)
        row = rig.takeover.look(key, np.zeros(1, np.uint64), np.array([NOW + HOUR]))
        assert row[0, 0] == HOUR

    rig.run(course)
    assert rig.count("fraud_account_events_total", outcome="known") == 1
    assert rig.count("fraud_account_events_total", outcome="taken") == 61


def test_what_is_no_event_is_told_once_by_the_worker_that_holds_its_partition(
    kafka: str, topics: dict[str, str]
) -> None:
    bad = [b"\xff", event(1, event_time=NOW + 30 * HOUR), event(2, type="logout"), event(3)]
    for partition in range(3):
        write(kafka, topics["events"], bad, partition)

    def told(held: set[int], enough: int) -> Rig:
        rig = Rig(kafka, topics, held, topics["events"])

        async def course() -> None:
            await until(lambda: rig.count("fraud_dead_letters_total", stage="events") >= enough)
            await asyncio.sleep(2.5 if not enough else 1.2)  # beyond a round of telling: nothing more may come

        rig.run(course)
        return rig

    rig = told({0}, 4)  # partitions 0 and 2
    assert rig.takeover.events == 1
    assert rig.count("fraud_account_events_total", outcome="ahead") == 3
    assert rig.count("fraud_account_events_total", outcome="ignored") == 3
    told({0}, 0)
    told({0, 1}, 2)
    found = letters(kafka, topics["dead_letters"])
    assert sorted((place, said["partition"], said["offset"]) for place, said in found) == [
        (0, 0, 0), (0, 0, 1), (0, 2, 0), (0, 2, 1), (1, 1, 0), (1, 1, 1),
    ]  # fmt: skip
    assert {said["stage"] for _, said in found} == {"events"} and {said["topic"] for _, said in found} == {
        topics["events"]
    }


def test_a_topic_that_does_not_exist_keeps_nobody_from_working(
    kafka: str, topics: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    async def course() -> None:
        await asyncio.sleep(0)

    rig = Rig(kafka, topics | {"events": "no.such.events"}, {0}, "nobody")
    rig.run(course)
    assert "'no.such.events' does not exist" in caplog.text
    assert rig.takeover.events == 0
    consumer = KafkaConsumer(bootstrap_servers=kafka)
    assert "no.such.events" not in consumer.topics()
    consumer.close()
    Rig(kafka, topics | {"events": ""}, {0}, "nobody").run(course)


def test_the_topic_may_have_no_other_purpose() -> None:
    with pytest.raises(SettingError, match=r"topics\.events 'fraud\.feedback'"):
        check_events(load(None, {"topics": {"events": "fraud.feedback"}}))
