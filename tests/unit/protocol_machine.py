"""The delivery protocol against a sequential counter: any order of fetches, answers, commits, rebalances and deaths."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import stream.app.worker
from stream.settings import load
from stream.sinks.chain import verify
from tests.unit.protocol_broker import PRODUCERS, REBALANCE_S, SESSION_S, SOURCE, Broker, Consumer, Producer
from tests.unit.protocol_member import CountingArena, Member
from tests.unit.protocol_time import QUANTUM, Clock, told_time

PARTITIONS = 2
MEMBERS = st.integers(0, 1)
VALUES = st.lists(st.sampled_from([b"a", b"b", b"?"]), min_size=2, max_size=8)
SETTINGS = load(
    None,
    {
        "topics": {"transactions": SOURCE, "alerts": "alerts", "dead_letters": "dead"},
        "kafka": {"session_timeout_s": SESSION_S, "rebalance_timeout_s": REBALANCE_S},
    },
)


class ProtocolMachine(RuleBasedStateMachine):
    """Two workers, two partitions, one broker in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.broker = Broker(Clock(), PARTITIONS)
        Consumer.broker = Producer.broker = self.broker
        PRODUCERS.clear()
        self.scope = ExitStack()
        fakes: dict[str, Any] = {"AIOKafkaConsumer": Consumer, "AIOKafkaProducer": Producer}
        fakes |= {"new_arena": lambda *program: CountingArena()}
        self.scope.enter_context(told_time(self.broker.clock, **fakes))
        original = stream.app.worker.build
        stream.app.worker.build = lambda *args: None  # type: ignore[assignment]
        self.scope.callback(setattr, stream.app.worker, "build", original)
        self.began, self.seen = 0, list[Any]()
        self.members = [self._start(), self._start()]
        self._pass(1.0)

    def _start(self) -> Member:
        self.began += 1
        return Member(f"worker-{self.began}", self.broker, SETTINGS)

    def _pass(self, seconds: float) -> None:
        until = self.broker.clock.now + seconds
        while self.broker.clock.now < until:
            self.broker.clock.now += QUANTUM
            self.broker.tick()
            for at, member in enumerate(self.members):
                if member.dead:
                    self.members[at] = self._start()
                else:
                    member.tick()

    # -- the world

    @rule(
        partition=st.integers(0, PARTITIONS - 1),
        values=st.lists(st.sampled_from([b"a", b"b", b"?"]), min_size=2, max_size=8),
    )
    def produce(self, partition: int, values: list[bytes]) -> None:
        for value in values:
            self.broker.append(SOURCE, partition, value)

    @rule(at=MEMBERS, limit=st.integers(1, 9))
    def fetch(self, at: int, limit: int) -> None:
        self.members[at].fetch(limit)

    @rule(seconds=st.sampled_from([0.05, 0.3]))
    def all_work(self, seconds: float) -> None:
        for at, member in enumerate(self.members):
            self.produce(at, [b"a", b"b", b"a"])
            member.fetch(4)
        self._pass(seconds)

    @rule(seconds=st.sampled_from([0.05, 0.3, 1.0, SESSION_S + 1.0]))
    def time_passes(self, seconds: float) -> None:
        self._pass(seconds)

    @rule(at=MEMBERS)
    def answers_are_held_back(self, at: int) -> None:
        self.members[at].holding = not self.members[at].holding

    @rule(at=MEMBERS, kind=st.sampled_from(["ack", "apply", "apply", "refuse"]))
    def the_broker_answers(self, at: int, kind: str) -> None:
        self.members[at].answer(kind)

    @rule(at=MEMBERS, faults=st.lists(st.sampled_from(["refused", "slow", "answer lost"]), min_size=1, max_size=3))
    def commits_fail(self, at: int, faults: list[str]) -> None:
        self.members[at].group.coordinator.faults.extend(faults)

    @rule(at=MEMBERS)
    def freeze_or_thaw(self, at: int) -> None:
        self.members[at].frozen = not self.members[at].frozen

    @rule(at=MEMBERS)
    def the_session_ends(self, at: int) -> None:
        self.broker.forget(self.members[at].group.coordinator.member_id)

    @rule(at=MEMBERS)
    def a_worker_dies_and_another_starts(self, at: int) -> None:
        self.members[at].crash()
        self.members[at] = self._start()

    @precondition(lambda self: self.broker.orphans)
    @rule(first=st.booleans(), arrives=st.booleans())
    def a_batch_of_the_past_arrives(self, first: bool, arrives: bool) -> None:
        write = self.broker.orphans.pop(0 if first else -1)
        if arrives:
            self.broker.apply(write)

    @rule(seconds=st.sampled_from([0.0, 0.4, 1.5]))
    def recovery_is_slow(self, seconds: float) -> None:
        self.broker.slow = seconds

    # -- what must be true after every step

    @invariant()
    def the_protocol_holds(self) -> None:
        """Nothing is looked at twice: most steps change no log and commit nothing."""
        marks = [(key, len(log)) for key, log in sorted(self.broker.logs.items())] + sorted(
            self.broker.committed.items()
        )
        if marks != self.seen:
            self.seen = marks
            self.what_is_committed_is_told()
            self.each_alert_once_in_one_chain()
            self.one_writer()
        self.state_is_that_of_a_sequential_run()
        self.durable_is_what_the_broker_confirmed()

    def what_is_committed_is_told(self) -> None:
        for partition in range(PARTITIONS):
            told, _ = surviving(self.broker, partition)
            letters = {offset_of(entry) for entry in self.broker.logs["dead", partition]}
            alerts, dead, _ = sequential(self.broker, partition, self.broker.committed.get(partition, 0))
            assert alerts.items() <= told.items(), f"committed, but not told: {alerts.keys() - told.keys()}"
            assert dead <= letters, f"committed, but no dead letter: {dead - letters}"

    def each_alert_once_in_one_chain(self) -> None:
        for partition in range(PARTITIONS):
            log = self.broker.logs["alerts", partition]
            report = verify((partition, entry.offset, entry.value) for entry in log)
            assert report.ok, report.first_problem
            expected, _, _ = sequential(self.broker, partition, None)
            told = {offset_of(entry): json.loads(entry.value)["score"] for entry in log}
            assert told.items() <= expected.items(), "an alert that a sequential run does not give"
            assert report.alerts - report.superseded == len(surviving(self.broker, partition)[0])

    def state_is_that_of_a_sequential_run(self) -> None:
        for member in self.members:
            for tp, arena in member.pipeline.arenas.items():
                _, _, counts = sequential(self.broker, tp.partition, arena.next_offset)
                assert arena.counts == counts, f"{member.name} {tp} at {arena.next_offset}"

    def durable_is_what_the_broker_confirmed(self) -> None:
        for member in self.members:
            for partition, offset in (member.group.lease.durable if member.group.lease else {}).items():
                assert offset <= self.broker.committed[partition], f"{member.name} believes {offset} of {partition}"

    def one_writer(self) -> None:
        assert not self.broker.rewinds, self.broker.rewinds
        for partition in range(PARTITIONS):
            _, writers = surviving(self.broker, partition)
            assert all(len(names) == 1 for names in writers.values()), f"an epoch with two writers: {writers}"

    def teardown(self) -> None:
        """Let everything heal: then all is told, and all is committed."""
        try:
            self._heal()
        finally:
            for member in self.members:
                member.crash()
            self.scope.close()

    def _heal(self) -> None:
        self.broker.slow = 0.0
        for member in self.members:
            member.frozen = member.holding = False
            member.group.coordinator.faults.clear()
        self._pass(2 * REBALANCE_S + 2 * SESSION_S)
        for _ in range(30):
            for member in self.members:
                member.fetch(50)
            self._pass(0.5)
        self.the_protocol_holds()
        for partition in range(PARTITIONS):
            assert self.broker.committed[partition] == len(self.broker.logs[SOURCE, partition]), (
                "the group stands still"
            )


def sequential(
    broker: Broker, partition: int, until: int | None
) -> tuple[dict[int, float], set[int], dict[bytes, int]]:
    """Alerts with their counts, dead letters, and the counter, of one pass over the log."""
    arena, alerts, dead = CountingArena(), dict[int, float](), set[int]()
    for record in broker.logs[SOURCE, partition][:until]:
        told, letter = arena.apply(record)
        if told is not None and told.score is not None:
            alerts[record.offset] = told.score
        if letter is not None:
            dead.add(record.offset)
    return alerts, dead, arena.counts


def offset_of(entry: Any) -> int:
    return int(dict(entry.headers)["source_offset"])


def surviving(broker: Broker, partition: int) -> tuple[dict[int, float], dict[int, set[str]]]:
    """Alerts on the chain that counts, walked back from the newest epoch's last; and who wrote in each epoch."""
    bodies = [(json.loads(entry.value), entry.writer) for entry in broker.logs["alerts", partition]]
    writers: dict[int, set[str]] = {}
    for body, writer in bodies:
        writers.setdefault(body["epoch"], set()).add(writer)
    by_hash = {body["hash"]: body for body, _ in bodies}
    newest = max(writers, default=0)
    at = next((body for body, _ in reversed(bodies) if body["epoch"] == newest), None)
    told = {}
    while at is not None:
        told[at["source"]["offset"]] = at["score"]
        at = by_hash.get(at["previous_hash"])
    return told, writers
