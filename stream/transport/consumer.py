"""Faust's consumer and transport, reduced to what is safe: chunks in, leases out, no acks of its own."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

from aiokafka.structs import TopicPartition
from faust import types
from faust.serializers.schemas import Schema
from faust.transport.consumer import Fetcher
from faust.transport.drivers import aiokafka as driver
from faust.types.tuples import ConsumerMessage

from stream.settings import Settings
from stream.transport.lease import Delivery, Lease
from stream.transport.thread import BatchThread, RebalanceListener

T = TypeVar("T")


class Listener(Protocol):
    """Who is told about assignments; both are awaited inside the rebalance."""

    settings: Settings

    async def on_revoked(self, lease: Lease) -> None:
        """Finish what is in flight and commit it, or give it up if the lease is lost."""

    async def on_assigned(self, lease: Lease) -> None:
        """Schedule the recovery of the new partitions; must return at once, no heartbeat runs meanwhile."""

    def on_failure(self, error: BaseException) -> None:
        """Stop the worker."""


class ChunkMessage(ConsumerMessage):
    """Faust's message around one chunk."""

    __slots__ = ("delivery",)
    delivery: Delivery


class ChunkSchema(Schema):
    """Hands the chunk to the agent as the event's value; nothing is decoded here."""

    def loads_key(self, app: Any, message: Any, **kwargs: Any) -> Any:
        """No key: a chunk has many."""
        return None

    def loads_value(self, app: Any, message: Any, **kwargs: Any) -> Any:
        """The chunk itself."""
        return message.delivery


class BatchConsumer(driver.Consumer):
    """Delivers chunks to the agent and carries the lease through rebalances.

    Replaces of faust 0.15.3: `_drain_messages` (one callback per record), the ack lists and `_new_offset` (they commit
    past a record in flight), the commit timer and `wait_empty` (they forget acks before the last commit).
    """

    RebalanceListener = RebalanceListener
    listener: Listener

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._inbox: deque[Delivery] = deque()
        self._arrived = asyncio.Event()
        super().__init__(*args, **kwargs)
        self.listener = self.app.listener
        self._main = asyncio.get_event_loop()
        self._thread.bind(self.listener.settings, self._hand_over, self._hand_failure)

    def _new_consumer_thread(self) -> BatchThread:
        return BatchThread(self, loop=self.loop, beacon=self.beacon)

    # -- called on the consumer's thread

    def _hand_over(self, chunks: list[Delivery]) -> None:
        self._main.call_soon_threadsafe(self._receive, chunks)

    def _hand_failure(self, error: BaseException) -> None:
        self._main.call_soon_threadsafe(self.listener.on_failure, error)

    # -- called on the event loop

    def _receive(self, chunks: list[Delivery]) -> None:
        self._inbox.extend(chunks)
        self._arrived.set()

    async def _drain_messages(self, fetcher: Fetcher) -> None:
        """Pass chunks to the agent through Faust's conductor, in order."""
        topic = self.listener.settings.topics.transactions
        while not (self.should_stop or fetcher.should_stop):
            if not self._inbox:
                self._arrived.clear()
                await self._arrived.wait()
            chunk = self._inbox.popleft()
            if not chunk.lease.over:
                await self.callback(self._message(topic, chunk))

    def _message(self, topic: str, chunk: Delivery) -> ChunkMessage:
        last = chunk.records[-1]
        tp = types.TP(topic, chunk.partition)
        message = ChunkMessage(
            topic, chunk.partition, last.offset, last.timestamp / 1000.0, 0, (), None, b"", None, 0, 0, tp
        )
        message.generation_id = chunk.lease.generation
        message.delivery = chunk
        return message

    async def on_partitions_revoked(self, revoked: set[Any]) -> None:
        """Let the engine finish and commit while the heartbeat still runs, then let Faust forget."""
        lease = self._thread.lease
        if lease is not None:
            try:
                await self.listener.on_revoked(lease)
            except Exception as error:  # aiokafka would log and swallow it, and go on with a half-finished hand-over
                self.listener.on_failure(error)
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[Any], generation_id: int = 0) -> None:
        """Let Faust wire its agents, then schedule the recovery."""
        lease = self._thread.lease
        await super().on_partitions_assigned(assigned, generation_id)
        if lease is not None and not lease.over:
            await self.listener.on_assigned(lease)

    # -- what Faust would do by itself, and must not

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Do nothing: the engine commits what is durable."""
        return False

    async def wait_empty(self) -> None:
        """Do nothing: the engine has settled before."""

    async def perform_seek(self) -> None:
        """Do nothing: recovery seeks each partition when it is ready."""

    async def verify_all_partitions_active(self) -> None:
        """Do nothing: /healthz watches progress."""

    def track_message(self, message: Any) -> None:
        """Do nothing: the lease counts."""

    def on_buffer_full(self, tp: Any) -> None:
        """Do nothing: the lease bounds what is fetched."""

    def on_buffer_drop(self, tp: Any) -> None:
        """Do nothing: the lease bounds what is fetched."""

    # -- the engine's view of the group (see `lease.Group`)

    def holds(self, lease: Lease) -> bool:
        """Whether the coordinator still knows this member under the lease's generation."""
        return bool(self._thread.holds(lease))

    def heartbeat_age(self) -> float:
        """Seconds since the last heartbeat that the coordinator answered well."""
        return float(time.monotonic() - self._thread.last_heartbeat)

    async def commit_lease(self, lease: Lease, offsets: dict[int, int]) -> bool:
        """Commit once under the lease; True only for a successful answer."""
        return await self._on_thread(self._thread.commit_once(lease, offsets))

    async def committed(self, partitions: Sequence[int]) -> dict[int, int]:
        """Committed offsets of the group; a partition without one is left out."""
        return await self._on_thread(self._thread.fetch_committed(partitions))

    async def resume(self, lease: Lease, partition: int, offset: int) -> None:
        """Let the fetching of a recovered partition begin at an offset."""
        await self._on_thread(self._thread.resume_partition(lease, partition, offset))

    def end_offset(self, partition: int) -> int | None:
        """End of the partition's log as the last fetch saw it; None while it is not held."""
        consumer = self._thread._consumer
        tp = TopicPartition(self.listener.settings.topics.transactions, partition)
        if consumer is None or tp not in consumer.assignment():
            return None
        end: int | None = consumer.last_stable_offset(tp)
        return None if end is None or end < 0 else end

    def stop_fetching(self) -> None:
        """Accept nothing more; used before a graceful stop."""
        if self._thread.lease is not None:
            self._thread.lease.over = True

    def current_lease(self) -> Lease | None:
        """The lease of now, if there is one."""
        lease: Lease | None = self._thread.lease
        return lease

    async def _on_thread(self, work: Coroutine[Any, Any, T]) -> T:
        future: Awaitable[T] = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._thread.thread_loop))
        return await future


class Transport(driver.Transport):
    """Faust's Kafka transport with our consumer."""

    Consumer = BatchConsumer
