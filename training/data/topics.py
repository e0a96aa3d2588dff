"""What the senders and the report need to know of a cluster: partitions and end offsets, by kafka-python."""

from collections.abc import Iterator
from contextlib import contextmanager

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from stream.errors import BrokerError, SettingError

CONNECT_MS = 8_000


@contextmanager
def consumer(bootstrap: str, group: str | None = None) -> Iterator[KafkaConsumer]:
    """A read-committed consumer, closed at the end.

    Raises
    ------
    BrokerError
        If no broker answers at `bootstrap`.
    """
    try:
        opened = KafkaConsumer(
            bootstrap_servers=bootstrap,
            group_id=group,
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            bootstrap_timeout_ms=CONNECT_MS,
            max_partition_fetch_bytes=8 * 1024 * 1024,
        )
    except (KafkaError, OSError, ValueError) as error:
        raise unreachable(bootstrap, error) from error
    try:
        yield opened
    finally:
        opened.close()


def unreachable(bootstrap: str, error: BaseException) -> BrokerError:
    """The one sentence for a broker that does not answer."""
    return BrokerError(
        f"no Kafka answers at --bootstrap {bootstrap} ({type(error).__name__}); check the address, or start one with: "
        "fraudstream broker start"
    )


def partitions_of(bootstrap: str, topic: str) -> list[int]:
    """Partitions of a topic, sorted.

    Raises
    ------
    SettingError
        If the topic does not exist; it is never created by asking.
    BrokerError
        If no broker answers.
    """
    found = _partitions(bootstrap, topic)
    if not found:
        raise SettingError(f"the topic {topic!r} does not exist at {bootstrap}: create it or correct the topic's name.")
    return sorted(found)


def exists(bootstrap: str, topic: str) -> bool:
    """Whether the broker has a topic; it is never created by asking. Raises as `partitions_of`, for the broker."""
    return bool(_partitions(bootstrap, topic))


def _partitions(bootstrap: str, topic: str) -> set[int] | None:
    with consumer(bootstrap) as opened:
        return opened.partitions_for_topic(topic) if topic in opened.topics() else None


def end_offsets(bootstrap: str, topic: str) -> dict[int, int]:
    """End offset of every partition of a topic (see `partitions_of` for what is raised)."""
    parts = partitions_of(bootstrap, topic)
    with consumer(bootstrap) as opened:
        ends = opened.end_offsets([TopicPartition(topic, part) for part in parts])
    return {tp.partition: int(offset) for tp, offset in ends.items()}
