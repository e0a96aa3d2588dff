"""The state of a partition as a worker would recover it, and as an uninterrupted run would have it: for checkers.

Neither needs a worker to run: one loads the checkpoint and replays the rest, the other replays everything. Both read
labels to the end of their log before transactions, as a worker does that takes a partition over.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from stream.advance import LABELS, Arena, new_arena
from stream.app.forget import LABELS_KEPT_MS
from stream.checkpoint import loader
from stream.checkpoint.marker import Marker
from stream.entities.labels import Label, Message, decode_label
from stream.errors import DecodeError, FraudstreamError
from stream.events import TP
from stream.groupless import stop
from stream.panels import RulesAlone
from stream.pipeline import DAY_MS, Pipeline
from stream.profile import load_profile
from stream.settings import Settings
from stream.sides.feedback import apply
from stream.state.compare import Comparison, compare

RECORDS = 4096


@dataclass(frozen=True, slots=True)
class Verdict:
    """One partition: where its checkpoint stood, how much was replayed on top, and what differs from a full replay.

    Attributes
    ----------
    offset, checkpoint
        Of the source: up to where it was compared, and where the checkpoint stood.
    side_offset, side_checkpoint
        The same of the labels.
    """

    partition: int
    offset: int
    checkpoint: int
    comparison: Comparison
    side_offset: int = 0
    side_checkpoint: int = 0


class Standing:
    """Recovers partitions as a worker does: labels first, up to the end of their log, then transactions.

    Parameters
    ----------
    settings
        Of the group whose state is wanted.
    consumer
        A started consumer without a group; its assignment is replaced.
    """

    def __init__(self, settings: Settings, consumer: AIOKafkaConsumer) -> None:
        self._settings, self._consumer = settings, consumer

    async def recovered(self, partition: int, until: int) -> tuple[Arena, Marker]:
        """State by checkpoint and replay; see `load_state`."""
        pipeline, topic = self._pipeline(), self._settings.topics.checkpoints
        arena = new_arena(pipeline.profile.program)
        found = (await loader.find(self._consumer, topic, [partition])).get(partition)
        if found is None or found.marker.offset > until:
            where = "none" if found is None else f"one at offset {found.marker.offset}"
            raise FraudstreamError(f"{topic}[{partition}] holds no checkpoint up to offset {until} (but {where})")
        await loader.load(self._consumer, topic, partition, found, arena)
        await self._replay(pipeline, arena, partition, until)
        return arena, found.marker

    async def replayed(self, partition: int, until: int) -> Arena:
        """State by replay of both logs from their beginnings."""
        pipeline = self._pipeline()
        arena = new_arena(pipeline.profile.program)
        await self._replay(pipeline, arena, partition, until)
        return arena

    def _pipeline(self) -> Pipeline:
        return Pipeline(self._settings, RulesAlone(load_profile(self._settings.engine.profile)), "standing")

    async def _replay(self, pipeline: Pipeline, arena: Arena, partition: int, until: int) -> None:
        """Go on in both logs from where the arena stands."""
        tp = TP(self._settings.topics.transactions, partition)
        pipeline.open(tp, arena)
        await self._labels(pipeline, arena, partition)
        async for records in self._records(tp.topic, partition, arena.next_offset, until):
            pipeline.replay(tp, records)
        arena.next_offset = until
        pipeline.close(tp)

    async def _labels(self, pipeline: Pipeline, arena: Arena, partition: int) -> None:
        topic = self._settings.topics.feedback
        if not topic or topic not in await self._consumer.topics():
            return
        tp = TopicPartition(topic, partition)
        end = (await self._consumer.end_offsets([tp]))[tp]
        read = pipeline.profile.roles.reader(Message)
        async for records in self._records(topic, partition, arena.side_offset, end):
            labels = list[Label]()
            for record in records:
                with contextlib.suppress(DecodeError):  # the worker made a dead letter of it
                    labels.append(decode_label(record.value, record.offset, arena.open.kinds, read))
            apply(arena, pipeline.merged, labels, records[-1].offset + 1)
        apply(arena, pipeline.merged, [], end)

    async def _records(self, topic: str, partition: int, begin: int, until: int) -> AsyncIterator[list[Any]]:
        """Records of a partition between two offsets, as they come."""
        tp, consumer = TopicPartition(topic, partition), self._consumer
        begins = await consumer.beginning_offsets([tp])
        consumer.assign([tp])
        consumer.seek(tp, max(begins[tp], begin))
        while await consumer.position(tp) < until:
            for records in (await consumer.getmany(timeout_ms=500, max_records=RECORDS)).values():
                wanted = [record for record in records if record.offset < until]
                if wanted:
                    yield wanted


@contextlib.asynccontextmanager
async def _standing(settings: Settings) -> AsyncIterator[Standing]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka.bootstrap,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        max_partition_fetch_bytes=4 << 20,
    )
    await consumer.start()
    try:
        yield Standing(settings, consumer)
    finally:
        await stop(consumer)


def compare_state(settings: Settings, offsets: dict[int, int]) -> list[Verdict]:
    """Compare the state that a worker would recover, labels included, with that of an uninterrupted run.

    Parameters
    ----------
    offsets
        The group's committed offset of each partition to look at; labels are read to the end of their log.

    Raises
    ------
    FraudstreamError
        A partition has no checkpoint up to its offset, or a damaged one.
    """
    horizon = math.ceil(settings.engine.horizon_days * DAY_MS)

    async def course() -> list[Verdict]:
        verdicts = []
        async with _standing(settings) as run:
            for partition, until in sorted(offsets.items()):
                recovered, mark = await run.recovered(partition, until)
                expected = await run.replayed(partition, until)
                found = compare(recovered, expected, horizon, {LABELS: LABELS_KEPT_MS})
                sides = expected.side_offset, mark.side_offset
                verdicts.append(Verdict(partition, until, mark.offset, found, *sides))
        return verdicts

    return asyncio.run(course())


def load_state(settings: Settings, partition: int, until: int) -> Arena:
    """State of a partition as a worker would recover it.

    Parameters
    ----------
    until
        Source offset up to which the state is wanted; the checkpoint must not be past it.

    Raises
    ------
    FraudstreamError
        There is no checkpoint, or it stands after `until`.
    BlockError
        It is damaged.
    """

    async def course() -> Arena:
        async with _standing(settings) as run:
            return (await run.recovered(partition, until))[0]

    return asyncio.run(course())
