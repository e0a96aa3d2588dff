"""Natural micro-batches: what piled up goes together, within bounds."""

from __future__ import annotations

import asyncio

from stream.transport.lease import Lease
from tests.unit.engine_fakes import Bench, run, turn


def test_pending_chunks_are_merged_per_partition() -> None:
    async def course(bench: Bench) -> None:
        bench.deliver(b"", b"")
        bench.deliver(b"", partition=1)
        bench.deliver(b"", offset=2)
        await bench.engine.settle(30)
        await turn()

    bench = run(course, partitions=2)
    assert bench.pipeline.batches == [[3, 1]] and bench.lease.acked == {0: 3, 1: 1}


def test_a_batch_is_cut_at_its_limit_and_the_rest_follows() -> None:
    async def course(bench: Bench) -> None:
        bench.deliver(*[b""] * 25)
        await turn()

    bench = run(course, batch_max=10)
    assert bench.pipeline.batches == [[10], [10], [5]] and bench.lease.acked == {0: 25}


def test_taken_records_make_room_for_the_fetcher() -> None:
    async def course(bench: Bench) -> None:
        bench.lease.delivered_records, bench.lease.delivered_bytes = 3, 6
        assert bench.lease.room(5, 100) == 2 and bench.lease.room(5, 6) == 0
        bench.deliver(b"aa", b"bb", b"cc")
        await bench.engine.settle(30)
        assert bench.lease.room(5, 6) == 5

    run(course)


def test_a_revoked_lease_takes_nothing_more() -> None:
    async def course(bench: Bench) -> None:
        bench.lease.over = True
        bench.deliver(b"!")
        await turn()

    bench = run(course)
    assert bench.pipeline.batches == [] and bench.offsets() == []


def test_chunks_of_a_forgotten_member_are_dropped_before_the_state_moves() -> None:
    async def course(bench: Bench) -> None:
        bench.group.member = False
        bench.deliver(b"!")
        await turn()

    assert run(course).pipeline.batches == []


def test_work_that_moves_state_runs_between_batches() -> None:
    async def course(bench: Bench) -> None:
        order: list[str] = []
        bench.pipeline.slow = lambda: order.append("batch")
        bench.deliver(*[b""] * 40)
        await asyncio.gather(turn(), bench.engine.exclusive(order.append, "between"))
        assert sorted(order) == ["batch", "between"]

    run(course)


def test_commits_follow_the_broker_not_the_wish() -> None:
    lease = Lease(1, "me", frozenset({0, 1}))
    lease.start(0, 10)
    lease.start(1, 20)
    lease.acked[0] = 15
    assert lease.uncommitted() == {0: 15}
    lease.confirm({0: 15})
    lease.confirm({0: 12})
    assert lease.durable == {0: 15, 1: 20} and lease.uncommitted() == {}
