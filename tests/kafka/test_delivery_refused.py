"""What cannot be written stops the worker before the ack, in one sentence; once it can, nothing is missing."""

from __future__ import annotations

from collections.abc import Callable

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from tests.kafka.worker_rig import WorkerProcess, check, committed, read_topic, topics_for, transactions


def _allow_large(kafka: str, topic: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": "1048588"})])
    admin.close()


def test_nothing_is_committed_past_what_could_not_be_told(kafka: str, new_topic: Callable[..., str]) -> None:
    tight = {"max.message.bytes": "200"}
    topics = topics_for(kafka, new_topic, partitions=1, alerts=tight, dead=tight)
    topics.produce(transactions(300, seed=5, poison_every=50))
    refused = WorkerProcess(topics)
    assert refused.wait(150) == 5, refused.output()
    assert f"{topics.alerts}[0] cannot be written" in refused.output()
    assert committed(topics)[0] == 0 and read_topic(kafka, topics.alerts) == []

    _allow_large(kafka, topics.alerts)
    refused = WorkerProcess(topics)
    assert refused.wait(150) == 5, refused.output()
    assert f"{topics.dead_letters}[0] cannot be written" in refused.output()
    assert committed(topics)[0] <= 7, "the first broken message is at offset 7"
    assert read_topic(kafka, topics.dead_letters) == []

    _allow_large(kafka, topics.dead_letters)
    healed = WorkerProcess(topics, "--exit-when-idle", "0.5")
    assert healed.wait(150) == 0, healed.output()
    verdict = check(topics)
    assert verdict.clean() and verdict.dead == 6, verdict
