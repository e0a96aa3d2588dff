"""Giving partitions back: finish and commit in time, or treat them as lost."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from unittest.mock import AsyncMock, Mock

from stream.app.worker import Worker
from stream.monitor.health import Health
from stream.transport.lease import Lease
from tests.unit.engine_fakes import Bench, FakeGroup, run, turn


class FakedWorker(Worker):
    """A worker whose group is the bench's."""

    fake: FakeGroup

    @property
    def _group(self) -> Any:
        return self.fake


def _worker(bench: Bench, rebalance_timeout_s: float = 2.0) -> FakedWorker:
    kafka = bench.settings.kafka.model_copy(update={"rebalance_timeout_s": rebalance_timeout_s})
    settings = bench.settings.model_copy(update={"kafka": kafka})
    recovery = Mock(run=AsyncMock())
    worker = FakedWorker(
        settings, bench.engine, bench.deliverer, recovery, metrics=bench.metrics, health=Health(), say=lambda line: None
    )
    worker.fake = bench.group
    return worker


def test_in_flight_work_is_finished_and_committed_before_the_partitions_go() -> None:
    async def course(bench: Bench) -> None:
        worker = _worker(bench)
        bench.deliver(b"!", b"")
        await turn(1)
        bench.lease.over = True
        await worker.on_revoked(bench.lease)

    bench = run(course)
    assert bench.group.commits == [{0: 2}] and bench.lease.durable == {0: 2} and bench.writer.abandoned == 0


def test_a_refused_commit_is_not_believed_and_sent_again() -> None:
    async def course(bench: Bench) -> None:
        worker = _worker(bench)
        bench.deliver(b"")
        await bench.engine.settle(30)
        bench.group.refuse = 3
        await worker.on_revoked(bench.lease)
        assert bench.metrics.registry.get_sample_value("fraud_commit_failures_total") == 3

    bench = run(course)
    assert bench.group.commits == [{0: 1}] and bench.lease.durable == {0: 1}


def test_after_half_the_rebalance_timeout_it_counts_as_lost() -> None:
    async def course(bench: Bench) -> None:
        worker = _worker(bench)
        bench.deliver(b"")
        await bench.engine.settle(30)
        bench.group.refuse = 1_000_000
        began = time.monotonic()
        await worker.on_revoked(bench.lease)
        assert 0.8 < time.monotonic() - began < 1.6
        worker._recovery.distrust.assert_called_once()

    bench = run(course)
    assert bench.lease.lost and bench.lease.durable == {0: 0} and bench.writer.abandoned == 1


def test_an_alert_in_flight_of_a_lost_lease_is_given_up() -> None:
    async def course(bench: Bench) -> None:
        worker = _worker(bench)
        bench.writer.gate = asyncio.Event()
        bench.deliver(b"!")
        await turn()
        bench.group.member, bench.lease.lost, bench.lease.over = False, True, True
        await worker.on_revoked(bench.lease)

    bench = run(course)
    assert bench.group.commits == [] and bench.lease.acked == {0: 0} and bench.failures == []


def test_the_recovery_of_the_next_assignment_is_scheduled_not_awaited() -> None:
    async def course(bench: Bench) -> None:
        worker = _worker(bench)

        async def endless(lease: Lease, group: Any) -> None:
            await asyncio.Event().wait()

        worker._recovery.run = endless
        await asyncio.wait_for(worker.on_assigned(Lease(2, "me", frozenset({0}))), 0.5)
        await asyncio.wait_for(worker.on_revoked(Lease(2, "me", frozenset({0}), over=True)), 2)

    run(course)
