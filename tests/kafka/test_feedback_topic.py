"""Labels on a real broker: applied up to the topic's end before work begins, then followed, each once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from kafka import KafkaProducer

from stream.advance import Arena, new_arena
from stream.entities.hours import HOUR
from stream.entities.merged import Merged
from stream.monitor.metrics import Metrics
from stream.settings import load
from stream.sides.feedback import FeedbackReader
from stream.sinks.outbox import Outbox
from tests.kafka.worker_rig import read_topic

DAY = 24 * HOUR
NOW = 20_000 * DAY


def label(number: int, **fields: Any) -> bytes:
    base = {
        "transaction_id": f"t{number}",
        "card_id": "4111111111111111",
        "merchant_id": "m",
        "event_time": NOW - 9 * DAY,
    }
    base |= {"verdict": "fraud", "source": "analyst", "decided_at": NOW + HOUR}
    return json.dumps(base | fields).encode()


def write(kafka: str, topic: str, values: Sequence[bytes | None], partition: int = 1) -> None:
    producer = KafkaProducer(bootstrap_servers=kafka)
    for value in values:
        producer.send(topic, value, partition=partition, key=b"card")
    producer.flush()
    producer.close()


def arena_of(partition: int) -> Arena:
    arena = new_arena(capacity=1024)
    arena.open.partition, arena.watermark = partition, NOW
    return arena


def frauds(arena: Arena) -> list[tuple[int, int]]:
    """Merchant frauds by hour from now."""
    hours = [(bucket.hour - NOW // HOUR, int(bucket.counts[:, 4].sum())) for bucket in arena.open.rows() if len(bucket)]
    return [(hour, count) for hour, count in hours if count]


class Rig:
    """A reader of one topic with two partitions."""

    def __init__(self, kafka: str, topic: str, dead: str, arenas: dict[int, Arena]) -> None:
        names = {"feedback": topic, "dead_letters": dead}
        self.metrics, self.outbox = Metrics(), Outbox(kafka, 20.0)

        async def at_once(work: Callable[..., Any], *args: Any) -> Any:
            return work(*args)

        settings = load(None, {"kafka": {"bootstrap": kafka}, "topics": names})
        self.reader = FeedbackReader(settings, arenas.get, Merged(capacity=64), at_once, self.metrics, self.outbox)

    def count(self, outcome: str) -> float:
        return self.metrics.registry.get_sample_value("fraud_labels_total", {"outcome": outcome}) or 0.0

    async def until_applied(self, labels: int) -> None:
        for _ in range(1200):
            if self.count("applied") >= labels:
                return
            await asyncio.sleep(0.05)
        raise AssertionError("the labels were not followed")

    def run(self, partitions: list[int], course: Callable[[], Awaitable[None]] | None = None) -> None:
        async def whole() -> None:
            following = asyncio.create_task(self.reader.run())
            await asyncio.wait_for(self.reader.catch_up(partitions), 60)
            if course is not None:
                await asyncio.wait_for(course(), 60)
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await self.reader.close()
            await self.outbox.close()

        asyncio.run(whole())


def test_labels_are_applied_once_and_what_is_none_becomes_a_dead_letter(
    kafka: str, new_topic: Callable[..., str]
) -> None:
    topic, dead = new_topic("feedback", partitions=2), new_topic("dead", partitions=2)
    genuine = label(1, verdict="genuine", source="chargeback", decided_at=NOW + 3 * HOUR)
    broken = b'{"transaction_id": "t", "note": "4111111111111111"'
    write(kafka, topic, [label(1), label(2), label(1), broken, None, genuine, label(3, event_time=NOW + DAY)])
    arenas = {1: arena_of(1)}
    rig = Rig(kafka, topic, dead, arenas)
    rig.run([1])
    assert arenas[1].side_offset == arenas[1].open.side == 7
    assert frauds(arenas[1]) == [(1, 2), (3, -1), (8 * 24, 1)]
    outcomes = ("applied", "double", "contradicting", "unreadable", "early", "late")
    assert [rig.count(outcome) for outcome in outcomes] == [3, 1, 1, 2, 1, 0]
    letters = [json.loads(record.value) for record in read_topic(kafka, dead)]
    assert [(letter["stage"], letter["partition"], letter["offset"]) for letter in letters] == [
        ("feedback", 1, 3),
        ("feedback", 1, 4),
    ]
    assert "4111111111111111" not in letters[0]["payload"]


def test_a_checkpoint_goes_on_where_it_stood_and_new_labels_are_followed(
    kafka: str, new_topic: Callable[..., str]
) -> None:
    topic, dead = new_topic("feedback", partitions=2), new_topic("dead", partitions=2)
    write(kafka, topic, [label(1), label(2)])
    before = arena_of(1)
    Rig(kafka, topic, dead, {1: before}).run([1])
    after = arena_of(1)
    after.open.load(before.open.dump())
    after.side_offset = before.side_offset
    arenas = {1: after}
    rig = Rig(kafka, topic, dead, arenas)

    async def course() -> None:
        await asyncio.to_thread(write, kafka, topic, [label(3), label(4, decided_at=NOW - 30 * HOUR)])
        await rig.until_applied(2)
        rig.reader.release([1])
        await asyncio.to_thread(write, kafka, topic, [label(5)])
        arenas[0] = arena_of(0)
        await rig.reader.catch_up([0])

    rig.run([1], course)
    assert frauds(after) == [(-1, 1), (1, 3)] and after.side_offset == 4, "late ones count in the first open hour"
    assert rig.count("late") == 1 and frauds(arenas[0]) == []


def test_a_topic_made_anew_is_read_from_its_beginning(kafka: str, new_topic: Callable[..., str]) -> None:
    topic, dead = new_topic("feedback", partitions=2), new_topic("dead", partitions=2)
    write(kafka, topic, [label(1), label(2)])
    arena = arena_of(1)
    arena.side_offset = arena.open.side = 4711
    rig = Rig(kafka, topic, dead, {1: arena})
    rig.run([1])
    assert arena.side_offset == 2 and frauds(arena) == [(1, 2)]
