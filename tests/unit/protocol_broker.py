"""A broker in memory: logs, one consumer group as Kafka's coordinator keeps it, and clients with aiokafka's faces."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from aiokafka import errors
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from tests.unit.protocol_time import QUANTUM, Clock

SESSION_S, REBALANCE_S = 3.0, 6.0
SOURCE = "tx"


@dataclass
class Entry:
    """A record; `writer` is who produced it."""

    offset: int
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()
    writer: str = ""
    key: bytes | None = None
    timestamp: int = 1_700_000_000_000


@dataclass
class Membership:
    """One member as the coordinator sees it; `joined` for the generation to come."""

    seen: float
    joined: bool = False
    partitions: frozenset[int] = frozenset()


@dataclass
class Write:
    """A record batch on its way: applied once, answered once, perhaps neither."""

    writer: str
    topic: str
    partition: int
    rows: list[tuple[bytes, tuple[tuple[str, bytes], ...]]]
    answer: asyncio.Future[Any]
    applied: bool = False


@dataclass
class Broker:
    """Everything that outlives a worker."""

    clock: Clock
    partitions: int
    logs: dict[tuple[str, int], list[Entry]] = field(default_factory=lambda: defaultdict(list))
    committed: dict[int, int] = field(default_factory=dict)
    metadata: dict[int, str] = field(default_factory=dict)
    rewinds: list[str] = field(default_factory=list)
    members: dict[str, Membership] = field(default_factory=dict)
    generation: int = 0
    rebalancing_until: float | None = None
    orphans: list[Write] = field(default_factory=list)
    slow: float = 0.0
    _names: int = 0

    # -- logs

    def append(self, topic: str, partition: int, value: bytes, **fields: Any) -> None:
        log = self.logs[topic, partition]
        log.append(Entry(len(log), value, **fields))

    def apply(self, write: Write) -> None:
        if not write.applied:
            write.applied = True
            for value, headers in write.rows:
                self.append(write.topic, write.partition, value, headers=headers, writer=write.writer)

    # -- the group

    def join(self, member: str) -> str:
        """Join or join again; a member that was forgotten gets a new name."""
        if member not in self.members:
            self._names += 1
            member = f"member-{self._names}"
        self.members.setdefault(member, Membership(self.clock.now)).joined = True
        self._rebalance()
        return member

    def forget(self, member: str) -> None:
        """The session ended, or the member left."""
        if self.members.pop(member, None) is not None:
            self._rebalance()

    def _rebalance(self) -> None:
        if self.rebalancing_until is None:
            self.rebalancing_until = self.clock.now + REBALANCE_S

    def heartbeat(self, member: str, generation: int) -> str:
        if member not in self.members or generation != self.generation:
            return "unknown"
        self.members[member].seen = self.clock.now
        return "ok" if self.rebalancing_until is None else "rebalance"

    def tick(self) -> None:
        """Expire sessions; complete a rebalance when all have joined or its time is up."""
        for name, member in list(self.members.items()):
            waits = self.rebalancing_until is not None and member.joined
            if not waits and self.clock.now - member.seen > SESSION_S:
                self.forget(name)
        if self.rebalancing_until is None or not self.members:
            return
        if all(m.joined for m in self.members.values()) or self.clock.now >= self.rebalancing_until:
            self._complete()

    def _complete(self) -> None:
        self.members = {name: member for name, member in self.members.items() if member.joined}
        self.rebalancing_until = None
        self.generation += 1
        names = sorted(self.members)
        for at, name in enumerate(names):
            member = self.members[name]
            member.seen, member.joined = self.clock.now, False
            member.partitions = frozenset(range(at, self.partitions, len(names)))

    def commit(self, member: str, generation: int, offsets: dict[TopicPartition, OffsetAndMetadata]) -> None:
        if member not in self.members:
            raise errors.UnknownMemberIdError
        if generation != self.generation:
            raise errors.IllegalGenerationError
        self.members[member].seen = self.clock.now
        for tp, wanted in offsets.items():
            before = self.committed.get(tp.partition, -1)
            if wanted.offset < before:
                self.rewinds.append(f"{member} committed {wanted.offset} after {before} in partition {tp.partition}")
            self.committed[tp.partition] = wanted.offset
            self.metadata[tp.partition] = wanted.metadata


class Coordinator:
    """The coordinator as a member's client knows it; `faults` says how the next commits are answered."""

    coordinator_id = 1

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.generation, self.member_id = -1, ""
        self.faults: deque[str] = deque()

    async def _do_commit_offsets(self, assignment: None, offsets: dict[TopicPartition, OffsetAndMetadata]) -> None:
        sent = self.member_id, self.generation
        fault = self.faults.popleft() if self.faults else ""
        if fault == "refused":
            raise errors.GroupCoordinatorNotAvailableError
        if fault == "slow":
            await asyncio.sleep(1.0)
        self._broker.commit(*sent, offsets)
        if fault == "answer lost":
            raise errors.RequestTimedOutError

    async def fetch_committed_offsets(self, wanted: Sequence[TopicPartition]) -> dict[Any, Any]:
        broker = self._broker
        return {
            tp: OffsetAndMetadata(broker.committed[tp.partition], broker.metadata[tp.partition])
            for tp in wanted
            if tp.partition in broker.committed
        }


class Consumer:
    """aiokafka's consumer without a group, as recovery uses it: a few records a poll, each poll as slow as told."""

    broker: Broker  # set by the world, for all

    def __init__(self, **options: Any) -> None:
        self._positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def beginning_offsets(self, tps: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(tps, 0)

    async def end_offsets(self, tps: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return {tp: len(self.broker.logs[tp.topic, tp.partition]) for tp in tps}

    def assign(self, tps: Sequence[TopicPartition]) -> None:
        self._positions, self._paused = dict.fromkeys(tps, 0), set()

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self._positions[tp] = offset

    def pause(self, *tps: TopicPartition) -> None:
        self._paused |= set(tps)

    async def position(self, tp: TopicPartition) -> int:
        return self._positions[tp]

    async def getmany(self, timeout_ms: int = 0, max_records: int = 16) -> dict[TopicPartition, list[Entry]]:
        await asyncio.sleep(self.broker.slow or QUANTUM / 10)
        found = {}
        for tp, position in self._positions.items():
            records = self.broker.logs[tp.topic, tp.partition][position : position + 16]
            if records and tp not in self._paused:
                found[tp] = records
                self._positions[tp] = records[-1].offset + 1
        return found


class Batch:
    """aiokafka's batch builder."""

    def __init__(self) -> None:
        self.rows: list[tuple[bytes, tuple[tuple[str, bytes], ...]]] = []

    def append(self, *, key: bytes | None, value: bytes, timestamp: None, headers: Sequence[Any]) -> object:
        self.rows.append((value, tuple(headers)))
        return self

    def close(self) -> None: ...


class Producer:
    """aiokafka's producer: its writes wait until the broker is told to apply and to answer them."""

    broker: Broker
    writer: str  # whose turn it is, set by the world

    def __init__(self, **options: Any) -> None:
        self.writes: list[Write] = []
        self.name = self.writer
        self._sender = SimpleNamespace(sender_task=None)
        self.client = self
        PRODUCERS.append(self)

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def create_batch(self) -> Batch:
        return Batch()

    async def send_batch(self, batch: Batch, topic: str, partition: int) -> asyncio.Future[Any]:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.writes.append(Write(self.name, topic, partition, batch.rows, answer))
        return answer

    async def close(self) -> None:
        """The connection is cut; what was sent may still arrive."""
        self.orphan()

    def orphan(self) -> None:
        self.broker.orphans += [write for write in self.writes if not write.applied]
        self.writes.clear()


PRODUCERS: list[Producer] = []
