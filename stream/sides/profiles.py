"""Reading the profile topic: every partition's closed hours into `Merged`, from the topic's beginning on.

The topic is compacted and bounded: the record of an hour carries the key ``h<hour mod 48>.<part>``, and the owner of a
partition sums each day that is over into one record ``d<day mod 42>.<part>``. A worker that starts reads at most two
days of hours and six weeks of days from each partition. In the log a day stands behind its hours.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka.structs import TopicPartition

from stream.entities.buckets import HOURLY, Assembler, Bucket, BucketError, decode_bucket
from stream.entities.hours import DAY_HOURS
from stream.entities.merged import Merged
from stream.entities.partials import NEVER
from stream.entities.rings import RING_DAYS
from stream.groupless import stop
from stream.settings import Settings
from stream.sides.reading import Exclusive, consumer_of, persist

log = logging.getLogger("fraudstream.sides")
HOUR_SLOTS, DAY_SLOTS = 48, RING_DAYS


def key_of(bucket: Bucket, part: int) -> bytes:
    """Key of a part of a bucket; a later hour or day of the same slot replaces it."""
    if bucket.span == HOURLY:
        return b"h%d.%d" % (bucket.hour % HOUR_SLOTS, part)
    return b"d%d.%d" % (bucket.hour // DAY_HOURS % DAY_SLOTS, part)


@dataclass(slots=True)
class Told:
    """What the topic holds of one partition.

    Parameters
    ----------
    hour, day
        The last ones; `NEVER` for none.
    places
        First and last offset of each hour that no day sums yet.
    """

    hour: int = NEVER
    day: int = NEVER
    places: dict[int, tuple[int, int]] = field(default_factory=dict)
    assembler: Assembler = field(default_factory=Assembler)

    def note(self, offset: int, bucket: Bucket) -> None:
        """Take note of a record."""
        if bucket.span == HOURLY:
            first, _ = self.places.get(bucket.hour, (offset, offset))
            self.places[bucket.hour] = (min(first, offset), offset)
        else:
            self.summed(bucket.hour // DAY_HOURS)

    def summed(self, day: int) -> None:
        """Take note that a day is told as a whole."""
        self.day = max(self.day, day)
        self.places = {hour: place for hour, place in self.places.items() if hour // DAY_HOURS > self.day}

    def due(self) -> list[int]:
        """Days that are over and not summed yet."""
        over = (self.hour + 1) // DAY_HOURS
        return sorted({hour // DAY_HOURS for hour in self.places if self.day < hour // DAY_HOURS < over})


class ProfileReader:
    """Feeds `Merged` between two batches.

    Parameters
    ----------
    partitions
        Of the topic; as many as the source has.
    topic_hash
        Of the source topic's id; records about another topic are passed over.
    """

    def __init__(
        self, settings: Settings, partitions: int, topic_hash: int, merged: Merged, exclusive: Exclusive
    ) -> None:
        self._settings = settings
        self._topic = settings.topics.profiles
        self._partitions = partitions
        self._topic_hash = topic_hash
        self._merged = merged
        self._exclusive = exclusive
        self._ready = asyncio.Event()
        self._news = asyncio.Event()
        self.told: dict[int, Told] = {partition: Told() for partition in range(partitions)}

    async def run(self) -> None:
        """Read until cancelled."""
        await persist(f"reading {self._topic}", self._read)

    async def ready(self) -> None:
        """Return when everything is merged that the topic held at the start."""
        await self._ready.wait()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when the condition holds; it is asked again after each bucket."""
        while not condition():
            self._news.clear()
            await self._news.wait()

    async def _read(self) -> None:
        consumer = consumer_of(self._settings, "fraudstream-profiles")
        await consumer.start()
        try:
            tps = [TopicPartition(self._topic, partition) for partition in range(self._partitions)]
            consumer.assign(tps)
            ends = await consumer.end_offsets(tps)
            await consumer.seek_to_beginning(*tps)
            await self._catch_up(consumer, ends)
            self._ready.set()
            while True:
                for partition, bucket in self._buckets(await consumer.getmany(timeout_ms=500, max_records=256)):
                    await self._merge(partition, bucket)
        finally:
            await stop(consumer)

    async def _catch_up(self, consumer: Any, ends: dict[TopicPartition, int]) -> None:
        """Read what is there, days first: compaction may have left only some hours of a day that is told as a whole."""
        waiting: list[tuple[int, Bucket]] = []
        left = {tp for tp in ends if ends[tp] > 0}
        while left:
            for partition, bucket in self._buckets(await consumer.getmany(timeout_ms=200)):
                if bucket.span == HOURLY:
                    waiting.append((partition, bucket))
                else:
                    await self._merge(partition, bucket)
            left = {tp for tp in left if await consumer.position(tp) < ends[tp]}
        for partition, bucket in waiting:
            await self._merge(partition, bucket)

    async def _merge(self, partition: int, bucket: Bucket) -> None:
        await self._exclusive(self._merged.merge, partition, bucket)
        told = self.told[partition]
        told.hour = max(told.hour, bucket.hour + bucket.span - 1)
        self._news.set()

    def _buckets(self, fetched: dict[TopicPartition, Sequence[Any]]) -> list[tuple[int, Bucket]]:
        """The buckets that these records complete."""
        found = []
        for tp, records in fetched.items():
            told = self.told[tp.partition]
            for record in records:
                try:
                    part = decode_bucket(record.value or b"")
                except BucketError as error:
                    log.warning("%s[%d] offset %d is passed over: %s", tp.topic, tp.partition, record.offset, error)
                    continue
                if part.topic == self._topic_hash:
                    told.note(record.offset, part.bucket)
                    bucket = told.assembler.add(part)
                    if bucket is not None:
                        found.append((tp.partition, bucket))
        return found
