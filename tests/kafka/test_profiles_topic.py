"""The profile topic on a real broker: what is told once is read by all, days stand for hours, nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from kafka import KafkaProducer

from stream.entities.buckets import DAILY, Bucket, decode_bucket, encode_bucket
from stream.entities.hours import DAY_HOURS, HOUR
from stream.entities.merged import Merged
from stream.entities.partials import NEVER, Partials
from stream.settings import load
from stream.sides.profiles import ProfileReader, key_of
from stream.sides.telling import ProfileWriter
from stream.sinks.outbox import Outbox
from tests.kafka.worker_rig import read_topic

FIRST = 20_000 * DAY_HOURS  # midnight of some day
SOURCE = 77
KEYS = np.arange(1, 4, dtype=np.uint64)


def worked(partition: int, hours: int, first: int = FIRST) -> Partials:
    """A partition whose hours are closed and untold: one attempt more at each merchant in each hour."""
    partials = Partials()
    partials.partition = partition
    for hour in range(first, first + hours):
        for key in (1, 2, 3):
            partials.add_labels([(hour, 0, key, 0, 1 + hour % 5)], 0)
    partials.close((first + hours) * HOUR + 300_000)
    return partials


class Worker:
    """A reader and a writer of one topic with two partitions."""

    def __init__(self, kafka: str, topic: str, *held: Partials) -> None:
        self.merged = Merged(capacity=64)
        settings = load(None, {"kafka": {"bootstrap": kafka}, "topics": {"profiles": topic}})

        async def at_once(work: Callable[..., Any], *args: Any) -> Any:
            return work(*args)

        self.outbox = Outbox(kafka, 20.0)
        self.reader = ProfileReader(settings, 2, SOURCE, self.merged, at_once)
        self.writer = ProfileWriter(settings, SOURCE, self.reader, lambda: held, at_once, self.outbox)

    def run(self, course: Callable[[], Awaitable[None]]) -> None:
        async def whole() -> None:
            reading = asyncio.create_task(self.reader.run())
            await asyncio.wait_for(self.reader.ready(), 60)
            await self.outbox.start()
            await asyncio.wait_for(course(), 60)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            await self.outbox.close()

        asyncio.run(whole())

    def view(self, hour: int) -> list[list[float]]:
        return self.merged.look("merchant", KEYS, np.full(3, hour * HOUR + 600_000)).tolist()

    async def seen(self, partition: int, hour: int, day: int = NEVER) -> None:
        """Wait until the topic was read so far."""
        told = self.reader.told[partition]
        await self.reader.until(lambda: told.hour >= hour and told.day >= day)


@contextmanager
def writing(kafka: str, topic: str) -> Iterator[Callable[[bytes, bytes], None]]:
    producer = KafkaProducer(bootstrap_servers=kafka)
    yield lambda key, value: producer.send(topic, value, key=key, partition=0)
    producer.flush()
    producer.close()


async def nothing() -> None:
    pass


def test_what_one_worker_tells_every_other_knows(kafka: str, new_topic: Callable[..., str]) -> None:
    topic = new_topic("profiles", partitions=2)
    mine, theirs = worked(0, 60), worked(1, 50)
    one, other = Worker(kafka, topic, mine), Worker(kafka, topic, theirs)

    async def tell(worker: Worker, partials: Partials, last: int) -> None:
        await worker.writer.tell()
        assert partials.unsent == {}
        await worker.seen(partials.partition, last)
        await worker.writer.tell()
        await worker.seen(partials.partition, last, last // DAY_HOURS - 1)

    one.run(lambda: tell(one, mine, FIRST + 59))
    other.run(lambda: tell(other, theirs, FIRST + 49))
    fresh = Worker(kafka, topic)
    fresh.run(nothing)
    for hour in (FIRST + 3, FIRST + 30, FIRST + 50, FIRST + 75):
        assert np.array_equal(fresh.view(hour), other.view(hour), equal_nan=True)
    attempts = sum(1 + hour % 5 for hour in range(FIRST, FIRST + 2 * DAY_HOURS))
    assert [row[3] for row in other.view(FIRST + 50)] == [2 * attempts] * 3
    assert fresh.merged.version() == f"{FIRST + 59}:0.10"
    days = [record for record in read_topic(kafka, topic) if decode_bucket(record.value).bucket.span == DAILY]
    assert sorted((record.partition, record.key) for record in days) == sorted(
        (p, b"d%d.0" % ((FIRST // DAY_HOURS + day) % 42)) for p in (0, 1) for day in (0, 1)
    )


def test_after_a_crash_the_same_hours_are_not_told_twice_and_none_is_lost(
    kafka: str, new_topic: Callable[..., str]
) -> None:
    topic = new_topic("profiles", partitions=2)
    first = worked(0, 5)
    one = Worker(kafka, topic, first)
    one.run(one.writer.tell)
    again = worked(0, 9)  # the replay closes the five hours again, and four that were never told
    two = Worker(kafka, topic, again)
    two.run(two.writer.tell)
    told = [decode_bucket(record.value).bucket.hour - FIRST for record in read_topic(kafka, topic)]
    assert told == [-1, *range(9)] or told == list(range(9))
    assert again.unsent == {}


def test_days_alone_are_enough_and_what_is_no_profile_is_passed_over(kafka: str, new_topic: Callable[..., str]) -> None:
    topic = new_topic("profiles", partitions=2)
    counts = np.tile(np.array([[7, 0, 0, 0, 0]]), (3, 1))
    day = Bucket(FIRST, np.zeros(3, np.uint8), KEYS, counts, 0, DAILY)
    late = Bucket(FIRST + 20, np.zeros(3, np.uint8), KEYS, counts)  # what compaction left of the day
    with writing(kafka, topic) as write:
        write(b"h1", b"nonsense")
        write(key_of(late, 0), encode_bucket(late, SOURCE)[0])
        write(key_of(day, 0), encode_bucket(day, SOURCE)[0])
        write(b"h3.0", encode_bucket(Bucket(FIRST + 30, np.zeros(3, np.uint8), KEYS, counts), SOURCE + 1)[0])
    fresh = Worker(kafka, topic)
    fresh.run(nothing)
    assert fresh.view(FIRST + DAY_HOURS)[0][3] == 7 and fresh.merged.through(0) == FIRST + 23
