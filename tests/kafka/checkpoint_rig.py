"""Small arenas written to a real broker and read back, without a worker around them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import numpy as np
from aiokafka import AIOKafkaConsumer

from stream.checkpoint import loader, writer
from stream.checkpoint.ledger import Ledger, fresh
from stream.checkpoint.marker import Identity, TipMark
from stream.checkpoint.producer import Producer
from stream.groupless import stop
from stream.state import Arena
from tests.state_rows import ROW, WIDE, spend

IDENTITY = Identity("group", "topic-id", 4, "cards 1", "layout", "decoding")
TIP = TipMark(3, 17, "ab" * 32, 99)
T = TypeVar("T")


class Notes:
    """A small state."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = data

    def dump(self) -> bytes:
        return self.data

    def load(self, data: bytes) -> None:
        self.data = data


def arena_of() -> Arena:
    return Arena({"card": ROW, "device": WIDE}, {"open": Notes()})


def fill(arena: Arena, seed: int, rows: int = 400, until: int = 4000) -> None:
    """Move an arena by one batch of random keys."""
    rng = np.random.default_rng(seed)
    spend(arena.tables["card"], np.unique(rng.integers(1, until, rows).astype(np.uint64)), seed)
    spend(arena.tables["device"], np.unique(rng.integers(1, 60, 9).astype(np.uint64)), seed)
    arena.next_offset, arena.watermark, arena.small["open"].data = seed * 10, seed, bytes([seed]) * seed * 9_000


async def at_once(work: Callable[..., T], *args: Any) -> T:
    return work(*args)


async def no_pause(size: int) -> None:
    await asyncio.sleep(0)


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def producer(kafka: str, topic: str) -> Producer:
    return Producer(kafka, topic, 0, f"rig-{topic}")


async def sweep(arena: Arena, to: Producer, ledger: Ledger, pause: Callable[[int], Awaitable[None]] = no_pause) -> Any:
    """Write one checkpoint; return what was written."""
    return await writer.write(
        arena.begin_sweep(),
        to,
        ledger,
        identity=IDENTITY,
        tip=TIP,
        committed=arena.next_offset,
        exclusive=at_once,
        pause=pause,
    )


async def read_back(kafka: str, topic: str) -> tuple[Arena, loader.Loaded] | None:
    """The checkpoint that the topic holds, in an arena of its own."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, isolation_level="read_committed", auto_offset_reset="none")
    await consumer.start()
    try:
        found = await loader.find(consumer, topic, [0])
        if 0 not in found:
            return None
        arena = arena_of()
        return arena, await loader.load(consumer, topic, 0, found[0], arena)
    finally:
        await stop(consumer)


def new_ledger() -> Ledger:
    return fresh(None)
