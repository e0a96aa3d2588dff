"""The checkpoints of the partitions that a worker holds: claimed at take-over, loaded, and written again and again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from stream.checkpoint import loader, writer
from stream.checkpoint.block import BlockError
from stream.checkpoint.identity import decoding_hash, layout_hash
from stream.checkpoint.ledger import Ledger, fresh
from stream.checkpoint.marker import Identity, Marker, TipMark
from stream.checkpoint.producer import FencedError, Producer, UnwritableError
from stream.checkpoint.topic import log_bytes
from stream.events import TP
from stream.monitor.metrics import Metrics
from stream.settings import Settings
from stream.state import Arena
from stream.transport.lease import Lease

log = logging.getLogger("fraudstream.checkpoint")
SLOWEST = 16e6  # bytes of rows a second that a sweep copies at least
SHARE = 3  # a round of sweeps takes about a third of the time between two
LOOK_S = 0.1


class States(Protocol):
    """Where the arenas are (`pipeline.Pipeline`)."""

    def arena(self, tp: TP) -> Arena | None:
        """The partition's arena, if it is open."""


@dataclass(slots=True)
class Standing:
    """One partition: its producer, what the log holds, and when it was last written."""

    producer: Producer
    ledger: Ledger | None = None
    offset: int = 0
    side_offset: int = -1
    written_at: float = 0.0  # wall clock, s; 0 before the first
    held_since: float = field(default_factory=time.time)


class Keeper:
    """Writes and loads the checkpoints of one worker.

    Parameters
    ----------
    topic_id, partitions
        The source topic as the start found it.
    features
        Version of the features that fill the rows.
    roles
        The fields of the stream's messages.
    layouts
        Row layouts of an arena's tables.
    state, exclusive
        The arenas, and how to reach them between two batches.
    tip
        Tip of a partition's chain of alerts.
    retention_s
        How long the source topic keeps its records: a checkpoint older than that is followed by a gap.
    """

    def __init__(
        self,
        settings: Settings,
        topic_id: str,
        partitions: int,
        *,
        features: str,
        roles: str,
        layouts: Mapping[str, np.dtype[Any]],
        state: States,
        exclusive: writer.Exclusive,
        tip: Callable[[int], TipMark],
        metrics: Metrics,
        retention_s: float = math.inf,
    ) -> None:
        self._settings = settings
        self._retention_s = retention_s
        hashes = layout_hash(layouts), decoding_hash(settings, roles)
        self.identity = Identity(settings.kafka.group, topic_id, partitions, features, *hashes)
        self._state = state
        self._exclusive = exclusive
        self._tip = tip
        self._metrics = metrics
        self._standing: dict[int, Standing] = {}
        self._task: asyncio.Task[None] | None = None
        self._round_at = time.monotonic()

    # -- at take-over

    def holds(self, partition: int) -> bool:
        """Whether the partition's checkpoint was claimed, and what the log holds of it is known."""
        standing = self._standing.get(partition)
        return standing is not None and standing.producer.usable and standing.ledger is not None

    async def claim(self, partitions: Sequence[int]) -> None:
        """Fence whoever wrote these checkpoints before; nobody else can write them from now on.

        Raises
        ------
        KafkaError
            The broker does not answer.
        """
        for partition in partitions:
            standing = self._standing.setdefault(partition, Standing(self._producer(partition)))
            standing.ledger = None
        await asyncio.gather(*(self._standing[partition].producer.start() for partition in partitions))

    def _producer(self, partition: int) -> Producer:
        kafka, topics = self._settings.kafka, self._settings.topics
        name = f"{kafka.group}-{topics.transactions}-{partition}"
        return Producer(kafka.bootstrap, topics.checkpoints, partition, name)

    async def find(self, consumer: AIOKafkaConsumer, partitions: Sequence[int]) -> dict[int, loader.Found]:
        """Last marker of each partition; where the state is not taken from it anyway, a damaged one is as good as none.

        Raises
        ------
        BlockError
            A marker is damaged.
        SettingError
            The topic holds the state of another group.
        """
        topic = self._settings.topics.checkpoints
        found: dict[int, loader.Found] = {}
        try:
            found = await loader.find(consumer, topic, partitions)
        except BlockError as error:
            if self._settings.engine.state == "checkpoint":
                raise
            if len(partitions) > 1:  # which of them
                for partition in partitions:
                    found |= await self.find(consumer, [partition])
                return found
            log.warning("%s; it is replaced", error)
        for partition, mark in found.items():
            mark.marker.check_group(self.identity, topic, partition)
        return found

    def check(self, found: loader.Found, partition: int, begin: int, committed: int) -> None:
        """Refuse a checkpoint that does not fit the topic, the features or the settings; see `Marker`."""
        topic = self._settings.topics.transactions
        found.marker.check(self.identity, topic, partition)
        found.marker.check_offsets(begin, committed, topic, partition)

    async def load(
        self, consumer: AIOKafkaConsumer, found: Mapping[int, loader.Found], arenas: Mapping[int, Arena]
    ) -> None:
        """Fill arenas from checkpoints that were checked, all partitions at once; see `loader.load`."""
        topic = self._settings.topics.transactions
        loaded = await loader.load_all(consumer, self._settings.topics.checkpoints, found, arenas)
        for partition, one in loaded.items():
            told = arenas[partition].live, one.size / 1e6, one.seconds
            log.info("%s[%d]: %d rows loaded from %.1f MB in %.2f s", topic, partition, *told)
            self._adopt(partition, one.ledger, found[partition].marker)

    def renew(self, partition: int, before: Marker | None) -> None:
        """Begin a new incarnation: the next sweep writes all, and removes what an earlier one left in the log."""
        standing = self._standing[partition]
        standing.ledger, standing.offset, standing.side_offset, standing.written_at = fresh(before), 0, -1, 0.0

    def _adopt(self, partition: int, ledger: Ledger, mark: Marker) -> None:
        standing = self._standing[partition]
        standing.ledger, standing.offset, standing.side_offset = ledger, mark.offset, mark.side_offset
        standing.written_at = mark.written_at / 1000

    async def forget(self, partitions: Sequence[int]) -> None:
        """Let go of partitions that another worker may hold by now."""
        for partition in partitions:
            standing = self._standing.pop(partition, None)
            if standing is not None:
                await standing.producer.drop()

    # -- again and again

    def go(self, lease: Lease, on_failure: Callable[[BaseException], None]) -> None:
        """Write checkpoints for as long as the lease lasts; `halt` ends it."""
        self._round_at = time.monotonic()
        self._task = asyncio.get_running_loop().create_task(self._guard(lease, on_failure))

    async def halt(self) -> None:
        """End the sweep that is running, if one is; what it wrote does not count."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def close(self) -> None:
        """Let go of everything."""
        await self.halt()
        await self.forget(list(self._standing))

    async def _guard(self, lease: Lease, on_failure: Callable[[BaseException], None]) -> None:
        try:
            await self._rounds(lease)
        except FencedError as error:
            log.warning("%s", error)
            lease.lost = True
            await asyncio.sleep(2 * self._settings.kafka.session_timeout_s)  # the group ends the lease before, and us
            on_failure(error)
        except Exception as error:  # a task of its own: nobody else would hear of it
            on_failure(error)

    async def _rounds(self, lease: Lease) -> None:
        while not _ended(lease):
            await asyncio.sleep(LOOK_S)
            self._show(lease)
            if not self._due(lease):
                continue
            began = time.monotonic()
            for partition in sorted(lease.partitions):
                await self._retried(lease, partition)
            self._round_at = began
            self._metrics.checkpoint_seconds.set(time.monotonic() - began)
            await self._measure(lease)

    def _due(self, lease: Lease) -> bool:
        since = time.monotonic() - self._round_at
        engine = self._settings.engine
        return since >= engine.checkpoint_s or self._events(lease) >= engine.checkpoint_events

    def _events(self, lease: Lease) -> int:
        """Records applied since the last checkpoints: what a recovery would have to replay."""
        return sum(max(0, lease.acked.get(p, 0) - s.offset) for p, s in self._standing.items() if s.ledger is not None)

    def _show(self, lease: Lease) -> None:
        now = time.time()
        ages = [now - (s.written_at or s.held_since) for p, s in self._standing.items() if p in lease.partitions]
        age = max(ages, default=0.0)
        self._metrics.checkpoint_age.set(age)
        self._metrics.checkpoint_age_ratio.set(age / self._retention_s)

    async def _measure(self, lease: Lease) -> None:
        """Compare what the broker keeps with what counts of it."""
        topic, bootstrap = self._settings.topics.checkpoints, self._settings.kafka.bootstrap
        size = await asyncio.to_thread(log_bytes, bootstrap, topic, lease.partitions)
        if size is not None:
            self._metrics.checkpoint_log.set(size)

    async def _retried(self, lease: Lease, partition: int) -> None:
        """One sweep; where the broker refuses it, the checkpoint before stands and the next round tries again."""
        try:
            await self._sweep(lease, partition)
        except (UnwritableError, KafkaError) as error:
            self._metrics.checkpoint_failures.inc()
            log.warning("no checkpoint now: %s", error)

    async def _sweep(self, lease: Lease, partition: int) -> None:
        standing, arena = self._standing.get(partition), self._state.arena(self._tp(partition))
        if standing is None or standing.ledger is None or arena is None or _ended(lease):
            return
        if (arena.next_offset, arena.side_offset) == (standing.offset, standing.side_offset):
            if standing.written_at:
                standing.written_at = time.time()  # nothing to replay: as good as a new one
            return
        if not standing.producer.usable:
            await standing.producer.start()  # an answer was lost; the lease says that the partition is still ours
        sweep = await self._exclusive(arena.begin_sweep)
        try:
            if not await _durable(lease, partition, sweep.next_offset):
                return
            written = await writer.write(
                sweep,
                standing.producer,
                standing.ledger,
                identity=self.identity,
                tip=self._tip(partition),
                committed=lease.durable[partition],
                exclusive=self._exclusive,
                pause=_Pace(sweep.total, self._settings.engine.checkpoint_s, len(lease.partitions)),
            )
        finally:
            await self._exclusive(sweep.abort)  # nothing, where it was finished
        self._adopt(partition, written.ledger, written.marker)
        self._metrics.checkpoint_bytes.inc(written.size)
        self._metrics.checkpoint_live.set(sum(s.ledger.live for s in self._standing.values() if s.ledger is not None))

    def _tp(self, partition: int) -> TP:
        return TP(self._settings.topics.transactions, partition)


async def _durable(lease: Lease, partition: int, offset: int) -> bool:
    """Wait until the group's offset has come this far; False when the lease ends before."""
    while not _ended(lease):
        if lease.durable.get(partition, 0) >= offset:
            return True
        await asyncio.sleep(0.02)
    return False


def _ended(lease: Lease) -> bool:
    return lease.over or lease.lost


class _Pace:
    """Spreads the pieces of a sweep, so that batches find the processor free between them."""

    def __init__(self, blocks: int, checkpoint_s: float, partitions: int) -> None:
        self._rate = max(SLOWEST, blocks * 65_536 * partitions * SHARE / checkpoint_s)
        self._at = time.monotonic()

    async def __call__(self, size: int) -> None:
        self._at = max(self._at, time.monotonic() - 0.05) + size / self._rate
        await asyncio.sleep(max(0.0, self._at - time.monotonic()))
