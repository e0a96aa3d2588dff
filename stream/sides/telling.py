"""Writing the profile topic: the closed hours of the partitions held here, and the days that are over.

A closed hour stays in its partition's `Partials`, and so in the checkpoint, until it is durable here. After a crash the
replay closes the same hours again with equal content; those that the topic holds are not told twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from aiokafka.structs import TopicPartition

from stream.entities.buckets import HOURLY, Assembler, Bucket, BucketError, decode_bucket, encode_bucket
from stream.entities.hours import DAY_HOURS
from stream.entities.partials import Partials
from stream.groupless import stop
from stream.settings import Settings
from stream.sides.profiles import ProfileReader, Told, key_of
from stream.sides.reading import Exclusive, consumer_of
from stream.sinks.outbox import Outbox, PublishError, Row

log = logging.getLogger("fraudstream.sides")
PAUSE_S = 0.2
RETRY_S = 1.0


class ProfileWriter:
    """Tells what the partitions held here have closed.

    Parameters
    ----------
    opened
        Gives the open hours of the partitions held now.
    outbox
        A producer of its own, so that alerts never wait behind profiles.
    """

    def __init__(
        self,
        settings: Settings,
        topic_hash: int,
        reader: ProfileReader,
        opened: Callable[[], Iterable[Partials]],
        exclusive: Exclusive,
        outbox: Outbox,
    ) -> None:
        self._settings = settings
        self._topic = settings.topics.profiles
        self._topic_hash = topic_hash
        self._reader = reader
        self._opened = opened
        self._exclusive = exclusive
        self._outbox = outbox

    async def run(self) -> None:
        """Tell until cancelled; what the broker refuses is tried again, nothing is forgotten."""
        await self._reader.ready()
        while True:
            try:
                await self._outbox.start()
                await self.tell()
                await asyncio.sleep(PAUSE_S)
            except PublishError as error:
                log.warning("profiles wait to be told: %s", error)
                await self._outbox.abandon()
                await asyncio.sleep(RETRY_S)

    async def tell(self) -> None:
        """Tell what is closed and not durable yet, then the days that are over.

        Raises
        ------
        PublishError
            The broker did not take something; it stays to be told.
        """
        for partials in list(self._opened()):
            told = self._reader.told.get(partials.partition)
            if told is None:
                continue
            if partials.unsent:
                buckets: list[Bucket] = await self._exclusive(_unsent, partials)
                for bucket in buckets:
                    if bucket.hour > told.hour:
                        await self._send(partials.partition, bucket)
                await self._exclusive(partials.ack, [bucket.hour for bucket in buckets])
            if told.due():
                for bucket in await self._days(partials.partition, told):
                    await self._send(partials.partition, bucket)
                    told.summed(bucket.hour // DAY_HOURS)

    async def _send(self, partition: int, bucket: Bucket) -> None:
        parts = await asyncio.to_thread(encode_bucket, bucket, self._topic_hash)
        rows = [Row(value, key_of(bucket, part)) for part, value in enumerate(parts)]
        await self._outbox.send(self._topic, partition, rows)

    async def _days(self, partition: int, told: Told) -> list[Bucket]:
        """Sum the hours of each day that is due, as they stand in the log: what is told is what counts."""
        due = told.due()
        places = [told.places[hour] for hour in told.places if hour // DAY_HOURS in due]
        first, last = min(place[0] for place in places), max(place[1] for place in places)
        hours: dict[int, Bucket] = {}
        consumer = consumer_of(self._settings, "fraudstream-profile-days")
        await consumer.start()
        try:
            tp = TopicPartition(self._topic, partition)
            consumer.assign([tp])
            consumer.seek(tp, first)
            assembler = Assembler()
            while await consumer.position(tp) <= last:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    _collect(records, self._topic_hash, assembler, hours)
        finally:
            await stop(consumer)
        return [_sum(day, [hours[hour] for hour in sorted(hours) if hour // DAY_HOURS == day]) for day in due]


def _unsent(partials: Partials) -> list[Bucket]:
    return list(partials.unsent.values())


def _collect(records: Sequence[Any], topic_hash: int, assembler: Assembler, hours: dict[int, Bucket]) -> None:
    """Add the hours that these records complete; of one told twice the first stands."""
    for record in records:
        try:
            part = decode_bucket(record.value or b"")
        except BucketError:
            continue  # the reader said so already
        whole = assembler.add(part) if part.topic == topic_hash and part.bucket.span == HOURLY else None
        if whole is not None:
            hours.setdefault(whole.hour, whole)


def _sum(day: int, hours: Sequence[Bucket]) -> Bucket:
    """The hours of a day as one bucket."""
    kinds = np.concatenate([hour.kinds for hour in hours])
    keys = np.concatenate([hour.keys for hour in hours])
    counts = np.concatenate([hour.counts for hour in hours])
    return Bucket(day * DAY_HOURS, kinds, keys, counts, hours[-1].side, DAY_HOURS).ordered()
