"""The drills' control: a worker without the rules against a second writer, which nothing but a drill can start."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from stream.drill import careless
from stream.drill.check import Verdict
from stream.drill.course import Result
from stream.errors import SettingError
from stream.sinks.chain import Tip
from stream.tail import Tail
from stream.transport.consumer import BatchConsumer
from stream.transport.lease import Lease
from stream.transport.thread import BatchThread


def result(chain_problem: str = "", repeats: int = 0, rewinds: tuple[str, ...] = ()) -> Result:
    verdict = Verdict(set(), set(), repeats, 0, 0, 10, 0, 0, chain_problem)
    return Result("zombie", 1, 100, verdict, [], None, 0, "", {"rewound_commits": list(rewinds)})


def test_it_serves_drills_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in careless.GUARDED:
        monkeypatch.setenv(name, "drill.zombie.1")
    careless.check_drill()
    for name in careless.GUARDED:
        with monkeypatch.context() as one:
            one.setenv(name, "fraud")
            with pytest.raises(SettingError, match=f"{name} does not begin with 'drill.'"):
                careless.check_drill()
            one.delenv(name)
            with pytest.raises(SettingError, match=name):
                careless.check_drill()


def test_it_believes_what_the_rules_forbid(monkeypatch: pytest.MonkeyPatch) -> None:
    for owner, name in ((BatchThread, "holds"), (BatchConsumer, "heartbeat_age"), (Tail, "tip")):
        monkeypatch.setattr(owner, name, getattr(owner, name))  # put back afterwards
    coordinator = SimpleNamespace(generation=8, member_id="another")
    thread: Any = SimpleNamespace(_ensure_consumer=lambda: SimpleNamespace(_coordinator=coordinator), last_heartbeat=0)
    lease, consumer = Lease(7, "me", frozenset({0})), SimpleNamespace(_thread=thread)
    before = BatchThread.holds(thread, lease), BatchConsumer.heartbeat_age(consumer) > 1, Tail([], "id").tip(7).epoch  # type: ignore[arg-type]
    careless.forget_the_rules()
    after = BatchThread.holds(thread, lease), BatchConsumer.heartbeat_age(consumer) > 1, Tail([], "id").tip(7).epoch  # type: ignore[arg-type]
    assert before == (False, True, 7)
    assert after == (True, False, 1)
    assert Tail([], "id").tip(9) == Tip(epoch=1, sequence=0, hash="", decided_until=-1)


def test_a_second_writer_shows_in_the_verdict() -> None:
    assert not result().two_writers
    for shown in (result("a second alert follows number 7"), result(repeats=1), result(rewinds=("0 from 9 to 3",))):
        assert shown.two_writers and not shown.ok
        assert shown.as_dict()["two_writers"] is True
