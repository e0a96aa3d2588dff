"""A history for a new deployment: transactions out of a file or a topic, and the labels beside them, by partition."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from kafka import KafkaConsumer, TopicPartition

from stream.advance import broadcast
from stream.codec import Codec
from stream.codec.columns import concat, take
from stream.codec.history import read_columns
from stream.entities.label_history import partitions_of
from stream.entities.labels import Label, Message, decode_label
from stream.errors import DecodeError, SettingError
from stream.events import I64, TP, Columns, Flag
from stream.profile import StreamProfile
from stream.settings import Settings

SUFFIXES = (".parquet", ".jsonl", ".ndjson")
_BLOCK = 16_384


class Line(msgspec.Struct):
    """A line of a file as the codec takes a record; it is taken for appended now, so nothing is later than that."""

    value: bytes
    offset: int
    timestamp: int
    key: bytes | None = None
    headers: Any = ()


@dataclass(slots=True)
class Past:
    """Transactions in the order in which each partition is to see them.

    Attributes
    ----------
    columns, partition
        The good ones, and the partition of each (n,).
    refused
        The others, by what is wrong with them.
    ends
        Of the topic's partitions, where reading stopped; empty for a file.
    """

    columns: Columns
    partition: I64
    refused: Counter[str] = field(default_factory=Counter)
    ends: dict[int, int] = field(default_factory=dict)


class Reader:
    """Reads histories as a worker with these settings would.

    Parameters
    ----------
    partitions
        Of the topic that the worker is going to read.
    """

    def __init__(self, settings: Settings, profile: StreamProfile, partitions: int) -> None:
        self._settings, self._profile, self._partitions = settings, profile, partitions
        self._codec = Codec(settings, profile.roles)

    def read(self, source: str) -> Past:
        """Read a file, or else a topic.

        Raises
        ------
        SettingError
            It is neither, or holds no transaction.
        """
        path = Path(source)
        if path.is_file():
            past = self._parquet(path) if path.suffix == ".parquet" else self._lines(path)
        elif path.suffix in SUFFIXES or "/" in source:
            raise SettingError(f"the file {source} does not exist; name a file, or a topic of the broker")
        else:
            past = self._topic(source)
        if not len(past.columns):
            told = ", ".join(f"{number} x {what}" for what, number in past.refused.most_common(2))
            raise SettingError(f"{source} holds no transaction{f' ({told})' if told else ''}: nothing to warm up from")
        return past

    def _parquet(self, path: Path) -> Past:
        columns, cards = read_columns(path, self._codec.tokens, self._profile.roles, rates=self._codec.rates)
        now = int(time.time() * 1000)
        ahead = columns.event_time > now + round(self._settings.engine.clock_skew_s * 1000)
        columns.event_time[ahead] = now  # one bad clock must not make all others late
        columns.flags[ahead] |= np.uint8(Flag.CLOCK_SKEW)
        return Past(columns, partitions_of(cards, self._partitions))

    def _lines(self, path: Path) -> Past:
        if path.suffix not in SUFFIXES:
            raise SettingError(
                f"{path} ends in {path.suffix!r}: give .parquet with our columns or .jsonl with messages as the topic "
                "has them; send any other file into a topic first: fraudstream replay"
            )

        now = int(time.time() * 1000)

        def blocks() -> Iterator[list[Line]]:
            with path.open("rb") as lines:
                number = 0
                while block := list(islice(lines, _BLOCK)):
                    yield [Line(line, number + i, now) for i, line in enumerate(block) if line.strip()]
                    number += len(block)

        return self._decoded(blocks())

    def _topic(self, topic: str) -> Past:
        consumer = KafkaConsumer(
            bootstrap_servers=self._settings.kafka.bootstrap,
            enable_auto_commit=False,
            isolation_level="read_committed",
            max_partition_fetch_bytes=8 << 20,
        )
        try:
            parts = sorted(consumer.partitions_for_topic(topic) or ()) if topic in consumer.topics() else []
            if not parts:
                raise SettingError(f"{topic!r} is neither a file nor a topic of the broker; correct the name")
            tps = [TopicPartition(topic, part) for part in parts]
            ends = {tp.partition: end for tp, end in consumer.end_offsets(tps).items()}
            past = self._decoded(_fetched(consumer, tps, ends), kept=len(parts) == self._partitions)
        finally:
            consumer.close()
        return Past(past.columns, past.partition, past.refused, ends)

    def _decoded(self, blocks: Iterator[Sequence[Any]], kept: bool = False) -> Past:
        """Decode records; unless their partitions are `kept`, each goes where the key of its card leads, by time."""
        columns, partition, times, refused = list[Columns](), list[I64](), list[I64](), Counter[str]()
        for records in blocks:
            (decoded,) = self._codec.decode_chunks([(records, TP("history", 0))])
            refused.update(letter.error for letter in decoded.dead)
            good = [records[i] for i in decoded.index.tolist()]
            columns.append(decoded.columns)
            times.append(np.array([record.timestamp for record in good], np.int64))
            if kept:
                partition.append(np.array([record.partition for record in good], np.int64))
            else:
                keys = [record.key or row.card_id for record, row in zip(good, decoded.rows, strict=True)]
                partition.append(partitions_of(keys, self._partitions))
        if not columns:
            (decoded,) = self._codec.decode_chunks([([], TP("history", 0))])
            return Past(decoded.columns, np.empty(0, np.int64), refused)
        past = Past(concat(columns), np.concatenate(partition), refused)
        if not kept:
            order = np.argsort(np.concatenate(times), kind="stable")
            past.columns, past.partition = take(past.columns, order), past.partition[order]
        return past

    def labels(self) -> tuple[list[tuple[int, Label]], dict[int, int]]:
        """Every label of the feedback topic with its partition, and where each partition ends."""
        topic = self._settings.topics.feedback
        consumer = KafkaConsumer(
            bootstrap_servers=self._settings.kafka.bootstrap,
            enable_auto_commit=False,
            isolation_level="read_committed",
        )
        try:
            tps = [TopicPartition(topic, part) for part in range(self._partitions)]
            ends = {tp.partition: end for tp, end in consumer.end_offsets(tps).items()}
            labels: list[tuple[int, Label]] = []
            kinds, decode = broadcast(self._profile.program), self._profile.roles.reader(Message)
            for records in _fetched(consumer, tps, ends):
                for record in records:
                    try:
                        labels.append((record.partition, decode_label(record.value, record.offset, kinds, decode)))
                    except DecodeError:
                        continue  # the worker that reads it makes it a dead letter
        finally:
            consumer.close()
        return labels, ends


def _fetched(consumer: KafkaConsumer, tps: list[TopicPartition], ends: dict[int, int]) -> Iterator[Sequence[Any]]:
    """Records of some partitions up to where they ended at the start."""
    consumer.assign(tps)
    consumer.seek_to_beginning(*tps)
    while any(consumer.position(tp) < ends[tp.partition] for tp in tps):
        for tp, records in consumer.poll(500, max_records=_BLOCK).items():
            wanted = [record for record in records if record.offset < ends[tp.partition]]
            if wanted:
                yield wanted
