"""How long a batch waits for what other workers tell: not at all, for a while, or until it is there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from fakes import FakePanel, settings

from stream.advance import new_arena
from stream.app.checks import Topics
from stream.app.sides import SideTopics
from stream.entities.buckets import Bucket
from stream.entities.hours import HOUR
from stream.events import TP
from stream.monitor.metrics import Metrics
from stream.pipeline import Pipeline
from stream.recovery import Source

NOW = 500_000 * HOUR + 700_000  # transactions see the hours before 500,000


async def at_once(work: Callable[..., Any], *args: Any) -> Any:
    return work(*args)


def sides_of(wait_s: float) -> tuple[SideTopics, Pipeline]:
    """A worker that holds partition 0 of two, at `NOW`, and was told nothing of the other."""
    chosen = settings(engine={"profile_wait_s": wait_s})
    pipeline = Pipeline(chosen, FakePanel(), "topic")
    topics = Topics(2, Source("topic", True, 2), sides=frozenset({"profiles"}))
    made = SideTopics(chosen, topics, pipeline, at_once, Metrics())
    arena = new_arena(capacity=64)
    arena.watermark = NOW
    pipeline.open(TP(chosen.topics.transactions, 0), arena)
    asyncio.run(made.catch_up([0]))
    return made, pipeline


def tell(made: SideTopics, hour: int) -> Any:
    """Hand the reader a bucket of the other partition."""
    nothing = Bucket(hour, np.zeros(0, np.uint8), np.zeros(0, np.uint64), np.zeros((0, 5), np.int64))
    assert made._profiles is not None
    return made._profiles._merge(1, nothing)


def seconds(work: Any) -> float:
    began = time.monotonic()
    asyncio.run(work)
    return time.monotonic() - began


def test_by_default_nothing_is_waited_for() -> None:
    assert seconds(sides_of(0.0)[0].hold()) < 0.5


def test_an_hour_that_does_not_come_is_waited_for_once() -> None:
    made, _ = sides_of(0.6)
    assert seconds(made.hold()) >= 0.6
    assert seconds(made.hold()) < 0.5


def test_the_batch_goes_on_as_soon_as_the_hour_is_there() -> None:
    made, pipeline = sides_of(60.0)

    async def course() -> None:
        waiting = asyncio.create_task(made.hold())
        for hour in (499_997, 499_998, 499_999):
            assert not waiting.done()
            await tell(made, hour)
            await asyncio.sleep(0.01)
        await asyncio.wait_for(waiting, 5)

    asyncio.run(course())
    assert pipeline.merged.through(1) == 499_999


def test_closed_hours_wait_only_where_somebody_tells_them() -> None:
    for told in (True, False):
        _, pipeline = sides_of(0.0) if told else (None, Pipeline(settings(), FakePanel(), "topic"))
        arena = new_arena(capacity=64)
        arena.open.close(NOW - 5 * HOUR)
        pipeline.open(TP("tx", 1), arena)
        arena.open.close(NOW)
        assert len(arena.open.unsent) == 2 * told
