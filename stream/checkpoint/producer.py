"""The transactional producer of one partition's checkpoint: whoever starts it last is the only one who can write."""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import InvalidProducerEpoch, KafkaError, ProducerFenced

from stream.errors import FraudstreamError
from stream.sinks.outbox import discard

BATCH_BYTES = 900_000  # below the broker's default message.max.bytes, with room for headers
REQUEST_TIMEOUT_MS = 30_000
TRANSACTION_TIMEOUT_MS = 600_000  # a sweep that takes longer is given up by the broker
ABORT_S = 5.0


class FencedError(FraudstreamError):
    """Another worker has taken the partition's checkpoint over: this one must not touch the partition any more."""


class UnwritableError(FraudstreamError):
    """The checkpoint could not be written now; the one before it stands."""


class Producer:
    """Writes records of a sweep, all of them or none.

    Parameters
    ----------
    bootstrap, topic, partition
        Where to.
    transactional_id
        One per group and source partition.
    """

    def __init__(self, bootstrap: str, topic: str, partition: int, transactional_id: str) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self._partition = partition
        self._id = transactional_id
        self._producer: AIOKafkaProducer | None = None
        self._sent: list[asyncio.Future[Any]] = []
        self._open = False

    @property
    def usable(self) -> bool:
        """Whether a transaction can begin."""
        return self._producer is not None and not self._open

    async def start(self) -> None:
        """Connect and end whatever an earlier writer had begun; from here on it is fenced.

        Raises
        ------
        KafkaError
            The broker does not answer.
        """
        await self.drop()
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            client_id="fraudstream-checkpoint",
            transactional_id=self._id,
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            max_batch_size=BATCH_BYTES,
            max_request_size=BATCH_BYTES,
            linger_ms=0,
        )
        try:
            await producer.start()
        except BaseException:
            await discard(producer)
            raise
        self._producer = producer

    async def begin(self) -> None:
        """Begin a sweep."""
        if self._producer is None or self._open:
            raise UnwritableError(f"{self._topic}[{self._partition}] has no producer that could begin")
        await self._producer.begin_transaction()
        self._open = True

    async def send(self, records: list[tuple[bytes, bytes | None]]) -> None:
        """Write records; waits while too much is on its way.

        Raises
        ------
        FencedError
            Another worker writes this partition's checkpoint now.
        UnwritableError
            The broker refused, or did not answer in time.
        """
        try:
            for key, value in records:
                if self._producer is None:
                    raise UnwritableError(f"{self._topic}[{self._partition}]: the producer was given up")
                sent = await self._producer.send(self._topic, value, key, self._partition)
                self._sent.append(sent)
            await self._acknowledged(4)
        except (KafkaError, TimeoutError) as error:
            raise self._told(error) from error

    async def commit(self) -> None:
        """Make all of the sweep count at once; raises as `send`."""
        try:
            await self._acknowledged(0)
            if self._producer is None:
                raise UnwritableError(f"{self._topic}[{self._partition}]: the producer was given up")
            async with asyncio.timeout(REQUEST_TIMEOUT_MS / 1000):
                await self._producer.commit_transaction()
            self._open = False
        except (KafkaError, TimeoutError) as error:
            raise self._told(error) from error

    async def abort(self) -> None:
        """Take back what was written since `begin`; a producer that cannot is dropped, and its successor does it."""
        if self._producer is None or not self._open:
            return
        self._sent.clear()
        try:
            async with asyncio.timeout(ABORT_S):
                await self._producer.abort_transaction()
            self._open = False
        except (
            KafkaError,
            TimeoutError,
            AssertionError,
        ):  # the client's own states forbid an abort after a fatal error
            await self.drop()

    async def drop(self) -> None:
        """Let the connection go with whatever is in flight; an open transaction is ended by the next `start`."""
        producer, self._producer = self._producer, None
        self._open = False
        for sent in self._sent:
            sent.cancel()
        self._sent.clear()
        if producer is not None:
            await discard(producer)

    async def _acknowledged(self, allowed: int) -> None:
        """Wait until at most that many records are on their way."""
        while len(self._sent) > allowed:
            async with asyncio.timeout(REQUEST_TIMEOUT_MS / 1000 + 5):
                await self._sent[0]
            self._sent.pop(0)

    def _told(self, error: BaseException) -> FraudstreamError:
        where = f"{self._topic}[{self._partition}]"
        if isinstance(error, ProducerFenced | InvalidProducerEpoch) or "fenced" in str(error).lower():
            return FencedError(f"{where} is written by another worker now: this one lost the partition")
        return UnwritableError(f"{where} cannot be written ({type(error).__name__}: {error})")
