"""What is acked: only what is durable, in order, and never past something in flight."""

from __future__ import annotations

import asyncio
import threading
import time

from tests.unit.engine_fakes import Bench, run, turn


def test_alerts_are_durable_before_the_ack() -> None:
    async def course(bench: Bench) -> None:
        bench.writer.gate = asyncio.Event()
        bench.deliver(b"", b"!", b"")
        await turn()
        assert bench.lease.acked == {0: 0}
        bench.writer.gate.set()
        await bench.engine.settle(30)
        assert bench.lease.acked == {0: 3}

    assert run(course).offsets() == [1]


def test_nothing_is_acked_past_a_batch_in_flight() -> None:
    held = threading.Event()

    async def course(bench: Bench) -> None:
        bench.pipeline.slow = lambda: None if held.is_set() else held.wait(5) and None
        bench.deliver(*[b""] * 40)  # too large to be done on the event loop
        await turn()
        bench.deliver(b"!", offset=40)
        await turn()
        assert bench.lease.acked == {0: 0}
        held.set()
        await bench.engine.settle(30)
        assert bench.lease.acked == {0: 41}

    run(course)


def test_gaps_in_the_log_do_not_stall_the_ack() -> None:
    async def course(bench: Bench) -> None:
        bench.deliver(b"", b"", b"", offset=2, step=3)  # control records or compaction between them
        await bench.engine.settle(30)

    assert run(course).lease.acked == {0: 9}


def test_a_bug_stops_the_work_and_acks_nothing() -> None:
    async def course(bench: Bench) -> None:
        bench.deliver(b"!", b"bug")
        await turn()

    bench = run(course)
    assert bench.lease.acked == {0: 0} and bench.offsets() == []
    assert [str(error) for error in bench.failures] == ["a bug"]


def test_a_publish_failure_stops_before_the_ack() -> None:
    async def course(bench: Bench) -> None:
        bench.writer.broken = True
        bench.deliver(b"!")
        await turn()

    bench = run(course)
    assert bench.lease.acked == {0: 0} and len(bench.failures) == 1


def test_a_dead_letter_is_durable_before_the_ack() -> None:
    async def course(bench: Bench) -> None:
        bench.deliver(b"?", b"", b"?")
        await bench.engine.settle(30)

    bench = run(course)
    assert bench.offsets("dead") == [0, 2] and bench.lease.acked == {0: 3}


def test_a_batch_of_a_lost_generation_tells_nothing() -> None:
    async def course(bench: Bench) -> None:
        bench.pipeline.slow = lambda: setattr(bench.group, "member", False)  # lost while it is scored
        bench.deliver(b"!")
        await bench.engine.settle(30)

    bench = run(course)
    assert bench.offsets() == [] and bench.lease.acked == {0: 0} and bench.lease.lost
    assert bench.failures == []


def test_a_producer_given_up_with_the_lease_is_no_failure() -> None:
    async def course(bench: Bench) -> None:
        bench.writer.gate = asyncio.Event()
        bench.deliver(b"!")
        await turn()
        bench.lease.lost = True
        await bench.deliverer.abandon()
        await bench.engine.settle(30)

    bench = run(course)
    assert bench.failures == [] and bench.lease.acked == {0: 0} and bench.writer.abandoned == 1


def test_an_old_heartbeat_holds_alerts_back_until_a_new_one() -> None:
    async def course(bench: Bench) -> None:
        bench.group.age = 8.0  # of a session timeout of 10 s
        bench.deliver(b"!")
        await asyncio.sleep(0.2)
        assert bench.offsets() == []
        bench.group.age = 1.0
        began = time.monotonic()
        await bench.engine.settle(30)
        assert time.monotonic() - began < 1

    assert run(course).offsets() == [0]


def test_what_was_decided_before_the_take_over_is_not_told_again() -> None:
    from stream.sinks.chain import Tip

    async def course(bench: Bench) -> None:
        bench.deliverer.take_over(0, Tip(2, 5, "h", 1), 3)
        bench.deliver(b"!", b"!", b"!", b"?", b"?")
        await bench.engine.settle(30)

    bench = run(course)
    assert bench.offsets() == [2] and bench.offsets("dead") == [4] and bench.lease.acked == {0: 5}
