"""The end of a worker: in order and in time, whatever the broker does."""

from __future__ import annotations

import asyncio
import time
from unittest.mock import AsyncMock, Mock

import pytest

from stream.app.worker import EXIT_UNCOMMITTED
from stream.errors import FraudstreamError, SettingError
from stream.recovery import Recovery, Source
from stream.sinks.outbox import PublishError
from stream.transport.lease import Lease
from tests.unit.engine_fakes import Bench, run, turn
from tests.unit.test_commit_revoked import FakedWorker, _worker


async def _end(worker: FakedWorker, bench: Bench) -> int:
    worker.fake.stop_fetching = lambda: setattr(bench.lease, "over", True)  # type: ignore[attr-defined]
    worker.fake.current_lease = lambda: bench.lease  # type: ignore[attr-defined]
    worker._app = Mock(stop=AsyncMock())
    return await worker._shut_down(asyncio.get_running_loop().create_task(asyncio.sleep(0)))


def test_what_is_in_flight_is_committed_and_the_group_is_left() -> None:
    async def course(bench: Bench) -> None:
        worker = _worker(bench)
        bench.deliver(b"!", b"")
        await turn(1)
        assert await _end(worker, bench) == 0
        worker._app.stop.assert_awaited_once()

    assert run(course).group.commits == [{0: 2}]


def test_a_broker_that_takes_no_commit_costs_its_own_exit_code_in_time() -> None:
    async def course(bench: Bench) -> None:
        worker = _worker(bench)
        bench.deliver(b"")
        await bench.engine.settle(30)
        bench.group.refuse = 1_000_000
        began = time.monotonic()
        assert await _end(worker, bench) == EXIT_UNCOMMITTED
        assert time.monotonic() - began < 2.0

    run(course, shutdown_timeout_s=2.0)


def test_the_error_that_stopped_the_worker_is_told() -> None:
    async def course(bench: Bench) -> None:
        worker = _worker(bench)
        worker.on_failure(PublishError("alerts[0] cannot be written"))
        worker.on_failure(RuntimeError("later"))
        with pytest.raises(PublishError, match="alerts"):
            await _end(worker, bench)

    run(course)


def test_an_unexpected_error_is_told_as_one_sentence() -> None:
    async def course(bench: Bench) -> None:
        worker = _worker(bench)
        worker.on_failure(RuntimeError("a bug"))
        with pytest.raises(FraudstreamError, match=r"unexpected error.*a bug"):
            await _end(worker, bench)

    run(course)


def test_partitions_added_later_are_refused_in_one_sentence() -> None:
    async def course(bench: Bench) -> None:
        source = Source("id", fresh=False, partitions=1)
        recovery = Recovery(
            bench.settings, source, Mock(), exclusive=AsyncMock(), logs=bench.deliverer, metrics=bench.metrics
        )
        with pytest.raises(SettingError, match=r"topics\.transactions 'tx' has grown beyond 1 partitions"):
            await recovery.run(Lease(1, "me", frozenset({0, 1})), bench.group)

    run(course)


def test_a_worker_is_idle_only_when_nothing_came_between_two_looks() -> None:
    async def course(bench: Bench) -> None:
        worker = _worker(bench)
        worker._exit_when_idle = 0.2
        for _ in range(6):
            bench.deliver(b"")
            await bench.engine.settle(30)
            worker._judge_idleness(0)
            await asyncio.sleep(0.06)
        assert not worker._stop.is_set()
        await asyncio.sleep(0.2)
        worker._judge_idleness(0)
        assert worker._stop.is_set()

    run(course)
