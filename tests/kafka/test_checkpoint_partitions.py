"""Several partitions' checkpoints are read at once: each gives its own state, however their records come in turn."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from aiokafka import AIOKafkaConsumer

from stream.broker.topics import product_topics
from stream.checkpoint import BlockError, loader
from stream.checkpoint.keys import block_key
from stream.checkpoint.producer import Producer
from stream.checkpoint.warm import warm_up
from stream.groupless import stop
from stream.settings import TopicSettings
from stream.state import Arena
from tests.kafka.checkpoint_rig import arena_of, fill, new_ledger, run, sweep
from tests.state_rows import contents

SWEEPS = {0: 1, 1: 9, 2: 4}


async def written(kafka: str, topic: str) -> tuple[dict[int, Arena], dict[int, Producer]]:
    """A state of its own in each partition, swept a different number of times."""
    arenas, writers = {p: arena_of() for p in SWEEPS}, {p: Producer(kafka, topic, p, f"{topic}-{p}") for p in SWEEPS}
    for partition, arena in arenas.items():
        await writers[partition].start()
        ledger = new_ledger()
        for number in range(SWEEPS[partition]):
            fill(arena, 10 * partition + number + 1)
            ledger = (await sweep(arena, writers[partition], ledger)).ledger
    return arenas, writers


async def read_all(kafka: str, topic: str) -> dict[int, Arena]:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, isolation_level="read_committed", auto_offset_reset="none")
    await consumer.start()
    try:
        arenas = {partition: arena_of() for partition in SWEEPS}
        await loader.load_all(consumer, topic, await loader.find(consumer, topic, list(SWEEPS)), arenas)
        return arenas
    finally:
        await stop(consumer)


@pytest.fixture
def topic(new_topic: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> str:
    warm_up()
    monkeypatch.setattr(loader, "RECORDS", 5)
    return new_topic("checkpoints", partitions=3, config=dict(product_topics(3)[TopicSettings().checkpoints].config))


def test_each_partition_gets_its_own_last_state(kafka: str, topic: str) -> None:
    async def course() -> None:
        arenas, writers = await written(kafka, topic)
        loaded = await read_all(kafka, topic)
        for partition, arena in arenas.items():
            assert contents(loaded[partition]) == contents(arena)
            assert loaded[partition].next_offset == arena.next_offset > 0
            await writers[partition].drop()

    run(course())


def test_a_damaged_block_is_named_with_its_partition(kafka: str, topic: str) -> None:
    async def course() -> None:
        _, writers = await written(kafka, topic)
        marker = await _marker(kafka, topic)
        await writers[2].begin()
        await writers[2].send([(block_key("card", 0), b"no block"), (b"marker", marker)])
        await writers[2].commit()
        with pytest.raises(BlockError, match=rf"card/00000000 of {topic}\[2\] is damaged"):
            await read_all(kafka, topic)
        for writer in writers.values():
            await writer.drop()

    run(course())


async def _marker(kafka: str, topic: str) -> bytes:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, isolation_level="read_committed", auto_offset_reset="none")
    await consumer.start()
    try:
        return (await loader.find(consumer, topic, [2]))[2].marker.encode()
    finally:
        await stop(consumer)
