"""kill -9 and start again: the state is that of a run that was never interrupted, row by row, and no alert differs."""

from __future__ import annotations

import threading
from collections.abc import Callable

from stream.standing import compare_state
from tests.kafka.worker_rig import (
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

OFTEN = {"ENGINE__CHECKPOINT_S": "1", "ENGINE__CHECKPOINT_EVENTS": "1000"}


def markers(kafka: str, topic: str) -> int:
    return sum(record.key == b"marker" for record in read_topic(kafka, topic))


def test_a_killed_worker_comes_back_with_its_state(kafka: str, new_topic: Callable[..., str]) -> None:
    topics = with_checkpoints(topics_for(kafka, new_topic))
    rows = transactions(10_000, seed=5, poison_every=211)
    feed = threading.Thread(target=topics.produce, args=(rows, 500, 0.25))
    first = WorkerProcess(topics, **OFTEN)
    first.wait_ready(4)
    feed.start()
    wait_until(lambda: markers(kafka, topics.sides["checkpoints"]) >= 5)
    first.kill()
    second = WorkerProcess(topics, **OFTEN)
    second.wait_ready(4)
    feed.join()
    wait_until(lambda: committed(topics) == ends(topics), 60)
    second.kill()
    told = [line for line in second.lines if "recovered" in line]
    assert " 4 loaded" in told[0], second.output()
    verdict = check(topics)
    assert verdict.clean(), verdict
    for one in compare_state(topics.settings(), committed(topics)):
        assert one.comparison.equal, one
        assert one.comparison.rows > 10
        assert 0 < one.checkpoint <= one.offset
