"""Errors of the group coordinator, which a real broker does not make on demand: a mock cluster does."""

from __future__ import annotations

import threading
import time
import urllib.request
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import confluent_kafka
import pytest

from tests.kafka import mock_cluster
from tests.kafka.mock_cluster import MockCluster
from tests.kafka.worker_rig import Topics, WorkerProcess, check, transactions, wait_until

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


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        (
            {
                mock_cluster.HEARTBEAT: [mock_cluster.REBALANCE_IN_PROGRESS],
                mock_cluster.SYNC_GROUP: [mock_cluster.INVALID_REQUEST],
            },
            "the group coordinator reported",
        ),
        ({mock_cluster.HEARTBEAT: [mock_cluster.INVALID_REQUEST]}, "the group coordinator reported"),
        ({mock_cluster.OFFSET_COMMIT: [mock_cluster.ILLEGAL_GENERATION] * 2}, "commit refused"),
        ({mock_cluster.HEARTBEAT: [mock_cluster.UNKNOWN_MEMBER]}, "ready"),
    ],
    ids=["sync refused", "heartbeat refused", "commit refused", "member forgotten"],
)
def test_the_worker_rejoins_and_loses_nothing(cluster: MockCluster, faults: dict[int, list[int]], said: str) -> None:
    topics = Topics(cluster.bootstrap, "tx", "alerts", "dead", PARTITIONS)
    worker = WorkerProcess(topics, "--exit-when-idle", "1.5", UNCHECKED=str(PARTITIONS))
    worker.wait_ready(PARTITIONS)
    feed = threading.Thread(target=_feed, args=(topics, 4000, 3.0))
    feed.start()
    wait_until(lambda: "fraud_commit" in _metrics(worker))
    time.sleep(0.7)
    for request, codes in faults.items():
        cluster.fail_next(request, *codes)
    worker.wait_ready(PARTITIONS)
    feed.join()
    assert worker.wait(150) == 0, worker.output()
    assert said in worker.output()
    verdict = check(topics, _read)
    assert verdict.clean() and verdict.alerts > 30, (verdict, worker.output())


def _metrics(worker: WorkerProcess) -> str:
    url = next(line for line in worker.lines if line.startswith("ready")).split("metrics=")[1]
    with urllib.request.urlopen(f"{url}/metrics", timeout=5) as answer:  # noqa: S310 - our own address
        return str(answer.read().decode())
