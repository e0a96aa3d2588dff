"""An idempotent producer that writes whole record batches into chosen partitions, one after the other."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, ProducerClosed

from stream.errors import FraudstreamError

BATCH_BYTES = 900_000  # below the broker's default message.max.bytes, with room for headers
RECORD_BYTES = 800_000


class PublishError(FraudstreamError):
    """A record could not be made durable; the worker stops before its offset is committed."""

    exit_code = 5


@dataclass(frozen=True, slots=True)
class Row:
    """One record to be written."""

    value: bytes
    key: bytes | None = None
    headers: list[tuple[str, bytes]] = field(default_factory=list)


class Outbox:
    """The producer behind alerts and dead letters.

    A batch of rows is all or nothing, and the next begins only after its acknowledgement, so that the tail of a
    partition's log says exactly what was decided. After a failure or a lost assignment it is abandoned, not flushed.
    """

    def __init__(self, bootstrap: str, timeout_s: float, batch_bytes: int = BATCH_BYTES) -> None:
        self._bootstrap = bootstrap
        self._timeout_s = timeout_s
        self._batch_bytes = batch_bytes
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect; a producer already started is kept."""
        if self._producer is not None:
            return
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            client_id="fraudstream-alerts",
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_batch_size=self._batch_bytes,
            request_timeout_ms=int(self._timeout_s * 1000),
        )
        await producer.start()
        self._given_up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._producer = producer

    async def send(self, topic: str, partition: int, rows: Sequence[Row]) -> None:
        """Write rows in order; return when the last is durable.

        Raises
        ------
        PublishError
            The broker refused them or did not answer in time; some of them may be durable.
        """
        position = 0
        while position < len(rows):
            producer = self._producer
            if producer is None:
                raise PublishError(f"{topic}[{partition}] cannot be written: the producer was given up")
            batch = producer.create_batch()
            start = position
            while position < len(rows):
                row = rows[position]
                if batch.append(key=row.key, value=row.value, timestamp=None, headers=row.headers) is None:
                    break
                position += 1
            batch.close()
            if position == start:
                raise PublishError(
                    f"{topic}[{partition}] cannot be written: a record exceeds {self._batch_bytes} bytes"
                )
            try:
                await self._acknowledged(await producer.send_batch(batch, topic, partition=partition))
            except (TimeoutError, KafkaError) as error:
                raise PublishError(
                    f"{topic}[{partition}] cannot be written ({type(error).__name__}: {error}); stopped before the "
                    "offsets of these transactions are committed, they are processed again at the next start"
                ) from error

    async def _acknowledged(self, done: asyncio.Future[Any]) -> None:
        """Wait for the broker, or for the producer being given up: then nobody would ever answer."""
        given_up = self._given_up
        waiting: set[asyncio.Future[Any]] = {done, given_up}
        await asyncio.wait(waiting, timeout=self._timeout_s + 5, return_when=asyncio.FIRST_COMPLETED)
        if done.done():
            done.result()
        elif given_up.done():
            raise ProducerClosed("given up")
        else:
            raise TimeoutError

    async def close(self) -> None:
        """Close an outbox that has nothing in flight."""
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await producer.stop()

    async def abandon(self) -> None:
        """Drop the producer with whatever it still holds: another worker may own the partitions already."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        self._given_up.set_result(None)
        await discard(producer)


async def discard(producer: AIOKafkaProducer) -> None:
    """Close a producer without flushing it; what is in flight may or may not arrive."""
    producer._closed = True
    task = producer._sender.sender_task
    if task is not None:
        task.cancel()
    await producer.client.close()
    if task is not None:
        with contextlib.suppress(asyncio.CancelledError, KafkaError):
            await asyncio.wait({task}, timeout=1.0)
            if task.done() and not task.cancelled():
                task.exception()
