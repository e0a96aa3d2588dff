"""Errors of the group coordinator, which a real broker does not make on demand: a mock cluster does."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import confluent_kafka
import pytest

from tests.kafka import mock_cluster
from tests.kafka.mock_cluster import MockCluster
from tests.kafka.worker_rig import Topics, WorkerProcess, check, transactions

PARTITIONS = 2


@pytest.fixture
def cluster() -> Iterator[MockCluster]:
    cluster = MockCluster(dict.fromkeys(("tx", "alerts", "dead"), PARTITIONS))
    yield cluster
    cluster.close()


def _feed(topics: Topics, n: int, seconds: float) -> None:
    producer = confluent_kafka.Producer({"bootstrap.servers": topics.bootstrap, "linger.ms": 5})
    for i, (key, value) in enumerate(transactions(n, seed=7)):
        producer.produce(topics.transactions, value, key, partition=int(key) % PARTITIONS)
        if i % 100 == 99:
            producer.flush()
            time.sleep(100 * seconds / n)
    producer.flush()


def _read(bootstrap: str, topic: str) -> list[Any]:
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"check-{topic}",
            "enable.partition.eof": True,
            "check.crcs": False,
        }
    )
    consumer.assign([confluent_kafka.TopicPartition(topic, p, 0) for p in range(PARTITIONS)])
    records, ended = [], set()
    while len(ended) < PARTITIONS:
        message = consumer.poll(5.0)
        assert message is not None, f"{topic} ended nowhere"
        if message.error():
            ended.add(message.partition())
            continue
        records.append(
            SimpleNamespace(
                partition=message.partition(),
                offset=message.offset(),
                value=message.value(),
                key=message.key(),
                timestamp=message.timestamp()[1],
                headers=message.headers() or [],
            )
        )
    consumer.close()
    return sorted(records, key=lambda record: (record.partition, record.offset))


FAULTS = {
    "commit refused": {mock_cluster.OFFSET_COMMIT: [mock_cluster.ILLEGAL_GENERATION] * 2},
    "SyncGroup refused": {
        mock_cluster.HEARTBEAT: [mock_cluster.REBALANCE_IN_PROGRESS],
        mock_cluster.SYNC_GROUP: [mock_cluster.INVALID_REQUEST],
    },
    "heartbeat refused": {mock_cluster.HEARTBEAT: [mock_cluster.INVALID_REQUEST]},
    "member forgotten": {mock_cluster.HEARTBEAT: [mock_cluster.UNKNOWN_MEMBER]},
}


def test_the_worker_rejoins_after_each_fault_and_loses_nothing(cluster: MockCluster) -> None:
    topics = Topics(cluster.bootstrap, "tx", "alerts", "dead", PARTITIONS)
    worker = WorkerProcess(topics, "--exit-when-idle", "4", UNCHECKED=str(PARTITIONS))
    worker.wait_ready(PARTITIONS)
    feed = threading.Thread(target=_feed, args=(topics, 6000, 12.0))
    feed.start()
    for name, faults in FAULTS.items():
        time.sleep(0.4)
        for request, codes in faults.items():
            cluster.fail_next(request, *codes)
        assert worker.wait_ready(PARTITIONS, timeout=90), name
    feed.join()
    assert worker.wait(150) == 0, worker.output()
    assert "the group coordinator reported" in worker.output()
    assert "commit refused" in worker.output()
    verdict = check(topics, _read)
    assert verdict.clean() and verdict.alerts > 30, (verdict, worker.output())
