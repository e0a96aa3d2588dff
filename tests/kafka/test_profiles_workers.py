"""Two workers with a partition each: both know what a merchant does at the other, also after one was killed."""

from __future__ import annotations

import json
import math
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from kafka import KafkaProducer

from stream.entities.buckets import DAILY, decode_bucket
from stream.entities.hours import HOUR
from tests.kafka.worker_rig import Topics, WorkerProcess, read_topic, topics_for, wait_until, with_checkpoints

START = (int(time.time() * 1000) // HOUR - 12) * HOUR
FIRST = START // HOUR
STEP = 20_000  # ms between two transactions of a partition
PER_HOUR = HOUR // STEP


def traffic(topics: Topics, begin: float, end: float) -> None:
    """All transactions of both partitions between two times, hours after the start, at one merchant."""
    amounts = random.Random(begin)
    producer = KafkaProducer(bootstrap_servers=topics.bootstrap, linger_ms=5)
    for at in range(START + int(begin * HOUR), START + int(end * HOUR), STEP):
        for partition in (0, 1):
            number = at // STEP
            body = {
                "transaction_id": f"{partition}-{number}",
                "event_time": at,
                "merchant_id": "shop",
                "currency": "EUR",
            }
            body |= {"card_id": f"card-{partition}-{number % 7}", "amount": round(amounts.lognormvariate(3, 1), 2)}
            producer.send(topics.transactions, json.dumps(body).encode(), partition=partition)
    producer.flush()
    producer.close()


def hours_told(topics: Topics) -> dict[tuple[int, int], list[bytes]]:
    """Records of each partition's hours."""
    told: dict[tuple[int, int], list[bytes]] = {}
    for record in read_topic(topics.bootstrap, topics.sides["profiles"]):
        bucket = decode_bucket(record.value).bucket
        if bucket.span != DAILY:
            told.setdefault((record.partition, bucket.hour - FIRST), []).append(record.value)
    return told


def alerts_since(topics: Topics, hour: float) -> list[dict[str, Any]]:
    bodies = [json.loads(record.value) for record in read_topic(topics.bootstrap, topics.alerts)]
    return [body for body in bodies if body["transaction"]["event_time"] >= START + hour * HOUR]


def test_workers_share_what_merchants_do_and_a_kill_loses_no_hour(kafka: str, new_topic: Callable[..., str]) -> None:
    topics = with_checkpoints(topics_for(kafka, new_topic, partitions=2))
    topics.sides["profiles"] = new_topic("profiles", partitions=2)
    often = {"ENGINE__CHECKPOINT_S": "1"}
    one, two = WorkerProcess(topics, **often), WorkerProcess(topics, **often)
    one.wait_ready(1)
    two.wait_ready(1)
    traffic(topics, 0, 5.1)
    wait_until(lambda: {(0, 4), (1, 4)} <= hours_told(topics).keys())
    time.sleep(1.0)  # the hour that is durable is read by the other worker as well
    traffic(topics, 5.2, 5.9)
    wait_until(lambda: len({a["source"]["partition"] for a in alerts_since(topics, 5.2)}) == 2)
    for alert in alerts_since(topics, 5.2):
        assert alert["profile_version"] == f"{FIRST + 4}:0.0"
        assert round(math.expm1(alert["features"]["merchant_attempt_count_24h"])) == 2 * 5 * PER_HOUR

    traffic(topics, 5.9, 7.5)
    one.kill()
    traffic(topics, 7.5, 9.2)
    three = WorkerProcess(topics, "--exit-when-idle", "1.0", **often)
    wait_until(lambda: {(0, 8), (1, 8)} <= hours_told(topics).keys(), 60)
    two.terminate()
    assert three.wait(60) == 0, three.output()
    told = hours_told(topics)
    attempts = Counter({place: int(decode_bucket(told[place][0]).bucket.counts[:, 0].sum()) for place in told})
    missing = {5: round(0.1 * PER_HOUR)}  # the time between two stretches of traffic
    assert {place: n for place, n in attempts.items() if n} == {
        (partition, hour): PER_HOUR - missing.get(hour, 0) for partition in (0, 1) for hour in range(9)
    }
    assert all(len(set(records)) == 1 for records in told.values()), "an hour was told again with other content"
