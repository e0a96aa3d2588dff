"""The rival: a hand-tuned confluent-kafka loop on one thread that calls the worker's own functions.

It fetches in large batches, scores them, produces the alerts with an idempotent acks=all producer, and once a second
waits until they are durable before it commits. It rebuilds no state, forgets duplicates across restarts and forks the
chain when it is killed: what the worker adds is left out on purpose.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, Producer

from stream.advance import new_arena
from stream.events import TP
from stream.panels import load_panel
from stream.pipeline import Chunk, Pipeline
from stream.settings import load
from stream.sinks.chain import Tip, seal

BATCH = 512
COMMIT_S = 1.0


@dataclass(slots=True)
class Row:
    """What the pipeline needs of a record."""

    value: bytes | None
    key: bytes | None
    offset: int
    timestamp: int
    headers: Any = None


def _chunks(messages: list[Any], pipeline: Pipeline, tips: dict[int, Tip], topic: str) -> list[Chunk]:
    by_partition: dict[int, list[Row]] = {}
    for m in messages:
        by_partition.setdefault(m.partition(), []).append(Row(m.value(), m.key(), m.offset(), m.timestamp()[1]))
    for partition in by_partition.keys() - tips.keys():
        pipeline.open(TP(topic, partition), new_arena())
        tips[partition] = Tip(epoch=1, sequence=0, hash="", decided_until=-1)
    return [Chunk(TP(topic, partition), rows) for partition, rows in by_partition.items()]


def main(total: int, warm: float) -> None:
    """Consume ``total`` records; print the rate between ``warm`` of them and the end."""
    settings = load()
    pipeline = Pipeline(settings, load_panel(settings), topic_id="bench")
    topic = settings.topics.transactions
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka.bootstrap,
            "group.id": settings.kafka.group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
    )
    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap, "linger.ms": 2, "enable.idempotence": True})
    consumer.subscribe([topic])
    tips: dict[int, Tip] = {}
    done = alerts = 0
    mark: tuple[float, float, int] | None = None
    last = time.monotonic()
    while done < total:
        messages = consumer.consume(BATCH, 0.2)
        if not messages:
            continue
        prepared = pipeline.prepare(_chunks(messages, pipeline, tips, topic))
        for outcome in pipeline.complete(prepared):
            partition = outcome.tp.partition
            for alert in outcome.alerts:
                body, tips[partition] = seal(alert, tips[partition])
                producer.produce(settings.topics.alerts, body, partition=partition)
                alerts += 1
        done += len(messages)
        producer.poll(0)
        if time.monotonic() - last > COMMIT_S or done >= total:
            producer.flush()
            consumer.commit(asynchronous=False)
            last = time.monotonic()
        if mark is None and done >= warm * total:
            mark = time.monotonic(), time.process_time(), done
    assert mark is not None
    count = done - mark[2]
    seconds, cpu = time.monotonic() - mark[0], time.process_time() - mark[1]
    sys.stdout.write(json.dumps({"tps": count / seconds, "cpu_us": cpu / count * 1e6, "alerts": alerts}))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
