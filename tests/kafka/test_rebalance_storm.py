"""Rebalance upon rebalance while every recovery takes longer than a session: state and alerts come out exact.

`STORM_REBALANCES` sets how many (each a member that joins and leaves).
"""

from __future__ import annotations

import asyncio
import os
import random
import threading
from collections.abc import Callable

from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

from stream.checkpoint import keys, marker
from stream.standing import compare_state
from tests.kafka.worker_rig import (
    SESSION_S,
    Topics,
    WorkerProcess,
    check,
    committed,
    ends,
    read_topic,
    topics_for,
    transactions,
    wait_until,
    with_checkpoints,
)


async def _come_and_go(topics: Topics, times: int, rng: random.Random) -> None:
    """Join as a member that does nothing, stay for a while or hardly at all, and leave."""
    for _ in range(times):
        member = AIOKafkaConsumer(
            topics.transactions,
            bootstrap_servers=topics.bootstrap,
            group_id=topics.group,
            partition_assignment_strategy=[StickyPartitionAssignor],
            enable_auto_commit=False,
            session_timeout_ms=int(SESSION_S * 1000),
            heartbeat_interval_ms=500,
            rebalance_timeout_ms=6000,
        )
        await member.start()
        await asyncio.sleep(rng.uniform(0.1, 2.0))
        await member.stop()
        await asyncio.sleep(rng.choice([0.1, SESSION_S, SESSION_S + 3.0]))  # in recovery, at its end, behind it


def _swept(topics: Topics) -> dict[int, int]:
    """Source offset of the newest checkpoint of each partition."""
    records = read_topic(topics.bootstrap, topics.sides["checkpoints"])
    return {r.partition: marker.decode(r.value, "the marker").offset for r in records if r.key == keys.MARKER}


def test_state_is_exact_after_any_number_of_rebalances(kafka: str, new_topic: Callable[..., str]) -> None:
    times = int(os.environ.get("STORM_REBALANCES", "3"))
    topics = with_checkpoints(topics_for(kafka, new_topic, partitions=2))
    rows = transactions(2500 * times, seed=6, poison_every=197)
    feed = threading.Thread(target=topics.produce, args=(rows, 500, 1.0))
    worker = WorkerProcess(topics, SLOW_RECOVERY=str(SESSION_S + 1.0), ENGINE__CHECKPOINT_S="2")
    worker.wait_ready(2)
    feed.start()
    asyncio.run(_come_and_go(topics, times, random.Random(8)))
    feed.join()
    wait_until(lambda: committed(topics) == ends(topics), timeout=120)
    offsets = committed(topics)
    wait_until(lambda: _swept(topics) == offsets, timeout=60)
    assert worker.terminate() == 0, worker.output()
    verdict = check(topics)
    assert verdict.clean() and verdict.alerts > 50, (verdict, worker.output())
    assert max(verdict.epochs.values()) > times, "the rebalances fell outside the stream"
    for partition in compare_state(topics.settings(), offsets):
        assert partition.comparison.equal and partition.comparison.rows > 20, partition
