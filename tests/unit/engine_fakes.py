"""A group, a pipeline and a writer that do as they are told, for tests of the engine without Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from stream.app.delivery import Deliverer
from stream.app.engine import Engine
from stream.events import Alert, DeadLetter, Source
from stream.monitor.metrics import Metrics
from stream.pipeline import Chunk, Outcome
from stream.settings import Settings, load
from stream.sinks.alerts import AlertLog
from stream.sinks.chain import Tip
from stream.sinks.dead_letters import DeadLetterLog
from stream.sinks.outbox import PublishError, Row
from stream.transport.lease import Delivery, Lease


def record(offset: int, value: bytes = b"") -> Any:
    return SimpleNamespace(offset=offset, value=value, key=None, timestamp=1_700_000_000_000 + offset, headers=())


def alert(offset: int, partition: int = 0, **changes: Any) -> Alert:
    values: dict[str, Any] = {
        "alert_id": f"a-{partition}-{offset}",
        "schema_version": "1.0",
        "kind": "transaction",
        "outcome": "review",
        "score": 0.8,
        "threshold": 0.5,
        "scores": {},
        "reasons": [],
        "transaction": {"card_id": "tok_0"},
        "features": {},
        "panel_hash": "p",
        "models": [],
        "rules": [],
        "case_id": "c",
        "customer_id": None,
        "amount_base": 1.0,
        "degraded": False,
        "late": False,
        "duplicate": False,
        "clock_skew": False,
        "profile_version": "0",
        "event_time": "2026-01-01T00:00:00.000Z",
        "detected_at": "2026-01-01T00:00:00.000Z",
        "source": Source("tx", partition, offset),
    }
    return Alert(**{**values, **changes})


def dead_letter(offset: int, payload: bytes = b"{") -> DeadLetter:
    return DeadLetter("tx", 0, offset, 0, "decode", "broken", payload, len(payload), "")


@dataclass
class FakePipeline:
    """Alerts on every record whose value is ``b"!"``; dead letters for ``b"?"``; fails on ``b"bug"``."""

    batches: list[list[int]] = field(default_factory=list)
    slow: Callable[[], None] = lambda: None

    def prepare(self, chunks: list[Chunk]) -> Any:
        self.batches.append([len(chunk.records) for chunk in chunks])
        if any(r.value == b"bug" for chunk in chunks for r in chunk.records):
            raise RuntimeError("a bug")
        return SimpleNamespace(chunks=chunks, seconds={"decode": 0.001})

    def complete(self, prepared: Any) -> list[Outcome]:
        self.slow()
        return [self._outcome(chunk) for chunk in prepared.chunks]

    @staticmethod
    def _outcome(chunk: Chunk) -> Outcome:
        alerts = [alert(r.offset, chunk.tp.partition) for r in chunk.records if r.value == b"!"]
        dead = [dead_letter(r.offset) for r in chunk.records if r.value == b"?"]
        first, last = chunk.records[0].offset, chunk.records[-1].offset
        return Outcome(chunk.tp, alerts, dead, last + 1, first, len(chunk.records), 0, 0, 0)


@dataclass
class FakeGroup:
    """A membership whose coordinator says what the test wants."""

    member: bool = True
    age: float = 0.0
    refuse: int = 0
    commits: list[dict[int, int]] = field(default_factory=list)

    def holds(self, lease: Lease) -> bool:
        return self.member and not lease.lost

    def heartbeat_age(self) -> float:
        return self.age

    async def commit_lease(self, lease: Lease, offsets: dict[int, int]) -> bool:
        if self.refuse:
            self.refuse -= 1
            return False
        self.commits.append(dict(offsets))
        return True

    async def committed(self, partitions: Sequence[int]) -> dict[int, int]:
        return {}

    async def resume(self, lease: Lease, partition: int, offset: int) -> None:
        lease.start(partition, offset)

    def end_offset(self, partition: int) -> int | None:
        return None


@dataclass
class FakeWriter:
    """Keeps what is written; `gate` holds an acknowledgement back, `broken` refuses."""

    rows: dict[str, list[Row]] = field(default_factory=dict)
    gate: asyncio.Event | None = None
    broken: bool = False
    abandoned: int = 0

    async def start(self) -> None: ...

    async def send(self, topic: str, partition: int, rows: Sequence[Row]) -> None:
        if self.gate is not None:
            await self.gate.wait()
        if self.broken:
            raise PublishError(f"{topic}[{partition}] cannot be written")
        self.rows.setdefault(topic, []).extend(rows)

    async def close(self) -> None: ...

    async def abandon(self) -> None:
        self.abandoned += 1
        self.broken = True
        if self.gate is not None:
            self.gate.set()


@dataclass
class Bench:
    """An engine on fakes with one lease of some partitions."""

    settings: Settings
    pipeline: FakePipeline
    group: FakeGroup
    writer: FakeWriter
    deliverer: Deliverer
    engine: Engine
    lease: Lease
    metrics: Metrics
    failures: list[BaseException]

    def deliver(self, *values: bytes, partition: int = 0, offset: int = 0, step: int = 1) -> None:
        records = [record(offset + i * step, value) for i, value in enumerate(values)]
        self.engine.accept(Delivery(self.lease, partition, records, sum(map(len, values))))

    def offsets(self, topic: str = "alerts") -> list[int]:
        return [int(dict(row.headers)["source_offset"]) for row in self.writer.rows.get(topic, [])]


def run(course: Callable[[Bench], Coroutine[Any, Any, None]], partitions: int = 1, **engine: Any) -> Bench:
    """Run a test's course on a fresh engine; returns the bench for what is asserted afterwards."""

    async def main() -> Bench:
        settings = load(None, {"topics": {"transactions": "tx"}, "engine": engine, "kafka": {"session_timeout_s": 10}})
        metrics, writer, failures = Metrics(), FakeWriter(), list[BaseException]()
        deliverer = Deliverer(writer, AlertLog("alerts", "id"), DeadLetterLog("dead", "id"), metrics)
        pipeline, group = FakePipeline(), FakeGroup()
        core = Engine(settings, pipeline, deliverer, metrics)
        lease = Lease(1, "me", frozenset(range(partitions)))
        for partition in range(partitions):
            lease.start(partition, 0)
            deliverer.take_over(partition, Tip(1, 0, "", -1), -1)
        core.start(group, failures.append)
        bench = Bench(settings, pipeline, group, writer, deliverer, core, lease, metrics, failures)
        try:
            await asyncio.wait_for(course(bench), 10)
        finally:
            await core.stop()
        return bench

    return asyncio.run(main())


async def turn(times: int = 20) -> None:
    """Let the event loop and the engine's threads do what they can."""
    for _ in range(times):
        await asyncio.sleep(0.002)
