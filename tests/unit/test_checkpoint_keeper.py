"""When the keeper sweeps, what it waits for, and what a refusal or another writer leads to."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from stream.checkpoint import keeper
from stream.checkpoint.keeper import Keeper
from stream.checkpoint.marker import TipMark, decode
from stream.checkpoint.producer import FencedError, UnwritableError
from stream.events import TP
from stream.monitor.metrics import Metrics
from stream.settings import load
from stream.state import Arena
from stream.transport.lease import Lease
from tests.state_rows import ROW, keys, spend


class Log:
    """A producer in memory; `faults` are raised by the next commits."""

    def __init__(self, *faults: Exception) -> None:
        self.faults, self.written, self.pending = list(faults), list[Any](), list[Any]()
        self.usable = True

    async def start(self) -> None:
        self.usable = True

    async def begin(self) -> None:
        self.pending = []

    async def send(self, records: list[Any]) -> None:
        self.pending += records

    async def commit(self) -> None:
        if self.faults:
            raise self.faults.pop(0)
        self.written.append(self.pending)

    async def abort(self) -> None:
        self.pending = []

    async def drop(self) -> None:
        self.usable = False


class Rig:
    """A keeper of one partition whose arena and lease the test moves."""

    def __init__(self, log: Log, retention_s: float = math.inf, **engine: Any) -> None:
        self.log, self.metrics, self.arena = log, Metrics(), Arena({"card": ROW})
        self.failures: list[BaseException] = []
        settings = load(
            None,
            {
                "kafka": {"session_timeout_s": 2},
                "security": {"token_key": "k" * 32},
                "engine": {"checkpoint_s": 1, **engine},
            },
        )
        names = {"features": "1", "roles": "", "layouts": {"card": ROW}}
        tip = TipMark(1, 0, "", -1)
        self.keeper = Keeper(
            settings, "id", 1, **names, state=self, exclusive=self.now, tip=lambda p: tip, metrics=self.metrics,
            retention_s=retention_s,
        )  # fmt: skip
        self.keeper._producer = lambda partition: log  # type: ignore[assignment,method-assign,return-value]
        self.lease = Lease(1, "m", frozenset({0}))
        self.lease.start(0, 0)

    def arena_at(self, offset: int) -> None:
        spend(self.arena.tables["card"], keys(*range(1, offset + 1)), offset)
        self.arena.next_offset = self.lease.acked[0] = offset

    @staticmethod
    async def now(work: Callable[..., Any], *args: Any) -> Any:
        return work(*args)

    def run(self, course: Callable[[], Awaitable[None]]) -> None:
        async def all_of_it() -> None:
            await self.keeper.claim([0])
            self.keeper.renew(0, None)
            self.keeper.go(self.lease, self.failures.append)
            await course()
            await self.keeper.close()

        asyncio.run(all_of_it())

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():  # noqa: ASYNC110  what is waited for tells nobody
                await asyncio.sleep(0.02)


@pytest.fixture(autouse=True)
def no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "log_bytes", lambda *told: None)


def _arena(rig: Rig) -> Callable[[TP], Arena]:
    return lambda tp: rig.arena


def rig_with(*faults: Exception, **engine: Any) -> Rig:
    rig = Rig(Log(*faults), **engine)
    rig.keeper._state = type("States", (), {"arena": staticmethod(_arena(rig))})()
    return rig


def test_a_sweep_waits_until_its_offset_is_committed() -> None:
    rig = rig_with()

    async def course() -> None:
        rig.arena_at(5)
        await asyncio.sleep(1.4)
        assert not rig.log.pending
        rig.lease.confirm({0: 5})
        await rig.until(lambda: len(rig.log.written) == 1)

    rig.run(course)
    mark = decode(rig.log.written[0][-1][1], "it")
    assert (mark.offset, mark.committed) == (5, 5)


def test_many_events_bring_the_sweep_forward() -> None:
    rig = rig_with(checkpoint_s=3600, checkpoint_events=1000)

    async def course() -> None:
        rig.arena_at(999)
        rig.lease.confirm({0: 999})
        await asyncio.sleep(0.4)
        assert not rig.log.written
        rig.arena_at(1000)
        rig.lease.confirm({0: 1000})
        await rig.until(lambda: len(rig.log.written) == 1)

    rig.run(course)


def test_a_refused_sweep_is_tried_again_and_counted() -> None:
    rig = rig_with(UnwritableError("no"))

    async def course() -> None:
        rig.arena_at(5)
        rig.lease.confirm({0: 5})
        await rig.until(lambda: len(rig.log.written) == 1)

    rig.run(course)
    assert rig.metrics.checkpoint_failures._value.get() == 1
    assert [key for key, _ in rig.log.written[0]] == [b"card/00000000", b"marker"]
    assert not rig.failures


def test_where_another_writes_the_lease_is_lost_and_the_worker_told() -> None:
    rig = rig_with(FencedError("another"))

    async def course() -> None:
        rig.arena_at(5)
        rig.lease.confirm({0: 5})
        await rig.until(lambda: rig.lease.lost)
        assert not rig.failures
        await rig.until(lambda: bool(rig.failures))

    rig.run(course)
    assert not rig.log.written


@pytest.mark.parametrize(("retention_s", "ratio"), [(40.0, 0.5), (math.inf, 0.0)])
def test_the_age_is_told_as_a_share_of_the_retention(retention_s: float, ratio: float) -> None:
    rig = rig_with(UnwritableError("no"), retention_s=retention_s, checkpoint_s=3600)

    async def course() -> None:
        rig.keeper._standing[0].held_since -= 20  # never written: it counts from the take-over
        await rig.until(lambda: rig.metrics.checkpoint_age._value.get() >= 20)

    rig.run(course)
    assert rig.metrics.checkpoint_age_ratio._value.get() == pytest.approx(ratio, rel=0.5)
