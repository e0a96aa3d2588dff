"""Reading whole topics with kafka-python: a client that shares no code with the worker's transport."""

from __future__ import annotations

from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.structs import OffsetAndMetadata

from stream.errors import BrokerError

IDLE_POLLS = 30


def _consumer(bootstrap: str) -> KafkaConsumer:
    return KafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=None,
        isolation_level="read_committed",
        enable_auto_commit=False,
        max_partition_fetch_bytes=16 * 1024 * 1024,
    )


def ends_of(bootstrap: str, topic: str) -> dict[int, int]:
    """End offset of each partition.

    Raises
    ------
    BrokerError
        The topic does not exist.
    """
    consumer = _consumer(bootstrap)
    try:
        partitions = consumer.partitions_for_topic(topic)
        if not partitions:
            raise BrokerError(f"topic {topic} does not exist")
        ends = consumer.end_offsets([TopicPartition(topic, p) for p in sorted(partitions)])
        return {tp.partition: offset for tp, offset in ends.items()}
    finally:
        consumer.close()


def read_all(bootstrap: str, topic: str, until: dict[int, int] | None = None) -> dict[int, list[Any]]:
    """Every committed record of a topic, by partition, up to the end offsets at the time of the call.

    Parameters
    ----------
    until
        End offset by partition; today's ends when absent.

    Raises
    ------
    BrokerError
        The broker stopped answering before the end was reached.
    """
    until = ends_of(bootstrap, topic) if until is None else until
    found: dict[int, list[Any]] = {partition: [] for partition in until}
    consumer = _consumer(bootstrap)
    try:
        tps = [TopicPartition(topic, partition) for partition in until]
        consumer.assign(tps)
        consumer.seek_to_beginning(*tps)
        idle = 0
        while any(consumer.position(tp) < until[tp.partition] for tp in tps):
            polled = consumer.poll(timeout_ms=500, max_records=20_000)
            idle = 0 if polled else idle + 1
            if idle > IDLE_POLLS:
                raise BrokerError(f"topic {topic} could not be read to its end; is the broker alive?")
            for tp, records in polled.items():
                found[tp.partition].extend(r for r in records if r.offset < until[tp.partition])
        return found
    finally:
        consumer.close()


def commit_at(bootstrap: str, group: str, topic: str, offsets: dict[int, int]) -> None:
    """Set a group's offsets, as an operator does who wants it to go live from there."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
    try:
        consumer.assign([TopicPartition(topic, partition) for partition in offsets])
        consumer.commit({TopicPartition(topic, p): OffsetAndMetadata(offset, "", -1) for p, offset in offsets.items()})
    finally:
        consumer.close()
