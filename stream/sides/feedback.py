"""Reading the feedback topic: labels of the partitions held here, into their state between two batches.

Each partition's arena holds the offset of the first label that it does not know; a checkpoint holds it with the state.
Before a partition goes live, everything that the topic holds for it is applied: labels that are ahead of the
transactions wait in the hour in which they become visible. So the result depends on the speed of the two topics only
for a label that is read more than five minutes of event time after it became visible.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from aiokafka.structs import TopicPartition

from stream.advance import LABELS, Arena
from stream.codec.codec import dead_letter
from stream.entities.labels import Label, Message, apply_labels, decode_label
from stream.entities.merged import Merged
from stream.errors import DecodeError
from stream.events import TP, DeadLetter
from stream.groupless import stop
from stream.monitor.metrics import Metrics
from stream.profile import load_profile
from stream.settings import Settings
from stream.sides.reading import Exclusive, consumer_of, log, persist
from stream.sinks.dead_letters import DeadLetterLog
from stream.sinks.outbox import Outbox, PublishError

RECORDS = 1024


def apply(arena: Arena, merged: Merged, labels: Sequence[Label], upto: int) -> Counter[str]:
    """Weigh labels of a partition and count what changed; runs between two batches.

    Parameters
    ----------
    labels
        In the order of their log; those below the arena's offset are known already.
    upto
        Offset after the last record read.

    Returns
    -------
    Counter
        How many had which outcome, see `labels.Applied`; ``late`` ones came after their hour was closed.
    """
    partials, clock = arena.open, arena.watermark
    for bucket in partials.close(clock):  # hours that the clock has left behind know nothing of these labels
        merged.merge(partials.partition, bucket)
    new = [label for label in labels if label.offset >= arena.side_offset]
    applied = apply_labels(arena.tables[LABELS], new, clock, lambda offset: merged.floor(partials.partition, offset))
    applied.outcomes["late"] += partials.add_labels(applied.deltas, clock)
    arena.side_offset = partials.side = max(arena.side_offset, upto)
    return applied.outcomes


def restart(arena: Arena) -> None:
    """Read a partition's feedback from its beginning: labels known already change nothing."""
    arena.side_offset = arena.open.side = 0


class FeedbackReader:
    """Follows the feedback of the partitions held.

    Parameters
    ----------
    arena
        Gives the state of a partition, None when it is not held.
    outbox
        Where messages that are no labels go, as dead letters of the stage ``feedback``.
    """

    def __init__(
        self,
        settings: Settings,
        arena: Callable[[int], Arena | None],
        merged: Merged,
        exclusive: Exclusive,
        metrics: Metrics,
        outbox: Outbox,
    ) -> None:
        self._settings = settings
        self._topic = settings.topics.feedback
        self._read = load_profile(settings.engine.profile).roles.reader(Message)
        self._arena = arena
        self._merged = merged
        self._exclusive = exclusive
        self._metrics = metrics
        self._outbox = outbox
        self._letters = DeadLetterLog(settings.topics.dead_letters, f"feedback/{self._topic}")
        self._held: set[int] = set()
        self._changed = True
        self._reading = asyncio.Lock()
        self._consumer: Any = None

    async def run(self) -> None:
        """Follow until cancelled."""
        await persist(f"reading {self._topic}", self._follow)

    async def catch_up(self, partitions: Sequence[int]) -> None:
        """Apply everything that the topic holds for these partitions, and follow them from now on."""
        self._held.update(partitions)
        self._changed = True
        async with self._reading:
            consumer = await self._started()
            tps = [TopicPartition(self._topic, partition) for partition in partitions]
            ends = await consumer.end_offsets(tps)
            for tp in tps:
                if self._next(tp.partition) > ends[tp]:
                    log.warning("%s[%d] was made anew: its labels are read from the beginning", *tp)
                    await self._exclusive(restart, self._arena(tp.partition))
            while any(ends[tp] > self._next(tp.partition) for tp in tps if self._follows(tp.partition)):
                await self._step(consumer)

    def release(self, partitions: Sequence[int]) -> None:
        """Follow these partitions no longer."""
        self._held.difference_update(partitions)
        self._changed = True

    async def close(self) -> None:
        """Close the consumer."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await stop(consumer)

    def _follows(self, partition: int) -> bool:
        return partition in self._held and self._arena(partition) is not None

    def _next(self, partition: int) -> int:
        arena = self._arena(partition)
        return 0 if arena is None else arena.side_offset

    async def _started(self) -> Any:
        if self._consumer is None:
            consumer = consumer_of(self._settings, "fraudstream-feedback")
            await consumer.start()
            self._consumer, self._changed = consumer, True
        return self._consumer

    async def _follow(self) -> None:
        while True:
            if self._held:
                async with self._reading:
                    await self._step(await self._started())
            await asyncio.sleep(0.05)

    async def _step(self, consumer: Any) -> None:
        """Fetch once and apply."""
        if self._changed:
            self._changed = False
            tps = [TopicPartition(self._topic, partition) for partition in sorted(self._held)]
            consumer.assign(tps)
            for tp in tps:
                consumer.seek(tp, self._next(tp.partition))
        fetched = await consumer.getmany(timeout_ms=200, max_records=RECORDS)
        for tp, records in fetched.items():
            await self._take(tp.partition, records)
        for tp in consumer.assignment() - fetched.keys():  # past what is no record, such as an expired beginning
            await self._pass(tp.partition, await consumer.position(tp))

    async def _take(self, partition: int, records: Sequence[Any]) -> None:
        labels, dead = list[Label](), list[DeadLetter]()
        arena = self._arena(partition)
        if arena is None:
            return
        for record in records:
            try:
                labels.append(decode_label(record.value, record.offset, arena.open.kinds, self._read))
            except DecodeError as error:
                dead.append(dead_letter(record, TP(self._topic, partition), error.stage, str(error)))
        if dead:
            await self._bury(partition, dead)
        outcomes = await self._exclusive(apply, arena, self._merged, labels, records[-1].offset + 1)
        for outcome, count in outcomes.items():
            self._metrics.labels.labels(outcome).inc(count)

    async def _pass(self, partition: int, position: int) -> None:
        arena = self._arena(partition)
        if arena is not None and position > arena.side_offset:
            await self._exclusive(apply, arena, self._merged, [], position)

    async def _bury(self, partition: int, dead: Sequence[DeadLetter]) -> None:
        """Make dead letters durable before the state passes them: after a crash one may be told again, none is lost."""
        while True:
            try:
                await self._outbox.start()
                await self._outbox.send(self._letters.topic, partition, self._letters.rows(dead))
                break
            except PublishError as error:
                log.warning("dead letters of %s wait to be told: %s", self._topic, error)
                await self._outbox.abandon()
                await asyncio.sleep(1.0)
        self._metrics.labels.labels("unreadable").inc(len(dead))
        self._metrics.dead_letters.labels("feedback").inc(len(dead))
