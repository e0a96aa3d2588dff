"""Send many keyed messages into Kafka: whole batches by aiokafka when speed counts, kafka-python at ordinary rates.

Both choose the partition as Kafka's default partitioner does (murmur2 of the key), so that a card stays in one.
"""

import asyncio
import threading
import time
from collections import defaultdict, deque
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError as AioKafkaError
from kafka import KafkaProducer
from kafka.errors import KafkaError
from kafka.partitioner.default import murmur2

from stream.errors import BrokerError
from training.data.topics import CONNECT_MS, partitions_of, unreachable

BATCH_BYTES = 512 * 1024
CHUNKS_IN_FLIGHT = 4
DELIVERY_SECONDS = 60.0


class Sender(Protocol):
    """Where messages go. `send` may return before they are durable, `close` never does."""

    def send(self, topic: str, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        """Send messages in order; blocks while too many are on their way."""

    def close(self) -> None:
        """Wait until everything is durable, then disconnect."""


class Connection:
    """What both senders know of the broker: Kafka's default partition of a key, remembered for keys that come again.

    Parameters
    ----------
    bootstrap : str
        Broker that knows the topics.
    """

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self._topics: dict[str, tuple[list[int], dict[bytes, int]]] = {}

    def partitions(self, topic: str, keys: Sequence[bytes]) -> list[int]:
        """The partition of each key."""
        if topic not in self._topics:
            self._topics[topic] = (partitions_of(self.bootstrap, topic), {})
        partitions, known = self._topics[topic]
        for key in set(keys) - known.keys():
            known[key] = partitions[(murmur2(key) & 0x7FFFFFFF) % len(partitions)]
        return [known[key] for key in keys]

    def stopped(self, error: BaseException) -> BrokerError:
        """The one sentence for a broker that no longer takes messages."""
        return BrokerError(f"Kafka at {self.bootstrap} stopped taking messages: {error!r}")


class BatchSender(Connection):
    """Flat out: record batches built by hand (0.9 us a message), sent by a thread of its own.

    Raises
    ------
    BrokerError
        If no broker answers, or one stops taking messages.
    """

    def __init__(self, bootstrap: str) -> None:
        super().__init__(bootstrap)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sender", daemon=True)
        self._thread.start()
        self._pending: deque[Future[None]] = deque()
        try:
            self._producer = self._run(self._open()).result()
        except AioKafkaError as error:
            self._end()
            raise unreachable(bootstrap, error) from error

    def send(self, topic: str, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        """Send messages in order of each key; blocks while `CHUNKS_IN_FLIGHT` earlier calls are not durable."""
        partitions = self.partitions(topic, keys)
        while len(self._pending) >= CHUNKS_IN_FLIGHT:
            self._settle()
        self._pending.append(self._run(self._send(topic, partitions, keys, values)))

    def close(self) -> None:
        """Wait until everything is durable, then disconnect."""
        try:
            while self._pending:
                self._settle()
        finally:
            self._run(self._producer.stop()).result(DELIVERY_SECONDS)
            self._end()

    def _run(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _settle(self) -> None:
        try:
            self._pending.popleft().result(DELIVERY_SECONDS)
        except (AioKafkaError, TimeoutError) as error:
            raise self.stopped(error) from error

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _open(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap,
            acks="all",
            enable_idempotence=True,
            max_batch_size=BATCH_BYTES,
            max_request_size=8 * BATCH_BYTES,
            request_timeout_ms=20_000,
        )
        try:
            await producer.start()
        except AioKafkaError:
            await producer.stop()
            raise
        return producer

    async def _send(
        self, topic: str, partitions: Sequence[int], keys: Sequence[bytes], values: Sequence[bytes]
    ) -> None:
        rows = defaultdict(list)
        for row, partition in enumerate(partitions):
            rows[partition].append(row)
        now = int(time.time() * 1000)
        delivered = []
        for partition, chosen in rows.items():
            batch = self._producer.create_batch()
            for row in chosen:
                if batch.append(timestamp=now, key=keys[row], value=values[row]) is None:
                    delivered.append(await self._producer.send_batch(batch, topic, partition=partition))
                    batch = self._producer.create_batch()
                    batch.append(timestamp=now, key=keys[row], value=values[row])
            delivered.append(await self._producer.send_batch(batch, topic, partition=partition))
        await asyncio.gather(*delivered)


class PlainSender(Connection):
    """Ordinary rates: kafka-python's producer (30 us a message), each message as soon as it is given.

    Raises
    ------
    BrokerError
        If no broker answers, or one stops taking messages.
    """

    def __init__(self, bootstrap: str) -> None:
        super().__init__(bootstrap)
        self._failed: list[BaseException] = []
        try:
            self._producer = KafkaProducer(
                bootstrap_servers=bootstrap, acks="all", linger_ms=2, retries=5, bootstrap_timeout_ms=CONNECT_MS
            )
        except KafkaError as error:
            raise unreachable(bootstrap, error) from error

    def send(self, topic: str, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        """Send messages in order."""
        for partition, key, value in zip(self.partitions(topic, keys), keys, values, strict=True):
            sent = self._producer.send(topic, key=key, value=value, partition=partition)
            sent.add_errback(self._failed.append)
        self._check()

    def close(self) -> None:
        """Wait until everything is durable, then disconnect."""
        try:
            self._producer.flush(timeout=DELIVERY_SECONDS)
        except KafkaError as error:
            self._failed.append(error)
        self._producer.close(timeout=5)
        self._check()

    def _check(self) -> None:
        if self._failed:
            raise self.stopped(self._failed[0])


PLAIN_RATE = 15_000.0


def open_sender(bootstrap: str, rate: float) -> Sender:
    """The sender for an expected rate in messages a second; 0 is as fast as possible."""
    return PlainSender(bootstrap) if 0 < rate <= PLAIN_RATE else BatchSender(bootstrap)
