"""A real worker knows of accounts before its first decision, and tells in its alerts what it knew."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import numpy as np
import pytest
from kafka import KafkaProducer

from tests.kafka.worker_rig import WorkerProcess, read_topic, topics_for, transactions

HOUR = 3_600_000


def test_alerts_say_what_was_known_of_the_account(kafka: str, new_topic: Callable[..., str]) -> None:
    topics = topics_for(kafka, new_topic)
    events = new_topic("events", partitions=3, config={"message.timestamp.type": "LogAppendTime"})
    sent = [(key, json.loads(value)) for key, value in transactions(4_000, seed=5)]
    begin = sent[0][1]["event_time"]
    producer = KafkaProducer(bootstrap_servers=kafka)
    resets: dict[str, int] = {}
    for number, card in enumerate(sorted({body["card_id"] for _, body in sent})[::2]):
        resets[card] = begin - number * HOUR
        message = {"event_id": str(number), "customer_id": f"of {card}", "type": "password_reset"}
        producer.send(events, json.dumps(message | {"event_time": resets[card]}).encode())
    producer.send(events, b"no event", partition=1)
    producer.flush()
    producer.close()
    topics.produce([(key, json.dumps(body | {"customer_id": f"of {body['card_id']}"}).encode()) for key, body in sent])
    worker = WorkerProcess(topics, "--exit-when-idle", "2.5", TOPICS__EVENTS=events)
    assert worker.wait(150) == 0, worker.output()
    bodies = {body["transaction_id"]: body for _, body in sent}
    known = []
    for record in read_topic(kafka, topics.alerts):
        alert = json.loads(record.value)
        body = bodies[alert["transaction"]["transaction_id"]]
        age = alert["features"]["credential_age"]
        reset = resets.get(body["card_id"])
        if reset is None:
            assert age is None
        elif body["event_time"] - reset >= 5_000:
            known.append(reset)
            assert age == pytest.approx(np.log1p((body["event_time"] - reset) / 1000), abs=1e-5)
    assert len(known) > 20 and len(set(known)) > 10
    (letter,) = [json.loads(record.value) for record in read_topic(kafka, topics.dead_letters)]
    assert (letter["topic"], letter["partition"], letter["offset"], letter["stage"]) == (
        events,
        1,
        letter["offset"],
        "events",
    )
    assert time.time() * 1000 - letter["timestamp"] < 600_000
