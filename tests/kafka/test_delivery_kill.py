"""kill -9 in mid-stream: nothing lost, nothing told twice, one chain."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tests.kafka.worker_rig import WorkerProcess, check, read_topic, topics_for, transactions, wait_until


def test_a_killed_worker_leaves_no_trace(kafka: str, new_topic: Callable[..., str]) -> None:
    topics = topics_for(kafka, new_topic)
    rows = transactions(10000, seed=2, poison_every=211)
    feed = threading.Thread(target=topics.produce, args=(rows, 500, 0.25))
    first = WorkerProcess(topics)
    first.wait_ready(4)
    feed.start()
    wait_until(lambda: len(read_topic(kafka, topics.alerts)) > 20)
    first.kill()
    second = WorkerProcess(topics, "--exit-when-idle", "1.0")
    feed.join()
    assert second.wait(150) == 0, second.output()
    verdict = check(topics)
    assert verdict.clean(), verdict
    assert verdict.alerts > 100 and verdict.dead > 40
    assert max(verdict.epochs.values()) >= 2, "the kill fell outside the stream"
