"""SIGTERM finishes, commits and leaves: the next worker repeats nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from tests.kafka.worker_rig import WorkerProcess, check, committed, read_topic, topics_for, transactions, wait_until


def test_sigterm_drains_and_commits_what_was_told(kafka: str, new_topic: Callable[..., str]) -> None:
    topics = topics_for(kafka, new_topic, partitions=2)
    feed = threading.Thread(target=topics.produce, args=(transactions(8000, seed=3, poison_every=97), 400, 0.2))
    worker = WorkerProcess(topics)
    worker.wait_ready(2)
    feed.start()
    wait_until(lambda: len(read_topic(kafka, topics.alerts)) > 20)
    began = time.monotonic()
    assert worker.terminate() == 0, worker.output()
    assert time.monotonic() - began < 10
    offsets = committed(topics)
    for record in read_topic(kafka, topics.alerts):
        assert int(dict(record.headers)["source_offset"]) < offsets[record.partition]
    feed.join()
    began = time.monotonic()
    follower = WorkerProcess(topics, "--exit-when-idle", "0.5")
    follower.wait_ready(2)
    assert follower.wait(150) == 0, follower.output()
    assert any("records replayed" in line for line in follower.lines), "the state was not rebuilt"
    verdict = check(topics)
    assert verdict.clean(), verdict
