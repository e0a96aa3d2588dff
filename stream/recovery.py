"""Taking over partitions: what the logs say was decided already, and the state up to the committed offset.

State lives in memory. At take-over each partition's arena is loaded from its checkpoint, and the source log is
replayed from there (without a checkpoint: from its beginning) up to the committed offset; the replay changes state only
and tells nothing. An arena kept through a rebalance is used again only if it stands exactly at the committed offset.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from stream.advance import Arena, new_arena
from stream.checkpoint.keeper import Keeper
from stream.checkpoint.loader import Found
from stream.checkpoint.marker import TipMark
from stream.errors import SettingError
from stream.events import TP
from stream.groupless import stop
from stream.monitor.metrics import Metrics
from stream.settings import Settings
from stream.sinks.chain import Tip
from stream.tail import Tail, read_tails
from stream.transport.lease import Group, Lease

log = logging.getLogger("fraudstream.recovery")
REPLAY_RECORDS = 4096
TAIL_ALERTS = 4096  # a fenced writer adds at most the one record batch it had in flight: a few hundred alerts


class State(Protocol):
    """The part of `pipeline.Pipeline` that recovery drives."""

    def open(self, tp: TP, arena: Arena) -> None:
        """Give a partition its arena."""

    def close(self, tp: TP) -> None:
        """Forget a partition."""

    def arena(self, tp: TP) -> Arena | None:
        """The partition's arena, if it is open."""

    def replay(self, tp: TP, records: Sequence[Any]) -> None:
        """Apply records to the state; tell nothing."""


class Exclusive(Protocol):
    """Runs work that changes state between two batches (`engine.Engine.exclusive`)."""

    def __call__(self, work: Callable[..., Any], *args: Any) -> Awaitable[Any]:
        """Run it."""


class TakeOver(Protocol):
    """What continues the logs (`delivery.Deliverer`)."""

    async def start(self) -> None:
        """Connect the producer."""

    def take_over(self, partition: int, tip: Tip, told_until: int) -> None:
        """Continue a partition's logs from their tails."""


class Sides(Protocol):
    """The logs beside the source that move state or are read by it (`stream.sides`)."""

    async def ready(self) -> None:
        """Return when what transactions read of other partitions is there up to the logs' ends."""

    async def catch_up(self, partitions: Sequence[int]) -> None:
        """Apply to opened arenas what their partitions' side logs hold."""

    def release(self, partitions: Sequence[int]) -> None:
        """Apply nothing more to these partitions."""


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """The source topic as the start found it."""

    topic_id: str
    fresh: bool  # the group had no offset at all: it begins at `kafka.start_at`
    partitions: int


def expired(settings: Settings, partition: int, offset: int, begin: int, end: int) -> SettingError:
    """Word that the group stands where the log ends before or begins after."""
    group, topic = settings.kafka.group, settings.topics.transactions
    return SettingError(
        f"kafka.group {group!r} stands at offset {offset} of {topic}[{partition}], "
        f"which the log ({begin} to {end}) no longer or not yet holds: records expired or the topic was made anew; "
        "reset the group's offsets on purpose, or name another kafka.group"
    )


class Recovery:
    """Brings the partitions of a lease to the point where live records may follow."""

    def __init__(
        self,
        settings: Settings,
        source: Source,
        state: State,
        *,
        exclusive: Exclusive,
        logs: TakeOver,
        metrics: Metrics,
        keeper: Keeper | None = None,
        sides: Sides | None = None,
        arenas: Callable[[], Arena] | None = None,
    ) -> None:
        self._settings = settings
        self._source = source
        self._state = state
        self._exclusive = exclusive
        self._logs = logs
        self._metrics = metrics
        self._keeper = keeper
        self._sides = sides
        self._arenas = arenas or new_arena
        self._distrusted = False
        self._opened: set[int] = set()

    def distrust(self) -> None:
        """Use no arena again: batches may have touched it that were never acked."""
        self._distrusted = True

    def state_size(self) -> tuple[int, int]:
        """Rows and bytes of the arenas in memory."""
        arenas = [arena for p in list(self._opened) if (arena := self._state.arena(self._tp(p))) is not None]
        return sum(arena.live for arena in arenas), sum(arena.nbytes for arena in arenas)

    async def run(self, lease: Lease, group: Group) -> None:
        """Recover every partition of the lease; each resumes as soon as it is ready. Broker errors are retried.

        Raises
        ------
        SettingError
            The committed offset is no longer in the log.
        """
        began = time.monotonic()
        await self._forget(lease)
        while not lease.over:
            try:
                await self._recover(lease, group)
                break
            except KafkaError as error:
                log.warning("recovery interrupted, trying again: %r", error)
                await asyncio.sleep(0.5)
        self._metrics.recovery.set(time.monotonic() - began)

    # -- steps

    async def _forget(self, lease: Lease) -> None:
        distrusted, self._distrusted = self._distrusted, False
        for partition in sorted(self._opened):
            if distrusted or partition not in lease.partitions:
                if self._sides is not None:
                    self._sides.release([partition])
                await self._exclusive(self._state.close, self._tp(partition))
                self._opened.discard(partition)
                if self._keeper is not None:
                    await self._keeper.forget([partition])

    async def _recover(self, lease: Lease, group: Group) -> None:
        wanted = sorted(lease.partitions - lease.expected.keys())
        if not wanted:
            return
        if wanted[-1] >= self._source.partitions:
            raise SettingError(
                f"topics.transactions {self._settings.topics.transactions!r} has grown beyond "
                f"{self._source.partitions} partitions; give alerts and dead letters as many and start the worker again"
            )
        await self._logs.start()
        consumer = self._consumer()
        await consumer.start()
        try:
            offsets = await self._starting_offsets(consumer, lease, group, wanted)
            tails = await self._tails(consumer, wanted, lease.generation)
            await self._restore(consumer, lease, group, offsets, tails)
        finally:
            await stop(consumer)

    def _consumer(self) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka.bootstrap,
            client_id="fraudstream-recovery",
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            fetch_max_wait_ms=50,
            fetch_max_bytes=16 << 20,
            max_partition_fetch_bytes=4 << 20,
        )

    async def _starting_offsets(
        self, consumer: AIOKafkaConsumer, lease: Lease, group: Group, wanted: Sequence[int]
    ) -> dict[int, int]:
        """Committed offsets, checked against the log; partitions without one begin and are committed at once."""
        tps = [self._source_tp(partition) for partition in wanted]
        begins = await consumer.beginning_offsets(tps)
        ends = await consumer.end_offsets(tps)
        committed = await group.committed(wanted)
        offsets: dict[int, int] = {}
        for tp in tps:
            begin, end, known = begins[tp], ends[tp], committed.get(tp.partition)
            if known is None:
                latest = self._source.fresh and self._settings.kafka.start_at == "latest"
                known = end if latest else begin
            elif not begin <= known <= end:
                raise expired(self._settings, tp.partition, known, begin, end)
            offsets[tp.partition] = known
        missing = {partition: offsets[partition] for partition in wanted if partition not in committed}
        await self._anchor(lease, group, missing)
        return offsets

    @staticmethod
    async def _anchor(lease: Lease, group: Group, offsets: dict[int, int]) -> None:
        """Commit where a new group begins, so that an offset missing later is known to have been lost."""
        while offsets and not lease.over:
            if await group.commit_lease(lease, offsets):
                return
            await asyncio.sleep(0.2)

    async def _tails(
        self, consumer: AIOKafkaConsumer, wanted: Sequence[int], generation: int
    ) -> dict[int, tuple[Tip, int]]:
        topics = self._settings.topics
        alerts = await read_tails(consumer, topics.alerts, wanted, TAIL_ALERTS)
        dead = await read_tails(consumer, topics.dead_letters, wanted, 64, self._source.topic_id)
        tips: dict[int, tuple[Tip, int]] = {}
        superseded = 0
        for partition in wanted:
            tail = Tail(alerts[partition], self._source.topic_id)
            told = Tail(dead[partition], self._source.topic_id).decided_until()
            tips[partition] = (tail.tip(generation), told)
            superseded += tail.superseded()
        self._metrics.superseded.set(superseded)
        return tips

    # -- state

    async def _restore(
        self,
        consumer: AIOKafkaConsumer,
        lease: Lease,
        group: Group,
        offsets: dict[int, int],
        tails: dict[int, tuple[Tip, int]],
    ) -> None:
        began = time.monotonic()
        stale = {partition: offset for partition, offset in offsets.items() if not self._kept(partition, offset)}
        loaded = await self._load(consumer, lease, stale, tails) if stale else 0
        if self._sides is not None:
            await self._sides.ready()
            await self._sides.catch_up(sorted(offsets))
        replayed = {} if self._settings.engine.state == "empty" else stale
        for partition in offsets.keys() - replayed.keys():
            await self._begin(lease, group, partition, offsets[partition], tails[partition])
        records = await self._replay(consumer, lease, group, replayed, tails) if replayed else 0
        if not lease.over:
            took = time.monotonic() - began
            log.info(
                "recovered %d partitions in %.2f s: %d kept, %d loaded, %d records replayed",
                *(len(offsets), took, len(offsets) - len(stale), loaded, records),
            )

    def _kept(self, partition: int, offset: int) -> bool:
        """Whether the arena in memory is the state at the committed offset."""
        arena = self._state.arena(self._tp(partition)) if partition in self._opened else None
        if arena is None or arena.next_offset != offset:
            return False
        return self._keeper is None or self._keeper.holds(partition)

    async def _load(
        self, consumer: AIOKafkaConsumer, lease: Lease, offsets: dict[int, int], tails: dict[int, tuple[Tip, int]]
    ) -> int:
        """Open arenas: from checkpoints where there are some that are wanted, else empty ones."""
        wanted, keeper = sorted(offsets), self._keeper
        arenas = {partition: self._arenas() for partition in wanted}
        found = await self._checkpoints(consumer, keeper, offsets) if keeper is not None else {}
        if keeper is not None and found:
            await keeper.load(consumer, found, {partition: arenas[partition] for partition in found})
        for partition in wanted:
            if lease.over:
                break
            if partition in found:
                tails[partition] = _newer(tails[partition], found[partition].marker.alerts, partition)
            await self._exclusive(self._renew, partition, arenas[partition])
        return len(found)

    async def _checkpoints(
        self, consumer: AIOKafkaConsumer, keeper: Keeper, offsets: dict[int, int]
    ) -> dict[int, Found]:
        """Claim the partitions' checkpoints; those to load, each checked. The others' are begun anew."""
        wanted, found = sorted(offsets), dict[int, Found]()
        await keeper.claim(wanted)
        begins = await consumer.beginning_offsets([self._source_tp(partition) for partition in wanted])
        known = await keeper.find(consumer, wanted)
        for partition in wanted:
            mark = known.get(partition)
            if mark is not None and self._settings.engine.state == "checkpoint":
                keeper.check(mark, partition, begins[self._source_tp(partition)], offsets[partition])
                found[partition] = mark
            else:
                keeper.renew(partition, mark.marker if mark else None)
        return found

    def _renew(self, partition: int, arena: Arena) -> None:
        tp = self._tp(partition)
        if partition in self._opened:
            self._state.close(tp)
        self._state.open(tp, arena)
        self._opened.add(partition)

    async def _replay(
        self,
        consumer: AIOKafkaConsumer,
        lease: Lease,
        group: Group,
        until: dict[int, int],
        tails: dict[int, tuple[Tip, int]],
    ) -> int:
        tps = {partition: self._source_tp(partition) for partition in until}
        consumer.assign(list(tps.values()))
        begins = await consumer.beginning_offsets(list(tps.values()))
        for tp, offset in begins.items():
            arena = self._state.arena(self._tp(tp.partition))
            consumer.seek(tp, offset if arena is None else max(offset, arena.next_offset))
        left = dict(until)
        count, told_at = 0, time.monotonic()
        while left and not lease.over:
            for partition in [p for p in left if await consumer.position(tps[p]) >= left[p]]:
                consumer.pause(tps[partition])
                await self._begin(lease, group, partition, left.pop(partition), tails[partition])
            if not left:
                break
            fetched = await consumer.getmany(timeout_ms=200, max_records=REPLAY_RECORDS)
            for tp, records in fetched.items():
                limit = left.get(tp.partition, 0)
                wanted = records if records[-1].offset < limit else [r for r in records if r.offset < limit]
                if wanted:
                    await self._exclusive(self._state.replay, self._tp(tp.partition), wanted)
                    count += len(wanted)
            if time.monotonic() - told_at > 5.0:
                told_at = time.monotonic()
                log.info("rebuilding state: %d records replayed, %d partitions to go", count, len(left))
        return count

    async def _begin(self, lease: Lease, group: Group, partition: int, offset: int, tail: tuple[Tip, int]) -> None:
        arena = self._state.arena(self._tp(partition))
        if arena is not None:
            arena.next_offset = offset  # the log may end in control records, which no replay sees
        self._logs.take_over(partition, *tail)
        await group.resume(lease, partition, offset)

    def _tp(self, partition: int) -> TP:
        return TP(self._settings.topics.transactions, partition)

    def _source_tp(self, partition: int) -> TopicPartition:
        return TopicPartition(self._settings.topics.transactions, partition)


def _newer(tail: tuple[Tip, int], mark: TipMark, partition: int) -> tuple[Tip, int]:
    """The tip that the alerts' log ends with, or the checkpoint's where that log has lost its end."""
    tip, told = tail
    if tip.sequence >= mark.sequence:
        return tail
    log.warning("alerts partition %d ends before alert %d of its chain: records were lost", partition, mark.sequence)
    newer = dataclasses.replace(tip, sequence=mark.sequence, hash=mark.hash, epoch=max(tip.epoch, mark.epoch + 1))
    return dataclasses.replace(newer, decided_until=max(tip.decided_until, mark.decided_until)), told
