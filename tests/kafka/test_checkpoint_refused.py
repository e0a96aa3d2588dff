"""A checkpoint that does not fit stops the worker with one sentence, and the remedy that it names works."""

from __future__ import annotations

from collections.abc import Callable

from kafka import KafkaAdminClient, KafkaProducer, TopicPartition

from stream.standing import compare_state
from tests.kafka.worker_rig import (
    Topics,
    WorkerProcess,
    committed,
    ends,
    read_topic,
    topics_for,
    transactions,
    wait_until,
    with_checkpoints,
)

OFTEN = {"ENGINE__CHECKPOINT_S": "1"}


def markers(topics: Topics) -> int:
    return sum(record.key == b"marker" for record in read_topic(topics.bootstrap, topics.sides["checkpoints"]))


def swept(kafka: str, new_topic: Callable[..., str]) -> Topics:
    """Topics that a worker has read and checkpointed."""
    topics = with_checkpoints(topics_for(kafka, new_topic, partitions=1))
    topics.produce(transactions(400, seed=9))
    worker = WorkerProcess(topics, **OFTEN)
    worker.wait_ready(1)
    wait_until(lambda: committed(topics) == ends(topics) and markers(topics) > 0)
    assert worker.terminate() == 0
    return topics


def refused(topics: Topics, *options: str) -> str:
    worker = WorkerProcess(topics, *options, **OFTEN)
    assert worker.wait(60) == 2, worker.output()
    return worker.lines[-1]


def test_a_damaged_block_stops_the_worker_until_the_state_is_rebuilt(kafka: str, new_topic: Callable[..., str]) -> None:
    topics = swept(kafka, new_topic)
    name = topics.sides["checkpoints"]
    records = read_topic(kafka, name)
    block = next(record for record in records if record.key == b"card/00000000")
    producer = KafkaProducer(bootstrap_servers=kafka)
    producer.send(name, block.value[:-3] + b"\0\1\2", key=block.key, partition=0)
    producer.send(name, records[-1].value, key=b"marker", partition=0)
    producer.flush()
    producer.close()
    assert refused(topics).startswith(
        f"fraudstream: block card/00000000 of {name}[0] is damaged: its checksum is another; start once with"
    )
    count = markers(topics)
    worker = WorkerProcess(topics, "--state", "rebuild", **OFTEN)
    worker.wait_ready(1)
    wait_until(lambda: markers(topics) > count)
    assert worker.terminate() == 0
    (verdict,) = compare_state(topics.settings(), committed(topics))
    assert verdict.comparison.equal, verdict


def test_records_that_expired_past_the_checkpoint_are_missed(kafka: str, new_topic: Callable[..., str]) -> None:
    topics = swept(kafka, new_topic)
    topics.produce(transactions(100, seed=10))
    blind = WorkerProcess(topics, "--exit-when-idle", "0.5", "--state", "empty", ENGINE__CHECKPOINT_S="3600")
    assert blind.wait(60) == 0, blind.output()
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    admin.delete_records({TopicPartition(topics.transactions, 0): 450})
    admin.close()
    assert f"the checkpoint of {topics.transactions}[0] stands at offset 400 and the log begins only at 450" in refused(
        topics
    )


def test_another_token_key_is_refused(kafka: str, new_topic: Callable[..., str]) -> None:
    topics = swept(kafka, new_topic)
    worker = WorkerProcess(topics, SECURITY__TOKEN_KEY="another key of thirty-two bytes!")
    assert worker.wait(60) == 2, worker.output()
    assert "was written under another security.token_key" in worker.lines[-1]
