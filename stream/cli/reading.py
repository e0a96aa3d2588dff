"""How the commands read a topic: every committed record, without a group, with kafka-python."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stream.errors import BrokerError, SettingError
from stream.settings import Settings, load

_POLLS = 40  # of half a second without a record before a broker counts as gone


def settings_for(config: Path | None, bootstrap: str | None) -> Settings:
    """Settings with an address given on the command line put over the file's."""
    return load(config, {"kafka": {"bootstrap": bootstrap}} if bootstrap else None)


class TopicReader:
    """Some or all partitions of one topic.

    Raises
    ------
    BrokerError
        Nothing answers at the address.
    SettingError
        The topic or the partition does not exist.
    """

    def __init__(self, bootstrap: str, topic: str, partition: int | None = None, timeout_s: float = 5.0) -> None:
        from kafka import KafkaConsumer, TopicPartition
        from kafka.errors import KafkaError

        for name in ("kafka.conn", "kafka.client", "kafka.cluster", "kafka.net"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            self._consumer = KafkaConsumer(
                bootstrap_servers=bootstrap,
                group_id=None,
                enable_auto_commit=False,
                isolation_level="read_committed",
                bootstrap_timeout_ms=round(timeout_s * 1000),
                max_partition_fetch_bytes=16 << 20,
            )
            known = topic in self._consumer.topics()  # asking for one that is not there would create it
            found = self._consumer.partitions_for_topic(topic) if known else None
        except (KafkaError, OSError, ValueError) as error:
            raise BrokerError(
                f"no Kafka answers at {bootstrap} ({type(error).__name__}); check --bootstrap or kafka.bootstrap"
            ) from None
        if not found:
            self._consumer.close()
            raise SettingError(f"the topic {topic} does not exist at {bootstrap}; check --topic or --bootstrap")
        if partition is not None and partition not in found:
            self._consumer.close()
            raise SettingError(f"the topic {topic} has no partition {partition}; it has 0 to {max(found)}")
        self.topic = topic
        self._tps = [TopicPartition(topic, p) for p in sorted(found) if partition in (None, p)]
        self._consumer.assign(self._tps)

    def history(self, from_offset: int = 0) -> Iterator[Any]:
        """Every record from an offset to the ends as they are now; each partition's in its order.

        Raises
        ------
        BrokerError
            The broker stopped answering before the ends.
        """
        begins, ends = self._consumer.beginning_offsets(self._tps), self._consumer.end_offsets(self._tps)
        for tp in self._tps:
            self._consumer.seek(tp, min(max(begins[tp], from_offset), ends[tp]))
        quiet = 0
        while any(self._consumer.position(tp) < ends[tp] for tp in self._tps):
            polled = self._consumer.poll(timeout_ms=500)
            quiet = 0 if polled else quiet + 1
            if quiet > _POLLS:
                raise BrokerError(f"the topic {self.topic} could not be read to its end; is the broker alive?")
            for tp, records in polled.items():
                yield from (record for record in records if record.offset < ends[tp])

    def follow(self, from_beginning: bool) -> Iterator[Any]:
        """Records as they come, for ever; None about twice a second while there is none."""
        seek = self._consumer.seek_to_beginning if from_beginning else self._consumer.seek_to_end
        seek(*self._tps)
        for tp in self._tps:
            self._consumer.position(tp)
        while True:
            polled = self._consumer.poll(timeout_ms=500)
            if not polled:
                yield None
            for records in polled.values():
                yield from records

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()


@contextmanager
def reading(bootstrap: str, topic: str, partition: int | None = None) -> Iterator[TopicReader]:
    """Open a reader and close it again, also on Ctrl-C."""
    reader = TopicReader(bootstrap, topic, partition)
    try:
        yield reader
    finally:
        reader.close()
