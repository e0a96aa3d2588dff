"""What is wrong at start is said in one sentence, within seconds, and nothing is joined."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from kafka import KafkaAdminClient, TopicPartition
from kafka.structs import OffsetAndMetadata

from stream.app.checks import check_broker
from stream.errors import BrokerError, SettingError
from stream.settings import Settings, TopicSettings, load
from tests.kafka.worker_rig import Topics, WorkerProcess, topics_for, transactions


def _settings(topics: Topics, **kafka: Any) -> Settings:
    names = dict.fromkeys(TopicSettings.model_fields, "")
    names |= {"transactions": topics.transactions, "alerts": topics.alerts, "dead_letters": topics.dead_letters}
    return load(None, {"kafka": {"bootstrap": topics.bootstrap, "group": topics.group, **kafka}, "topics": names})


def test_an_unreachable_broker_is_named_within_the_timeout() -> None:
    began = time.monotonic()
    with pytest.raises(BrokerError, match=r"kafka\.bootstrap '127\.0\.0\.1:1' cannot be reached"):
        check_broker(load(None, {"kafka": {"bootstrap": "127.0.0.1:1", "connect_timeout_s": 2}}))
    assert time.monotonic() - began < 10


def test_a_missing_topic_is_named(kafka: str, new_topic: Callable[..., str]) -> None:
    topics = Topics(kafka, new_topic("tx"), new_topic("alerts"), "no.such.topic", 1)
    with pytest.raises(SettingError, match=r"topics\.dead_letters 'no\.such\.topic' does not exist"):
        check_broker(_settings(topics))


def test_another_number_of_partitions_is_named(kafka: str, new_topic: Callable[..., str]) -> None:
    topics = Topics(kafka, new_topic("tx", partitions=2), new_topic("alerts", partitions=3), new_topic("dead"), 2)
    with pytest.raises(SettingError, match=r"topics\.alerts .* has 3 partitions and topics\.transactions .* has 2"):
        check_broker(_settings(topics))


def test_the_topic_id_and_a_fresh_group_are_recognised(kafka: str, new_topic: Callable[..., str]) -> None:
    topics = topics_for(kafka, new_topic, partitions=1)
    first = check_broker(_settings(topics))
    assert first.partitions == 1 and first.source.fresh and len(first.source.topic_id) >= 16
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    admin.alter_group_offsets(topics.group, {TopicPartition(topics.transactions, 0): OffsetAndMetadata(0, "", -1)})
    admin.close()
    again = check_broker(_settings(topics))
    assert not again.source.fresh and again.source.topic_id == first.source.topic_id


def test_an_expired_offset_stops_the_start(kafka: str, new_topic: Callable[..., str]) -> None:
    topics = topics_for(kafka, new_topic, partitions=1)
    topics.produce(transactions(50, seed=6))
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    source = TopicPartition(topics.transactions, 0)
    admin.alter_group_offsets(topics.group, {source: OffsetAndMetadata(10, "", -1)})
    admin.delete_records({source: 20})
    admin.close()
    worker = WorkerProcess(topics)
    assert worker.wait(150) == 2, worker.output()
    assert "stands at offset 10" in worker.output() and "(20 to 50)" in worker.output()
