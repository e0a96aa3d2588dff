"""One worker on the broker in memory: the product's own lease, thread, engine, delivery, recovery and rebalances."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from aiokafka.structs import TopicPartition

from stream.app.delivery import Deliverer
from stream.app.engine import Engine
from stream.app.worker import Worker
from stream.events import TP, Alert, DeadLetter
from stream.monitor.health import Health
from stream.monitor.metrics import Metrics
from stream.pipeline import Chunk, Outcome
from stream.recovery import Recovery, Source
from stream.settings import Settings
from stream.sinks.alerts import AlertLog
from stream.sinks.dead_letters import DeadLetterLog
from stream.sinks.outbox import Outbox, PublishError
from stream.transport.lease import Delivery, Lease
from stream.transport.thread import BatchThread
from tests.unit.engine_fakes import alert, dead_letter
from tests.unit.protocol_broker import PRODUCERS, SESSION_S, SOURCE, Broker, Coordinator, Entry, Producer, Write
from tests.unit.protocol_time import AtOnce, ToldLoop

METRICS = Metrics()


@dataclass
class CountingArena:
    """How often each key was seen in a partition, up to an offset."""

    next_offset: int = 0
    counts: dict[bytes, int] = field(default_factory=dict)
    nbytes = rows = 0

    def apply(self, record: Entry) -> tuple[Alert | None, DeadLetter | None]:
        """Count; every third sight of a key is an alert that tells the count, ``?`` is a dead letter."""
        self.next_offset = record.offset + 1
        if record.value == b"?":
            return None, dead_letter(record.offset)
        count = self.counts[record.value] = self.counts.get(record.value, 0) + 1
        if (count + record.value[0]) % 3:
            return None, None
        return alert(record.offset, score=float(count)), None


class Counting:
    """A pipeline whose state is a counter, so that a sequential program can say what it must be."""

    def __init__(self) -> None:
        self.arenas: dict[TP, CountingArena] = {}

    def open(self, tp: TP, arena: CountingArena) -> None:
        self.arenas[tp] = arena

    def close(self, tp: TP) -> None:
        self.arenas.pop(tp, None)

    def arena(self, tp: TP) -> CountingArena | None:
        return self.arenas.get(tp)

    def replay(self, tp: TP, records: list[Entry]) -> None:
        self._run(Chunk(tp, records))

    def prepare(self, chunks: list[Chunk]) -> Any:
        return SimpleNamespace(outcomes=[self._run(chunk) for chunk in chunks], seconds={})

    def complete(self, prepared: Any) -> list[Outcome]:
        return list(prepared.outcomes)

    def _run(self, chunk: Chunk) -> Outcome:
        arena = self.arenas[chunk.tp]
        told = [arena.apply(r) for r in chunk.records if r.offset >= arena.next_offset]
        alerts = [_placed(a, chunk.tp.partition) for a, _ in told if a is not None]
        dead = [d for _, d in told if d is not None]
        end = chunk.records[-1].offset + 1
        return Outcome(chunk.tp, alerts, dead, end, chunk.records[0].offset, len(told), 0, 0, 0)


def _placed(told: Alert, partition: int) -> Alert:
    return alert(told.source.offset, partition, score=told.score)


class Membership(BatchThread):
    """The product's consumer thread on a made-up client; also the engine's view of the group."""

    log = logging.getLogger("protocol")

    def __init__(self, settings: Settings, broker: Broker, engine: Engine) -> None:
        self.settings, self.clock, self.engine = settings, broker.clock, engine
        self.coordinator = Coordinator(broker)
        nothing = lambda *args: None  # noqa: E731
        self._consumer = SimpleNamespace(_coordinator=self.coordinator, pause=nothing, resume=nothing, seek=nothing)
        self.last_heartbeat = self.clock.now
        self.hand_over = self._accept

    def _ensure_consumer(self) -> Any:
        return self._consumer

    def _accept(self, chunks: list[Delivery]) -> None:
        for chunk in chunks:
            self.engine.accept(chunk)

    def heartbeat_age(self) -> float:
        return self.clock.now - self.last_heartbeat

    def current_lease(self) -> Lease | None:
        return self.lease

    def end_offset(self, partition: int) -> int | None:
        return None

    commit_lease = BatchThread.commit_once
    committed = BatchThread.fetch_committed
    resume = BatchThread.resume_partition


class BareWorker(Worker):
    """The worker's rules without Faust around them."""

    membership: Membership

    @property
    def _group(self) -> Any:
        return self.membership


class Member:
    """A running worker with its own event loop; frozen, nothing in it moves."""

    def __init__(self, name: str, broker: Broker, settings: Settings) -> None:
        self.name, self.broker, self.settings = name, broker, settings
        self.frozen = self.dead = self.holding = False
        self.failure: BaseException | None = None
        self.state, self._task, self._beat = "out", None, 0.0
        self.loop = ToldLoop(broker.clock)
        self._on_loop(self._build())

    async def _build(self) -> None:
        outbox = Outbox("nowhere", 30.0)
        deliverer = Deliverer(outbox, AlertLog("alerts", "id"), DeadLetterLog("dead", "id"), METRICS)
        self.pipeline = Counting()
        engine = Engine(self.settings, self.pipeline, deliverer, METRICS)
        engine._preparing = engine._completing = AtOnce()
        source = Source("id", True, self.broker.partitions)
        recovery = Recovery(
            self.settings, source, self.pipeline, exclusive=engine.exclusive, logs=deliverer, metrics=METRICS
        )
        self.worker = BareWorker(
            self.settings, engine, deliverer, recovery, metrics=METRICS, health=Health(), say=lambda line: None
        )
        self.group = self.worker.membership = Membership(self.settings, self.broker, engine)
        await deliverer.start()
        engine.start(self.group, self._fail)
        self.worker.on_failure = self._fail
        self._commits = self.loop.create_task(self.worker._commit_forever())
        self._join()

    def _fail(self, error: BaseException | None) -> None:
        self.failure = self.failure or error

    def _on_loop(self, work: Any) -> asyncio.Task[Any]:
        Producer.writer = self.name
        task = self.loop.create_task(work)
        self.loop.run_ready()
        return task

    # -- what aiokafka's coordinator does

    def _join(self) -> None:
        coordinator = self.group.coordinator
        coordinator.member_id = self.broker.join(coordinator.member_id)
        self.state = "joining"

    def tick(self) -> None:
        """One quantum: heartbeats, rebalances, whatever is due."""
        if self.frozen or self.dead:
            return
        Producer.writer = self.name
        if not self.holding:
            self.answer("ack")
        step = {"joining": self._joining, "stable": self._beating, "revoking": self._revoking}[self.state]
        step()
        self.loop.run_ready()
        if isinstance(self.failure, PublishError):
            self.crash()
        elif self.failure is not None:
            raise self.failure

    def _joining(self) -> None:
        coordinator, seen = self.group.coordinator, self.broker.members.get(self.group.coordinator.member_id)
        if seen is None:
            self._join()
        elif not seen.joined and self.broker.rebalancing_until is None:
            coordinator.generation = self.broker.generation
            self.group.begin_lease([TopicPartition(SOURCE, p) for p in sorted(seen.partitions)])
            assert self.group.lease is not None
            self.state, self._beat = "stable", self.broker.clock.now
            self._on_loop(self.worker.on_assigned(self.group.lease))
        elif not seen.joined:  # the next rebalance began before we heard of the last
            self._join()

    def _heard(self) -> str:
        coordinator = self.group.coordinator
        if self.broker.clock.now - self._beat < SESSION_S / 6:
            return ""
        self._beat = self.broker.clock.now
        said = self.broker.heartbeat(coordinator.member_id, coordinator.generation)
        if said == "ok":
            self.group.last_heartbeat = self._beat
        elif said == "unknown":
            coordinator.generation, coordinator.member_id = -1, ""
        return said

    def _beating(self) -> None:
        if self._heard() in ("rebalance", "unknown"):
            lease = self.group.lease
            assert lease is not None
            self.group.end_lease()
            self.state, self._task = "revoking", self._on_loop(self.worker.on_revoked(lease))

    def _revoking(self) -> None:
        self._heard()
        assert self._task is not None
        if self._task.done():
            self._task.result()
            self._join()

    # -- what the test does

    def fetch(self, limit: int) -> None:
        """Hand over the next records of every partition that is ready."""
        lease = self.group.lease
        if self.dead or self.frozen or lease is None or lease.over:
            return
        logs, fetched = self.broker.logs, dict[int, list[Any]]()
        for partition, expected in lease.expected.items():
            if records := logs[SOURCE, partition][expected : expected + limit]:
                fetched[partition] = records
        Producer.writer = self.name
        self.group._pass_on(fetched)
        self.loop.run_ready()

    def _writes(self) -> list[Write]:
        return [write for producer in PRODUCERS if producer.name == self.name for write in producer.writes]

    def answer(self, kind: str) -> None:
        """Let the broker apply what was written; acknowledge it, keep silent, or refuse it."""
        for write in self._writes():
            if kind != "refuse":
                self.broker.apply(write)
            if kind == "ack" and not write.answer.done():
                write.answer.set_result(None)
            elif kind == "refuse" and not write.answer.done():
                write.answer.set_exception(_refusal())
        if kind != "apply":
            for producer in PRODUCERS:
                if producer.name == self.name:
                    producer.writes.clear()

    def crash(self) -> None:
        """kill -9: memory is gone; a batch on the wire may still arrive."""
        if not self.dead:
            self.dead = True
            for producer in PRODUCERS:
                if producer.name == self.name:
                    producer.orphan()
            self.loop.end()


def _refusal() -> Exception:
    from aiokafka.errors import MessageSizeTooLargeError

    return MessageSizeTooLargeError()
