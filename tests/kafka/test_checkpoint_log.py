"""What a checkpoint topic gives back: the state of the last sweep that was committed, whole."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from stream.broker import ensure_topics
from stream.broker.topics import product_topics
from stream.checkpoint import BlockError, FencedError, UnwritableError
from stream.checkpoint.ledger import fresh
from stream.checkpoint.warm import warm_up
from stream.settings import TopicSettings
from stream.state import Arena
from tests.kafka.checkpoint_rig import arena_of, fill, new_ledger, producer, read_back, run, sweep
from tests.state_rows import contents, spend


def same(loaded: Arena, arena: Arena, copy: dict[str, bytes]) -> bool:
    """Equal rows in equal slots, and every key is found where it was."""
    keys = {name: table.rows["key"][: table.used].copy() for name, table in loaded.tables.items()}
    slots = all((t.locate(keys[n])[keys[n] > 0] == np.flatnonzero(keys[n])).all() for n, t in loaded.tables.items())
    return slots and contents(loaded) == copy


@pytest.fixture
def topic(kafka: str, new_topic: Callable[..., str]) -> str:
    warm_up()
    spec = product_topics(1)[TopicSettings().checkpoints]
    return new_topic("checkpoints", config=dict(spec.config))


def test_sweep_after_sweep_gives_the_state_of_the_last(kafka: str, topic: str) -> None:
    async def course() -> None:
        arena, to, ledger = arena_of(), producer(kafka, topic), new_ledger()
        await to.start()
        assert await read_back(kafka, topic) is None
        for seed in range(1, 30, 7):
            fill(arena, seed)
            arena.tables["card"].evict(seed - 7, 50)
            written = await sweep(arena, to, ledger)
            ledger = written.ledger
        copy = contents(arena)
        fill(arena, 50)  # after the last sweep: not in it
        found = await read_back(kafka, topic)
        assert found is not None
        loaded, told = found
        assert same(loaded, arena, copy)
        assert (loaded.next_offset, loaded.watermark) == (290, 29)
        assert loaded.small["open"].dump() == bytes([29]) * 29 * 9_000
        assert told.ledger.live == ledger.live
        await to.drop()

    run(course())


def test_a_sweep_that_was_not_finished_leaves_the_one_before(kafka: str, topic: str) -> None:
    async def course() -> None:
        arena, to = arena_of(), producer(kafka, topic)
        await to.start()
        fill(arena, 1)
        ledger, copy = (await sweep(arena, to, new_ledger())).ledger, contents(arena)
        fill(arena, 2)

        async def die(size: int) -> None:
            await to.drop()  # as a killed process: nothing is aborted, the transaction stays open

        with pytest.raises(UnwritableError):
            await sweep(arena, to, ledger, die)
        successor = producer(kafka, topic)
        await successor.start()
        found = await read_back(kafka, topic)
        assert found is not None
        assert same(found[0], arena, copy)
        fill(found[0], 3)
        await sweep(found[0], successor, found[1].ledger)
        again = await read_back(kafka, topic)
        assert again is not None
        assert same(again[0], found[0], contents(found[0]))
        await successor.drop()

    run(course())


def test_a_failed_sweep_is_made_up_for_by_the_next(kafka: str, topic: str) -> None:
    async def course() -> None:
        arena, to, ledger = arena_of(), producer(kafka, topic), new_ledger()
        await to.start()
        fill(arena, 1)

        async def fail(size: int) -> None:
            raise UnwritableError("told to")

        with pytest.raises(UnwritableError, match="told to"):
            await sweep(arena, to, ledger, fail)
        assert await read_back(kafka, topic) is None
        fill(arena, 2, rows=3)
        await sweep(arena, to, ledger)
        found = await read_back(kafka, topic)
        assert found is not None
        assert same(found[0], arena, contents(arena))
        await to.drop()

    run(course())


def test_whoever_starts_later_is_the_only_writer(kafka: str, topic: str) -> None:
    async def course() -> None:
        first, second, arena = producer(kafka, topic), producer(kafka, topic), arena_of()
        await first.start()
        fill(arena, 1)
        ledger = (await sweep(arena, first, new_ledger())).ledger
        copy = contents(arena)
        await second.start()
        fill(arena, 2)
        with pytest.raises(FencedError, match="another worker"):
            await sweep(arena, first, ledger)
        found = await read_back(kafka, topic)
        assert found is not None
        assert same(found[0], arena, copy)
        await first.drop()
        await second.drop()

    run(course())


def test_a_new_incarnation_removes_what_it_does_not_have(kafka: str, topic: str) -> None:
    async def course() -> None:
        old, to = arena_of(), producer(kafka, topic)
        await to.start()
        fill(old, 9)
        mark = (await sweep(old, to, new_ledger())).marker
        new = arena_of()
        spend(new.tables["card"], np.array([5], np.uint64), 1)
        await sweep(new, to, fresh(mark))
        found = await read_back(kafka, topic)
        assert found is not None
        assert same(found[0], new, contents(new))
        assert found[0].tables["device"].used == 0
        await to.drop()

    run(course())


def test_a_damaged_block_is_named(kafka: str, topic: str) -> None:
    async def course() -> None:
        arena, to = arena_of(), producer(kafka, topic)
        await to.start()
        fill(arena, 2)
        await sweep(arena, to, new_ledger())
        consumer_found = await read_back(kafka, topic)
        assert consumer_found is not None
        await to.begin()
        await to.send([(b"device/00000001", b"fsck of nothing")])
        await to.send([(b"marker", consumer_found[1].marker.encode())])
        await to.commit()
        with pytest.raises(BlockError, match=rf"block device/00000001 of {topic}\[0\] is damaged.*--state rebuild"):
            await read_back(kafka, topic)
        await to.drop()

    run(course())


def test_the_product_topic_is_compacted(kafka: str, new_topic: Callable[..., str]) -> None:
    from kafka import KafkaAdminClient

    from stream.checkpoint.topic import check_compacted, log_bytes, retention_s
    from stream.errors import SettingError

    name, plain = new_topic("kept") + ".checkpoints", new_topic("plain", config={"retention.ms": "7200000"})
    ensure_topics(kafka, {name: product_topics(1, TopicSettings(checkpoints=name))[name]})
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    check_compacted(admin, name)
    with pytest.raises(SettingError, match=rf"topics.checkpoints '{plain}' has cleanup.policy=delete"):
        check_compacted(admin, plain)
    assert retention_s(admin, plain) == 7200
    admin.close()
    assert log_bytes(kafka, name, {0}) == 0
