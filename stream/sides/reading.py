"""A consumer without a group, for logs that are read beside the source."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from stream.settings import Settings

log = logging.getLogger("fraudstream.sides")


class Exclusive(Protocol):
    """Runs work that changes state between two batches (`engine.Engine.exclusive`)."""

    def __call__(self, work: Callable[..., Any], *args: Any) -> Awaitable[Any]:
        """Run it."""


def consumer_of(settings: Settings, client_id: str) -> AIOKafkaConsumer:
    """A consumer that commits nothing; where a log's beginning has moved on, it begins there."""
    return AIOKafkaConsumer(
        bootstrap_servers=settings.kafka.bootstrap,
        client_id=client_id,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_wait_ms=100,
        fetch_max_bytes=16 << 20,
        max_partition_fetch_bytes=4 << 20,
    )


async def persist(what: str, work: Callable[[], Awaitable[None]]) -> None:
    """Do something that runs until it is cancelled, and begin again when the broker fails it."""
    while True:
        try:
            await work()
        except KafkaError as error:
            log.warning("%s: %r; trying again", what, error)
            await asyncio.sleep(1.0)
