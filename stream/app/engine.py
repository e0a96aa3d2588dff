"""Natural micro-batches: whatever piled up is scored as soon as the scorer is free, and finished in order.

    accept ──► pending ──► prepare (decode, features; one thread) ──► complete (score, decide; one thread)
                                                                          │
                           ack ◄── alerts and dead letters durable ◄──────┘

Small batches are done in one hop on the event loop: handing them to threads costs more than scoring them.
"""

from __future__ import annotations

import asyncio
import bisect
import logging
import operator
import time
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from stream.app.delivery import Deliverer
from stream.events import TP
from stream.monitor.metrics import Metrics
from stream.pipeline import Chunk, Outcome
from stream.settings import Settings
from stream.sinks.outbox import PublishError
from stream.transport.lease import Delivery, Group, Lease

log = logging.getLogger("fraudstream.engine")
T = TypeVar("T")
_OFFSET = operator.attrgetter("offset")
INLINE_MAX = 32
IN_FLIGHT = 2  # batches between the scorer and the finisher


class Scoring(Protocol):
    """The part of `pipeline.Pipeline` that the engine drives."""

    def prepare(self, chunks: list[Chunk]) -> Any:
        """Decode, find the cards, compute features; the only writer of state."""

    def complete(self, prepared: Any) -> list[Outcome]:
        """Score, decide, explain; one outcome per chunk, in order."""


@dataclass(slots=True)
class Job:
    """One micro-batch on its way to the finisher."""

    lease: Lease
    chunks: list[Delivery]
    prepared: Any
    outcomes: asyncio.Future[list[Outcome]]


class Engine:
    """Drives the pipeline with what the transport delivers, and acks what is durable."""

    def __init__(
        self,
        settings: Settings,
        pipeline: Scoring,
        deliverer: Deliverer,
        metrics: Metrics,
    ) -> None:
        self.hold: Callable[[], Awaitable[None]] | None = None  # awaited before each batch
        self._settings = settings
        self._pipeline = pipeline
        self._deliverer = deliverer
        self._metrics = metrics
        self._pending: deque[Delivery] = deque()
        self._wake = asyncio.Event()
        self._jobs: asyncio.Queue[Job] = asyncio.Queue(IN_FLIGHT)
        self._active = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._state = asyncio.Lock()
        self._preparing = ThreadPoolExecutor(1, thread_name_prefix="prepare")
        self._completing = ThreadPoolExecutor(1, thread_name_prefix="complete")
        self._last: asyncio.Future[list[Outcome]] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.group: Group
        self._on_failure: Callable[[BaseException], None]
        self.progress_at = time.monotonic()

    # -- lifetime

    def start(self, group: Group, on_failure: Callable[[BaseException], None]) -> None:
        """Begin to work for a member of the group; `on_failure` is told what ends the work."""
        self.group = group
        self._on_failure = on_failure
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._guard(work())) for work in (self._score, self._finish)]

    async def stop(self) -> None:
        """End the tasks and threads; nothing may be in flight that matters."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._preparing.shutdown(wait=False, cancel_futures=True)
        self._completing.shutdown(wait=False, cancel_futures=True)

    async def _guard(self, work: Any) -> None:
        try:
            await work
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            log.debug("engine stopped", exc_info=error)
            self._on_failure(error)

    # -- in

    def accept(self, delivery: Delivery) -> None:
        """Take a chunk; it waits for the scorer."""
        if delivery.lease.over:
            return
        self._pending.append(delivery)
        self._wake.set()

    @property
    def busy(self) -> bool:
        """Whether anything is waiting or in flight."""
        return bool(self._pending) or self._active > 0

    def stalled_for(self) -> float:
        """Seconds without progress while there is work; 0 when idle."""
        return time.monotonic() - self.progress_at if self.busy else 0.0

    def drop_pending(self) -> None:
        """Throw away what is not begun: it stays uncommitted and is read again."""
        self._pending.clear()

    async def settle(self, timeout_s: float) -> bool:
        """Wait until nothing is in flight; False when the time is up."""
        try:
            await asyncio.wait_for(self._idle.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    async def exclusive(self, work: Callable[..., T], *args: Any) -> T:
        """Run something that changes state (open, close, replay) between two batches, on the preparing thread."""
        async with self._state:
            return await asyncio.get_running_loop().run_in_executor(self._preparing, work, *args)

    # -- score

    async def _score(self) -> None:
        while True:
            if not self._pending:
                self._wake.clear()
                await self._wake.wait()
            taken = self._take()
            if taken:
                self._active += 1
                self._idle.clear()
                await self._jobs.put(await self._begin(taken))

    def _take(self) -> list[Delivery]:
        """Merge what is pending, up to `engine.batch_max`, into one run per partition."""
        limit = self._settings.engine.batch_max
        runs: dict[int, Delivery] = {}
        total = 0
        lease: Lease | None = None
        while self._pending and total < limit:
            head = self._pending[0]
            if head.lease.over or not self.group.holds(head.lease):
                self._pending.popleft()
                continue
            if lease is not None and head.lease is not lease:
                break
            lease = head.lease
            part = self._cut(limit - total)
            total += len(part.records)
            run = runs.get(part.partition)
            if run is None:
                runs[part.partition] = part
            else:
                merged = [*run.records, *part.records]
                runs[part.partition] = Delivery(lease, part.partition, merged, run.size + part.size)
        if lease is not None:
            lease.taken_records += total
            lease.taken_bytes += sum(run.size for run in runs.values())
        return list(runs.values())

    def _cut(self, limit: int) -> Delivery:
        head = self._pending.popleft()
        if len(head.records) <= limit:
            return head
        size = head.size * limit // len(head.records)
        rest = Delivery(head.lease, head.partition, head.records[limit:], head.size - size)
        self._pending.appendleft(rest)
        return Delivery(head.lease, head.partition, head.records[:limit], size)

    async def _begin(self, taken: list[Delivery]) -> Job:
        """Prepare, and hand on to be completed; a small batch comes back already complete."""
        loop = asyncio.get_running_loop()
        topic = self._settings.topics.transactions
        chunks = [Chunk(TP(topic, delivery.partition), delivery.records) for delivery in taken]
        small = sum(len(d.records) for d in taken) <= INLINE_MAX and (self._last is None or self._last.done())
        outcomes: asyncio.Future[list[Outcome]]
        if self.hold is not None:
            await self.hold()
        async with self._state:
            if small:
                prepared = self._pipeline.prepare(chunks)
                outcomes = loop.create_future()
                outcomes.set_result(self._pipeline.complete(prepared))
            else:
                prepared = await loop.run_in_executor(self._preparing, self._pipeline.prepare, chunks)
                outcomes = loop.run_in_executor(self._completing, self._pipeline.complete, prepared)
        self._last = outcomes
        return Job(taken[0].lease, taken, prepared, outcomes)

    # -- finish

    async def _finish(self) -> None:
        while True:
            job = await self._jobs.get()
            outcomes = await job.outcomes
            await self._make_durable(job, outcomes)
            self._active -= 1
            self.progress_at = time.monotonic()
            if not self._active:
                self._idle.set()

    async def _make_durable(self, job: Job, outcomes: list[Outcome]) -> None:
        lease = job.lease
        if not await self._may_publish(lease):
            lease.lost = True
            return
        try:
            await self._deliverer.deliver(outcomes)
        except PublishError:
            if lease.lost:  # the producer was given up on purpose; the new owner decides
                return
            raise
        if not self.group.holds(lease):
            lease.lost = True
            return
        for chunk, outcome in zip(job.chunks, outcomes, strict=True):
            lease.acked[chunk.partition] = outcome.next_offset
            lease.last_timestamp[chunk.partition] = chunk.records[-1].timestamp
        self._measure(job, outcomes)

    async def _may_publish(self, lease: Lease) -> bool:
        """Hold back while the last good heartbeat is old: another member may be taking over."""
        limit = 0.7 * self._settings.kafka.session_timeout_s
        while self.group.holds(lease):
            if self.group.heartbeat_age() < limit:
                return True
            await asyncio.sleep(0.05)
        return False

    def _measure(self, job: Job, outcomes: list[Outcome]) -> None:
        metrics = self._metrics
        now = time.time() * 1000
        metrics.observe_stages(job.prepared.seconds)
        metrics.batch.observe(sum(len(chunk.records) for chunk in job.chunks))
        metrics.transactions.inc(sum(outcome.transactions for outcome in outcomes))
        metrics.late.inc(sum(outcome.late for outcome in outcomes))
        metrics.duplicates.inc(sum(outcome.duplicates for outcome in outcomes))
        metrics.clock_skew.inc(sum(outcome.clock_skew for outcome in outcomes))
        for chunk, outcome in zip(job.chunks, outcomes, strict=True):
            if outcome.alerts:
                for alert in outcome.alerts:
                    at = bisect.bisect_left(chunk.records, alert.source.offset, key=_OFFSET)
                    metrics.event_to_alert.observe(max(0.0, (now - chunk.records[at].timestamp) / 1000))
