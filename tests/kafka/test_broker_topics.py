"""fraudstream's topics on a real Kafka: made once, checked ever after."""

from __future__ import annotations

import uuid

import pytest
from kafka import KafkaAdminClient

from stream.broker import TopicSpec, ensure_topics, product_topics
from stream.errors import BrokerError, SettingError
from stream.settings import TopicSettings


def own_names() -> TopicSettings:
    run = uuid.uuid4().hex[:8]
    return TopicSettings(**{name: f"{name}.{run}" for name in TopicSettings.model_fields})


def test_all_topics_get_the_same_partitions_and_a_second_call_makes_none(kafka: str) -> None:
    topics = product_topics(3, own_names())
    assert ensure_topics(kafka, topics) == list(topics)
    assert ensure_topics(kafka, topics) == []
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    found = {topic["name"]: len(topic["partitions"]) for topic in admin.describe_topics(list(topics))}
    admin.close()
    assert found == dict.fromkeys(topics, 3)


def test_transactions_carry_the_append_time() -> None:
    names = own_names()
    assert product_topics(1, names)[names.transactions].config["message.timestamp.type"] == "LogAppendTime"


def test_another_partition_count_is_refused_by_name(kafka: str) -> None:
    name = f"counted.{uuid.uuid4().hex[:8]}"
    ensure_topics(kafka, {name: TopicSpec(2)})
    with pytest.raises(SettingError, match=f"topic {name} has 2 partitions where 4"):
        ensure_topics(kafka, {name: TopicSpec(4)})


def test_an_unknown_topic_setting_is_refused(kafka: str) -> None:
    with pytest.raises(BrokerError, match="refused the topics"):
        ensure_topics(kafka, {f"odd.{uuid.uuid4().hex[:8]}": TopicSpec(1, {"no.such.setting": "1"})})


def test_no_kafka_is_one_sentence() -> None:
    with pytest.raises(BrokerError, match=r"no Kafka answers at 127\.0\.0\.1:9"):
        ensure_topics("127.0.0.1:9", {}, timeout=1.0)
