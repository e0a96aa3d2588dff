"""Any history of two workers, and those that once broke the delivery protocol; each must break it when a rule is off.

`PROTOCOL_EXAMPLES` sets how many histories are drawn, `PROTOCOL_STEPS` how long they are.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from stream.tail import Tail
from stream.transport.lease import Lease
from tests.unit.protocol_broker import REBALANCE_S, SESSION_S
from tests.unit.protocol_machine import ProtocolMachine
from tests.unit.protocol_member import Membership

A, ALERT = b"a", 1  # every third record of this key is an alert, from the second on


def _draw(examples: int, steps: int, **options: Any) -> None:
    run_state_machine_as_test(
        ProtocolMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            **options,
        ),
    )


def test_the_protocol_holds_through_any_history() -> None:
    _draw(int(os.environ.get("PROTOCOL_EXAMPLES", "50")), int(os.environ.get("PROTOCOL_STEPS", "50")))


async def _believe(self: Membership, lease: Lease, offsets: dict[int, int]) -> bool:
    await Membership.commit_once(self, lease, offsets)
    return True


def _delivered(self: Lease) -> dict[int, int]:
    return {p: offset for p, offset in self.expected.items() if offset > self.durable[p]}


@pytest.mark.parametrize(
    ("owner", "name", "fault"),
    [(Membership, "commit_lease", _believe), (Lease, "uncommitted", _delivered)],
    ids=["a refused commit counts as confirmed", "what was only fetched is committed"],
)
def test_a_planted_fault_is_found(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, fault: Any) -> None:
    monkeypatch.setattr(owner, name, fault)
    with pytest.raises(AssertionError):
        _draw(200, 50, derandomize=True, phases=[Phase.generate])


def _fenced_with_a_batch_in_flight() -> ProtocolMachine:
    """Worker 0 has alerts 1 and 4 of partition 0 on the wire when it freezes; worker 1 has taken over."""
    world = ProtocolMachine()
    world.answers_are_held_back(0)
    world.produce(0, [A] * 6)
    world.fetch(0, 6)
    world.freeze_or_thaw(0)
    world.time_passes(SESSION_S + 1.0)
    world.time_passes(REBALANCE_S)
    world.the_protocol_holds()
    return world


def _both_tell_first(world: ProtocolMachine) -> None:
    world.fetch(1, 6)
    world.time_passes(1.0)
    world.the_broker_answers(0, "apply")


def _the_successor_tells_half_and_dies(world: ProtocolMachine) -> None:
    world.the_broker_answers(0, "apply")
    world.fetch(1, 3)
    world.time_passes(1.0)
    world.a_worker_dies_and_another_starts(1)
    world.time_passes(SESSION_S + REBALANCE_S)


def _without_generation(self: Tail, generation: int = 1) -> Any:
    return TIP(self, 1)


def _by_whomever(self: Tail, generation: int = 1) -> Any:
    import dataclasses

    return dataclasses.replace(TIP(self, generation), decided_until=self.decided_until())


TIP = Tail.tip


@pytest.mark.parametrize(
    ("history", "fault"),
    [(_both_tell_first, _without_generation), (_the_successor_tells_half_and_dies, _by_whomever)],
    ids=["two writers never share an epoch", "what only a fenced worker told is told again"],
)
def test_a_fenced_writers_last_batch_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, history: Callable[[ProtocolMachine], None], fault: Any
) -> None:
    world = _fenced_with_a_batch_in_flight()
    history(world)
    world.teardown()
    assert sum(len(world.broker.logs["alerts", p]) for p in range(2)) == 4, "two of them superseded"
    monkeypatch.setattr(Tail, "tip", fault)
    world = _fenced_with_a_batch_in_flight()
    with pytest.raises(AssertionError):
        history(world)
        world.teardown()
