"""Fetching, committing and membership, on the event loop of Faust's consumer thread.

Versions read: faust-streaming 0.15.3, aiokafka 0.14.0. The private names used here are held by a contract test.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import aiokafka
from aiokafka import errors
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport.drivers import aiokafka as driver
from mode import Service

from stream.errors import BrokerError, SettingError
from stream.settings import Settings
from stream.transport import lenient
from stream.transport.lease import Delivery, Lease

lenient.install()
CHUNK = 1024
SMALL_POLL = 64
LINGER_S = 0.002
FATAL_FETCH = (
    errors.CorruptRecordException,
    errors.RecordTooLargeError,
    errors.TopicAuthorizationFailedError,
    errors.NoOffsetForPartitionError,
)


class RebalanceListener(driver.ConsumerRebalanceListener):
    """Marks the lease before anything else happens, on the thread that fetches."""

    def on_partitions_revoked(self, revoked: Iterable[Any]) -> Awaitable[None]:
        """End the lease at once: lost if the coordinator has forgotten this member, else revoked."""
        self._thread.end_lease()
        result: Awaitable[None] = super().on_partitions_revoked(revoked)
        return result

    async def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        """Hold every partition back until it is recovered, then tell Faust."""
        self._thread.begin_lease(list(assigned))
        await super().on_partitions_assigned(assigned)


class BatchThread(driver.AIOKafkaConsumerThread):
    """The consumer's thread: fetches chunks, commits, watches the coordinator."""

    settings: Settings
    lease: Lease | None = None
    hand_over: Callable[[list[Delivery]], None]
    fail: Callable[[BaseException], None]

    def bind(
        self,
        settings: Settings,
        hand_over: Callable[[list[Delivery]], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        """Name the receivers of chunks and of errors; both are called on this thread."""
        self.settings = settings
        self.hand_over = hand_over
        self.fail = fail
        self.last_heartbeat = time.monotonic()
        self._was_small = False

    # -- lifetime

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        """Build our own consumer: the stock one hard-codes the fetch wait, the assignor and the isolation level."""
        kafka = self.settings.kafka
        budget = self.settings.engine.pending_max_mb << 20
        return aiokafka.AIOKafkaConsumer(
            client_id="fraudstream",
            group_id=kafka.group,
            bootstrap_servers=kafka.bootstrap,
            partition_assignment_strategy=[StickyPartitionAssignor],
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            max_poll_records=kafka.max_poll_records,
            max_poll_interval_ms=24 * 3600 * 1000,  # progress is watched by /healthz; recovery may take long
            fetch_max_wait_ms=kafka.fetch_max_wait_ms,
            fetch_max_bytes=max(1 << 20, budget // 2),
            session_timeout_ms=int(kafka.session_timeout_s * 1000),
            rebalance_timeout_ms=int(kafka.rebalance_timeout_s * 1000),
            heartbeat_interval_ms=max(100, int(kafka.session_timeout_s * 1000 / 6)),
            request_timeout_ms=int(max(kafka.rebalance_timeout_s, kafka.session_timeout_s, 10.0) * 1000) + 5000,
            retry_backoff_ms=100,
        )

    async def on_start(self) -> None:
        """Start the consumer, listen in on its heartbeats, and make its small fetches patient."""
        await super().on_start()
        coordinator, fetcher = self._ensure_consumer()._coordinator, self._ensure_consumer()._fetcher
        beat, fetch = coordinator._do_heartbeat, fetcher._proc_fetch_request

        async def heartbeat() -> bool:
            sent = time.monotonic()
            good: bool = await beat()
            if good:
                self.last_heartbeat = sent
            return good

        async def patient_fetch(assignment: Any, node_id: Any, request: Any) -> bool:
            if self._was_small:  # a little more per fetch: a poll per message costs more than its work
                try:
                    await asyncio.sleep(LINGER_S)
                except asyncio.CancelledError:
                    return False  # as the original does
            found: bool = await fetch(assignment, node_id, request)
            return found

        coordinator._do_heartbeat = heartbeat
        fetcher._proc_fetch_request = patient_fetch

    # -- the lease

    def begin_lease(self, assigned: Sequence[Any]) -> None:
        """Take over an assignment: every partition paused, at a valid position, so that nothing is fetched or reset."""
        consumer = self._ensure_consumer()
        coordinator = consumer._coordinator
        for tp in assigned:
            consumer.pause(tp)
            consumer.seek(tp, 0)
        StickyPartitionAssignor.on_generation_assignment(coordinator.generation)
        self.last_heartbeat = time.monotonic()
        self.lease = Lease(coordinator.generation, coordinator.member_id, frozenset(tp.partition for tp in assigned))

    def end_lease(self) -> None:
        """Accept nothing more under the lease; it is lost when the coordinator no longer knows this member."""
        if self.lease is not None:
            self.lease.lost = self.lease.lost or not self.holds(self.lease)
            self.lease.over = True

    def holds(self, lease: Lease) -> bool:
        """Whether the coordinator's generation and member are still those of the lease (any thread)."""
        coordinator = self._ensure_consumer()._coordinator
        same = coordinator.generation == lease.generation and coordinator.member_id == lease.member_id
        return same and not lease.lost

    # -- fetching

    @Service.task
    async def _pump(self) -> None:
        while not self.should_stop:
            try:
                await self._fetch_once()
            except asyncio.CancelledError:
                raise
            except errors.OffsetOutOfRangeError as error:
                self.fail(self._out_of_range(error))
                return
            except FATAL_FETCH as error:
                self.fail(BrokerError(f"the source topic cannot be read: {error!r}"))
                return
            except errors.ConsumerStoppedError:
                return
            except errors.KafkaError as error:
                # The coordinator hands its errors to whoever waits for records; the watchdog lets it go on.
                self.log.warning("fetch interrupted, going on: %r", error)
                await asyncio.sleep(0.1)

    async def _fetch_once(self) -> None:
        consumer, lease, engine = self._consumer, self.lease, self.settings.engine
        if consumer is None or lease is None or lease.over or not lease.expected:
            await asyncio.sleep(0.005)
            return
        room = lease.room(engine.pending_max, engine.pending_max_mb << 20)
        if not room:
            await asyncio.sleep(0.001)
            return
        topic = self.settings.topics.transactions
        ready = {TopicPartition(topic, partition) for partition in lease.expected}
        fetcher = consumer._fetcher
        with fetcher._subscriptions.fetch_context():
            fetched = await fetcher.fetched_records(
                ready, timeout=0.2, max_records=min(room, self.settings.kafka.max_poll_records)
            )
        if fetched:
            total = self._pass_on({tp.partition: records for tp, records in fetched.items()})
            self._was_small = 0 < total < SMALL_POLL
        self._pass_over(consumer)

    def _pass_over(self, consumer: aiokafka.AIOKafkaConsumer) -> None:
        """Count as done what no client ever sees, markers and aborted transactions, once all before it is done."""
        lease, topic = self.lease, self.settings.topics.transactions
        subscription = consumer._subscription.subscription
        if lease is None or lease.over or subscription is None or subscription.assignment is None:
            return
        for partition, expected in list(lease.expected.items()):
            tp = TopicPartition(topic, partition)
            if lease.acked.get(partition) != expected or tp not in subscription.assignment.tps:
                continue
            state = subscription.assignment.state_value(tp)
            if state.has_valid_position and state.position > expected:
                lease.expected[partition] = lease.acked[partition] = state.position

    def _pass_on(self, fetched: dict[int, list[Any]]) -> int:
        lease = self.lease  # the one of now: the fetch may have waited through a rebalance
        if lease is None or lease.over:
            return 0
        chunks: list[Delivery] = []
        total = 0
        for partition, found in fetched.items():
            expected = lease.expected.get(partition)
            if expected is None:
                continue
            records = found if found[0].offset >= expected else [r for r in found if r.offset >= expected]
            if not records:
                continue
            lease.expected[partition] = records[-1].offset + 1
            total += len(records)
            for start in range(0, len(records), CHUNK):
                part = records[start : start + CHUNK]
                size = sum([len(r.value or b"") for r in part])
                chunks.append(Delivery(lease, partition, part, size))
        lease.delivered_records += total
        lease.delivered_bytes += sum(chunk.size for chunk in chunks)
        if chunks:
            self.hand_over(chunks)
        return total

    def _out_of_range(self, error: errors.OffsetOutOfRangeError) -> SettingError:
        return SettingError(
            f"the log of {self.settings.topics.transactions} no longer holds the next offset ({error}): records were "
            f"deleted before they were read; reset the offsets of kafka.group {self.settings.kafka.group!r} on purpose"
        )

    # -- the coordinator

    @Service.task
    async def _watchdog(self) -> None:
        """Consume the coordinator's errors: it waits for that before it rejoins, and nobody else would.

        A heartbeat task that died is never restarted by aiokafka short of a rejoin, so one is asked for.
        """
        while not self.should_stop:
            await self.sleep(0.5)
            consumer = self._consumer
            if consumer is None or self.should_stop:
                continue
            coordinator = consumer._coordinator
            try:
                coordinator.check_errors()
            except errors.GroupAuthorizationFailedError as error:
                self.fail(SettingError(f"kafka.group {self.settings.kafka.group!r} may not be joined: {error!r}"))
            except errors.KafkaError as error:
                self.log.error("the group coordinator reported %r; rejoining", error)
                if coordinator._coordination_task.done():
                    self.fail(BrokerError(f"the group coordinator's task ended: {error!r}"))
            beat = coordinator._heartbeat_task
            if beat is not None and beat.done() and not beat.cancelled() and beat.exception() is not None:
                coordinator.request_rejoin()

    async def commit_once(self, lease: Lease, offsets: dict[int, int]) -> bool:
        """Send one commit under the lease's generation; never repeat it, never believe a refusal."""
        coordinator = self._ensure_consumer()._coordinator
        topic = self.settings.topics.transactions
        wanted = {TopicPartition(topic, p): OffsetAndMetadata(offset, "") for p, offset in offsets.items()}

        async def send() -> bool:
            if coordinator.coordinator_id is None or not self.holds(lease):
                return False
            # No await between the check and the request: it carries the generation that was checked.
            await coordinator._do_commit_offsets(None, wanted)
            return True

        try:
            return await asyncio.wait_for(send(), self.settings.kafka.session_timeout_s)
        except (errors.KafkaError, TimeoutError) as error:
            self.log.warning("commit refused: %r", error)
            return False

    async def fetch_committed(self, partitions: Sequence[int]) -> dict[int, int]:
        """Committed offsets of the group, straight from the coordinator."""
        topic = self.settings.topics.transactions
        wanted = [TopicPartition(topic, partition) for partition in partitions]
        found = await self._ensure_consumer()._coordinator.fetch_committed_offsets(wanted)
        return {tp.partition: meta.offset for tp, meta in found.items() if meta.offset >= 0}

    async def resume_partition(self, lease: Lease, partition: int, offset: int) -> None:
        """Begin fetching a recovered partition, unless the lease ended meanwhile."""
        if lease.over or self.lease is not lease:
            return
        tp = TopicPartition(self.settings.topics.transactions, partition)
        consumer = self._ensure_consumer()
        consumer.seek(tp, offset)
        consumer.resume(tp)
        lease.start(partition, offset)
