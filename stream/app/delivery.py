"""From outcomes to durable alerts and dead letters, in the order that the delivery guarantee needs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Protocol

from stream.events import DeadLetter
from stream.monitor.metrics import Metrics
from stream.pipeline import Outcome
from stream.sinks.alerts import AlertLog, Sealed
from stream.sinks.chain import Tip
from stream.sinks.dead_letters import DeadLetterLog
from stream.sinks.outbox import PublishError, Row


class Writer(Protocol):
    """What writes rows durably; `outbox.Outbox` in production."""

    async def start(self) -> None:
        """Connect."""

    async def send(self, topic: str, partition: int, rows: Sequence[Row]) -> None:
        """Write rows in order; return when the last is durable."""

    async def close(self) -> None:
        """Close with nothing in flight."""

    async def abandon(self) -> None:
        """Drop whatever is in flight."""


class Deliverer:
    """Writes the alerts and dead letters of outcomes; returns only when all of them are durable."""

    def __init__(self, outbox: Writer, alerts: AlertLog, dead_letters: DeadLetterLog, metrics: Metrics) -> None:
        self._outbox = outbox
        self._alerts = alerts
        self._dead_letters = dead_letters
        self._metrics = metrics

    async def start(self) -> None:
        """Connect the producer."""
        await self._outbox.start()

    def take_over(self, partition: int, tip: Tip, told_until: int) -> None:
        """Continue the logs of a partition from their tails."""
        self._alerts.take_over(partition, tip)
        self._dead_letters.take_over(partition, told_until)

    def release(self) -> None:
        """Forget the tails of all partitions; the producer is kept, nothing of it is in flight."""
        self._alerts.release()
        self._dead_letters.release()

    async def abandon(self) -> None:
        """Forget the tails and drop the producer: what is in flight may belong to another worker."""
        self.release()
        await self._outbox.abandon()

    async def close(self) -> None:
        """Close the producer after a graceful stop."""
        await self._outbox.close()

    async def deliver(self, outcomes: Sequence[Outcome]) -> None:
        """Make alerts, then dead letters, of every outcome durable.

        Raises
        ------
        PublishError
            Something could not be written; nothing of these outcomes may be acked.
        """
        work = [o for o in outcomes if o.alerts or o.dead]
        if not work:
            return
        began = time.perf_counter()
        if len(work) == 1:
            await self._deliver_partition(work[0])
        else:
            await asyncio.gather(*(self._deliver_partition(outcome) for outcome in work))
        self._metrics.stage.labels("publish").observe(time.perf_counter() - began)

    async def _deliver_partition(self, outcome: Outcome) -> None:
        partition = outcome.tp.partition
        self._check_ours(partition)
        dead = list(outcome.dead)
        if outcome.alerts:
            sealed = self._alerts.seal(partition, outcome.alerts)
            if sealed.rows:
                await self._outbox.send(self._alerts.topic, partition, sealed.rows)
                self._check_ours(partition)
                self._alerts.settle(partition, sealed)
                self._count_alerts(sealed)
            dead += sealed.dead
        if dead:
            await self._deliver_dead(partition, dead)

    def _check_ours(self, partition: int) -> None:
        """Go no further with a partition that was given up while its last answer was on its way."""
        if not self._alerts.holds(partition):
            raise PublishError(f"{self._alerts.topic}[{partition}] belongs to another worker")

    async def _deliver_dead(self, partition: int, dead: list[DeadLetter]) -> None:
        pending = self._dead_letters.pending(partition, dead)
        if pending:
            await self._outbox.send(self._dead_letters.topic, partition, self._dead_letters.rows(pending))
            self._dead_letters.settle(partition, pending)
            for letter in pending:
                self._metrics.dead_letters.labels(letter.stage).inc()

    def _count_alerts(self, sealed: Sealed) -> None:
        for alert in sealed.alerts:
            self._metrics.alerts.labels(alert.outcome).inc()
            for reason in alert.reasons:
                self._metrics.alert_reasons.labels(reason.code).inc()
