"""A real worker on a real Kafka: every transaction decided once, whatever is mixed in."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.kafka.worker_rig import WorkerProcess, check, read_topic, topics_for, transactions


def test_alerts_and_dead_letters_match_the_input(kafka: str, new_topic: Callable[..., str]) -> None:
    topics = topics_for(kafka, new_topic)
    topics.produce(transactions(6000, seed=1, poison_every=101))
    worker = WorkerProcess(topics, "--exit-when-idle", "0.5")
    worker.wait_ready(4)
    assert worker.wait(150) == 0, worker.output()
    verdict = check(topics)
    assert verdict.clean(), verdict
    assert verdict.alerts > 50 and verdict.dead == 60
    alerts = read_topic(topics.bootstrap, topics.alerts)
    headers = dict(alerts[0].headers)
    body = json.loads(alerts[0].value)
    assert int(headers["source_offset"]) == body["source"]["offset"]
    assert headers["alert_id"].decode() == body["alert_id"]
    assert all(record.key.startswith(b"tok_") for record in alerts)
