"""The state of a partition as a worker would recover it, and as an uninterrupted run would have it: for checkers.

Neither needs a worker to run: one loads the checkpoint and replays the rest, the other replays everything.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from stream.advance import Arena, new_arena
from stream.checkpoint import loader
from stream.errors import FraudstreamError
from stream.events import TP
from stream.groupless import stop
from stream.panels import RulesAlone
from stream.pipeline import Pipeline
from stream.profile import load_profile
from stream.settings import Settings
from stream.state.compare import Comparison, compare

RECORDS = 4096


@dataclass(frozen=True, slots=True)
class Verdict:
    """One partition: where its checkpoint stood, how much was replayed on top, and what differs from a full replay."""

    partition: int
    offset: int
    checkpoint: int
    comparison: Comparison


async def _until(consumer: AIOKafkaConsumer, pipeline: Pipeline, arena: Arena, tp: TP, until: int) -> None:
    """Replay a partition from where the arena stands."""
    source = TopicPartition(tp.topic, tp.partition)
    begins = await consumer.beginning_offsets([source])
    consumer.assign([source])
    consumer.seek(source, max(begins[source], arena.next_offset))
    pipeline.open(tp, arena)
    while await consumer.position(source) < until:
        for records in (await consumer.getmany(timeout_ms=500, max_records=RECORDS)).values():
            wanted = [record for record in records if record.offset < until]
            if wanted:
                pipeline.replay(tp, wanted)
    arena.next_offset = until
    pipeline.close(tp)


def _consumer(settings: Settings) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        bootstrap_servers=settings.kafka.bootstrap,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        max_partition_fetch_bytes=4 << 20,
    )


def _pipeline(settings: Settings) -> Pipeline:
    return Pipeline(settings, RulesAlone(load_profile(settings.engine.profile)), "standing")


async def standing(settings: Settings, partition: int, until: int) -> tuple[Arena, int]:
    """State by checkpoint and replay.

    Parameters
    ----------
    until
        Source offset up to which the state is wanted; the checkpoint must not be past it.

    Returns
    -------
    tuple
        The state and the offset of the checkpoint.

    Raises
    ------
    FraudstreamError
        There is no checkpoint, or it stands after `until`.
    BlockError
        It is damaged.
    """
    pipeline, topic = _pipeline(settings), settings.topics.checkpoints
    arena = new_arena(pipeline.profile.program)
    consumer = _consumer(settings)
    await consumer.start()
    try:
        found = (await loader.find(consumer, topic, [partition])).get(partition)
        if found is None or found.marker.offset > until:
            where = "none" if found is None else f"one at offset {found.marker.offset}"
            raise FraudstreamError(f"{topic}[{partition}] holds no checkpoint up to offset {until} (but {where})")
        await loader.load(consumer, topic, partition, found, arena)
        await _until(consumer, pipeline, arena, TP(settings.topics.transactions, partition), until)
    finally:
        await stop(consumer)
    return arena, found.marker.offset


async def uninterrupted(settings: Settings, partition: int, until: int) -> Arena:
    """State by replay of the whole log up to `until`."""
    pipeline = _pipeline(settings)
    arena = new_arena(pipeline.profile.program)
    consumer = _consumer(settings)
    await consumer.start()
    try:
        await _until(consumer, pipeline, arena, TP(settings.topics.transactions, partition), until)
    finally:
        await stop(consumer)
    return arena


def compare_state(settings: Settings, offsets: dict[int, int]) -> list[Verdict]:
    """Compare the state that a worker would recover with that of an uninterrupted run.

    Parameters
    ----------
    offsets
        The group's committed offset of each partition to look at.

    Raises
    ------
    FraudstreamError
        A partition has no checkpoint, or a damaged one.
    """

    async def course() -> list[Verdict]:
        verdicts = []
        for partition, until in sorted(offsets.items()):
            recovered, checkpoint = await standing(settings, partition, until)
            expected = await uninterrupted(settings, partition, until)
            recovered.side_offset = expected.side_offset  # labels are compared by their own reader
            horizon = math.ceil(settings.engine.horizon_days * 86_400_000)
            verdicts.append(Verdict(partition, until, checkpoint, compare(recovered, expected, horizon)))
        return verdicts

    return asyncio.run(course())


def load_state(settings: Settings, partition: int, until: int) -> Arena:
    """State of a partition as a worker would recover it; see `standing`."""
    return asyncio.run(standing(settings, partition, until))[0]
