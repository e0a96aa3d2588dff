"""A second worker joins and leaves in mid-stream."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tests.kafka.worker_rig import WorkerProcess, check, topics_for, transactions


def test_partitions_move_without_loss_or_repeat(kafka: str, new_topic: Callable[..., str]) -> None:
    topics = topics_for(kafka, new_topic)
    feed = threading.Thread(target=topics.produce, args=(transactions(16000, seed=4, poison_every=173), 400, 0.3))
    first = WorkerProcess(topics)
    first.wait_ready(4)
    feed.start()
    second = WorkerProcess(topics)
    second.wait_ready(2)
    first.wait_ready(2)
    assert second.terminate() == 0, second.output()
    first.wait_ready(4)
    feed.join()
    third = WorkerProcess(topics, "--exit-when-idle", "1.0")
    third.wait_ready(2)
    assert first.terminate() == 0, first.output()
    assert third.wait(150) == 0, third.output()
    verdict = check(topics)
    assert verdict.clean(), verdict
    assert verdict.alerts > 100 and max(verdict.epochs.values()) >= 2
