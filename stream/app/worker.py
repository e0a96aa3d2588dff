"""The worker's life: start, rebalances, commits, metrics of the moment, and a stop that leaves nothing half done."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Callable
from typing import Any

from stream.app.delivery import Deliverer
from stream.app.engine import Engine
from stream.app.faust_app import FraudApp, build
from stream.app.sides import SideTopics
from stream.checkpoint.keeper import Keeper
from stream.errors import FraudstreamError
from stream.monitor.health import Health
from stream.monitor.metrics import Metrics
from stream.recovery import Recovery
from stream.settings import Settings
from stream.transport.consumer import BatchConsumer
from stream.transport.lease import Lease

log = logging.getLogger("fraudstream.worker")
EXIT_UNCOMMITTED = 4
LEAVE_S = 5.0


class Worker:
    """Joins the group, keeps the rules of the delivery guarantee through every rebalance, and leaves.

    Parameters
    ----------
    say
        Prints a line for people and scripts (the ready line).
    exit_when_idle
        Stop with success after so many seconds without lag or work; None runs until told.
    keeper
        Keeps the checkpoints; None where none are kept.
    sides
        The logs beside the source, if any are read.
    """

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        deliverer: Deliverer,
        recovery: Recovery,
        *,
        metrics: Metrics,
        health: Health,
        say: Callable[[str], None],
        exit_when_idle: float | None = None,
        keeper: Keeper | None = None,
        sides: SideTopics | None = None,
    ) -> None:
        self.settings = settings
        self._engine = engine
        self._deliverer = deliverer
        self._recovery = recovery
        self._metrics = metrics
        self._health = health
        self._say = say
        self._exit_when_idle = exit_when_idle
        self._keeper = keeper
        self._sides = sides
        if sides is not None:
            sides.on_failure = self.on_failure
        self._stop = asyncio.Event()
        self._error: BaseException | None = None
        self._recovering: asyncio.Task[None] | None = None
        self._commit_lock = asyncio.Lock()
        self._shown_partitions: set[int] = set()
        self._idle_since: float | None = None
        self._app: FraudApp = build(settings, self, engine.accept)

    # -- the course

    async def run(self) -> int:
        """Work until a signal, a failure or idleness; return the exit code.

        Raises
        ------
        FraudstreamError
            What stopped the worker.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        self._app.loop = loop
        await self._deliverer.start()
        self._engine.start(self._group, self.on_failure)
        starting = loop.create_task(self._app.start())
        starting.add_done_callback(self._note_start)
        background = [loop.create_task(work()) for work in (self._commit_forever, self._watch)]
        await self._stop.wait()
        try:
            return await self._shut_down(starting)
        finally:
            for task in background:
                task.cancel()

    @property
    def stopping(self) -> bool:
        """Whether the end has begun."""
        return self._stop.is_set()

    @property
    def _group(self) -> BatchConsumer:
        consumer: BatchConsumer = self._app.consumer
        return consumer

    def _note_start(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self.on_failure(task.exception())

    def on_failure(self, error: BaseException | None) -> None:
        """Stop the worker; the first error is the one that is told."""
        if self._error is None and error is not None:
            self._error = error
            log.debug("stopping", exc_info=error)
        self._stop.set()

    # -- rebalances

    async def on_revoked(self, lease: Lease) -> None:
        """Finish what is in flight and commit it, within half the rebalance timeout; else treat it as lost."""
        self._health.ready = False
        await self._cancel_recovery()
        if self._keeper is not None:
            await self._keeper.halt()
        self._engine.drop_pending()
        if not lease.lost:
            deadline = time.monotonic() + self.settings.kafka.rebalance_timeout_s / 2
            if not await self._settle(lease, deadline):
                log.warning("in-flight work was not committed in time; it is given up and processed again")
                lease.lost = True
        if lease.lost:
            await self._give_up()
        else:
            self._deliverer.release()

    async def on_assigned(self, lease: Lease) -> None:
        """Schedule the recovery and return: the coordinator sends no heartbeat inside this call."""
        await self._cancel_recovery()
        self._recovering = asyncio.get_running_loop().create_task(self._recover(lease))

    async def _recover(self, lease: Lease) -> None:
        try:
            await self._recovery.run(lease, self._group)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # a task of its own: nobody else would hear of it
            self.on_failure(error)
            return
        if not lease.over:
            self._health.partitions = len(lease.partitions)
            self._health.ready = True
            if self._keeper is not None:
                self._keeper.go(lease, self.on_failure)
            self._say(f"ready partitions={len(lease.partitions)} generation={lease.generation}")

    async def _cancel_recovery(self) -> None:
        task, self._recovering = self._recovering, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _give_up(self) -> None:
        """Lost: another member may own the partitions, so nothing in flight may become visible or be used again."""
        self._recovery.distrust()
        await self._deliverer.abandon()
        await self._engine.settle(2.0)

    # -- commits

    async def _commit_forever(self) -> None:
        interval = self.settings.kafka.commit_interval_ms / 1000
        while True:
            await asyncio.sleep(interval)
            lease = self._group.current_lease()
            if lease is not None and not lease.lost:
                await self._commit(lease)

    async def _commit(self, lease: Lease) -> bool:
        """Commit what is acked; True when everything acked is confirmed by the broker."""
        async with self._commit_lock:
            offsets = lease.uncommitted()
            if not offsets:
                return True
            if not await self._group.commit_lease(lease, offsets):
                self._metrics.commit_failures.inc()
                return False
            lease.confirm(offsets)
            return not lease.uncommitted()

    async def _settle(self, lease: Lease, deadline: float) -> bool:
        """Finish in-flight work and loop until everything acked is committed; False when the time is up."""
        if not await self._engine.settle(max(0.0, deadline - time.monotonic())):
            return False
        while time.monotonic() < deadline and not lease.lost:
            try:
                done = await asyncio.wait_for(self._commit(lease), max(0.05, deadline - time.monotonic()))
            except TimeoutError:
                return False
            if done:
                return True
            await asyncio.sleep(0.05)
        return False

    # -- watching

    async def _watch(self) -> None:
        last_lag = 0.0
        while True:
            await asyncio.sleep(0.25)
            self._health.loop_at = time.monotonic()
            if self._app.crashed:
                self.on_failure(self._app.crash_reason)
            if time.monotonic() - last_lag >= 0.5:
                last_lag = time.monotonic()
                rows, size = self._recovery.state_size()
                self._metrics.state_rows.set(rows)
                self._metrics.state_bytes.set(size)
                self._judge_idleness(self._show_lag())

    def _show_lag(self) -> int | None:
        """Set the lag gauges; return the total, or None while it is not known."""
        lease = self._group.current_lease()
        held = set(lease.acked) if lease is not None and not lease.over else set()
        for partition in self._shown_partitions - held:
            self._metrics.forget_partition(partition)
        self._shown_partitions = held
        if lease is None or lease.over or held != lease.partitions:
            return None
        total: int | None = 0
        now = time.time() * 1000
        for partition in held:
            end = self._group.end_offset(partition)
            lag = None if end is None else max(0, end - lease.acked[partition])
            total = None if lag is None or total is None else total + lag
            seen = lease.last_timestamp.get(partition)
            seconds = max(0.0, (now - seen) / 1000) if lag and seen else 0.0
            self._metrics.lag_messages.labels(str(partition)).set(lag or 0)
            self._metrics.lag_seconds.labels(str(partition)).set(seconds)
        return total

    def _judge_idleness(self, lag: int | None) -> None:
        if self._exit_when_idle is None:
            return
        if lag != 0 or self._engine.busy:
            self._idle_since = None
            return
        # Work that came and went between two looks counts too.
        self._idle_since = max(self._idle_since or time.monotonic(), self._engine.progress_at)
        if time.monotonic() - self._idle_since >= self._exit_when_idle:
            self._stop.set()

    # -- the end

    async def _shut_down(self, starting: asyncio.Task[Any]) -> int:
        """Stop fetching, finish, publish, ack, commit, leave the group; bounded by `engine.shutdown_timeout_s`."""
        began = time.monotonic()
        deadline = began + self.settings.engine.shutdown_timeout_s
        self._health.ready = False
        self._group.stop_fetching()
        await self._cancel_recovery()
        if self._keeper is not None:
            await self._keeper.halt()
        self._engine.drop_pending()
        lease = self._group.current_lease()
        clean = True
        if lease is not None:
            reserve = 0.25 * self.settings.engine.shutdown_timeout_s
            limit = min(deadline - reserve, began + 2.0) if self._error else deadline - reserve
            clean = await self._settle(lease, limit)
        if self._sides is not None:
            await self._sides.close()
        await self._engine.stop()
        left = await self._leave(starting, min(LEAVE_S, max(1.0, deadline - time.monotonic() - 1.0)))
        if not clean and self._error is None:
            log.error("stopped with uncommitted transactions: they are processed again at the next start")
        if not left:
            log.warning("left without a word to the group: the broker notices after kafka.session_timeout_s")
            logging.disable(logging.CRITICAL)  # what still waits for a dead broker dies with the process, unheard
        if self._error is not None:
            raise _told(self._error)
        return 0 if clean else EXIT_UNCOMMITTED

    async def _leave(self, starting: asyncio.Task[Any], timeout_s: float) -> bool:
        """Stop Faust's services, which leaves the group, and close the producer."""

        async def leave() -> None:
            await self._app.stop()
            if self._keeper is not None:
                await self._keeper.close()
            await (self._deliverer.abandon() if self._error else self._deliverer.close())

        task = asyncio.get_running_loop().create_task(leave())
        done, _ = await asyncio.wait({task}, timeout=timeout_s)
        starting.cancel()
        if not done:
            task.cancel()
            return False
        if task.exception() is not None:
            log.warning("while leaving: %r", task.exception())
        return True


def _told(error: BaseException) -> FraudstreamError:
    if isinstance(error, FraudstreamError):
        return error
    log.error("unexpected", exc_info=error)
    return FraudstreamError(f"the worker stopped on an unexpected error, nothing undecided is committed: {error!r}")
