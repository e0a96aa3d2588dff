"""The end of a partition's log of alerts or dead letters: what was decided before this worker took over."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaTimeoutError, OffsetOutOfRangeError
from aiokafka.structs import TopicPartition

from stream.sinks.chain import ChainError, Tip, read, tip_of

QUIET_POLLS = 50


class Tail:
    """What the last records of one partition say. Records that are not ours are passed over.

    Parameters
    ----------
    records
        The last records, oldest first, as `read_tails` gives them.
    topic_id
        Id of the source topic; decisions about another topic of the same name (made anew) do not count.
    """

    def __init__(self, records: Sequence[Any], topic_id: str) -> None:
        self._topic_id = topic_id.encode()
        self._records = [(dict(record.headers), record.value) for record in records]

    def decided_until(self) -> int:
        """Highest source offset told, by whomever; -1 when there is none."""
        return max(
            (_number(h, "source_offset") for h, _ in self._records if h.get("topic_id") == self._topic_id), default=-1
        )

    def tip(self, generation: int = 1) -> Tip:
        """The tip to continue from, under a new epoch: the newest epoch's last alert, whatever a zombie added.

        The group's generation is added to the highest epoch seen: a worker that took over, told nothing yet and was
        fenced since has left no trace in the log, and must not share its successor's epoch. Decided is what stands on
        the chain that is continued: what only a fenced worker told is superseded, and told again.
        """
        sealed = [(h, value) for h, value in self._records if "sequence" in h and value is not None]
        sealed.sort(key=lambda item: (_number(item[0], "epoch"), _number(item[0], "sequence")), reverse=True)
        newest, headers = next(((tip, h) for h, value in sealed if (tip := _tip(value)) is not None), (None, {}))
        if newest is None:
            return Tip(epoch=generation, sequence=0, hash="", decided_until=-1)
        epoch = max(_number(h, "epoch") for h, _ in sealed) + generation
        decided = newest.decided_until if headers.get("topic_id") == self._topic_id else -1
        return dataclasses.replace(newest, epoch=epoch, decided_until=decided)

    def superseded(self) -> int:
        """Alerts written by a worker whose successor had already written."""
        newest, count = 0, 0
        for headers, _ in self._records:
            epoch = _number(headers, "epoch")
            count += epoch < newest
            newest = max(newest, epoch)
        return count


def _number(headers: dict[str, bytes | None], name: str) -> int:
    value = headers.get(name) or b""
    return int(value) if value.isdigit() and len(value) < 19 else -1


def _tip(value: bytes) -> Tip | None:
    """The tip that a message leaves behind; None when it is no alert of ours, whatever its headers say."""
    try:
        return tip_of(read(value))
    except ChainError:
        return None


async def read_tails(
    consumer: AIOKafkaConsumer, topic: str, partitions: Sequence[int], depth: int, topic_id: str = ""
) -> dict[int, list[Any]]:
    """Read the last records of each partition.

    A stretch that holds only control records or was compacted away yields nothing; then a deeper one is read, down to
    the log's beginning.

    Parameters
    ----------
    consumer
        A started consumer without a group, `read_committed`; its assignment is replaced.
    topic, partitions
        What to read.
    depth
        Offsets to look back at first.
    topic_id
        Look back until a record tells of this source, however many tell of others; empty: any will do.

    Returns
    -------
    dict
        For each partition its records, oldest first; an empty list for an empty partition.
    """
    tps = {partition: TopicPartition(topic, partition) for partition in partitions}
    begins = await consumer.beginning_offsets(list(tps.values()))
    ends = await consumer.end_offsets(list(tps.values()))
    found: dict[int, list[Any]] = {partition: [] for partition in partitions}
    wanted = {partition for partition, tp in tps.items() if ends[tp] > begins[tp]}
    while wanted:
        starts = {tps[p]: max(begins[tps[p]], ends[tps[p]] - depth) for p in wanted}
        read = await _read(consumer, starts, ends)
        for tp, records in read.items():
            found[tp.partition] = records
        wanted = {p for p in wanted if not _tells(found[p], topic_id) and starts[tps[p]] > begins[tps[p]]}
        depth *= 8
    return found


def _tells(records: Sequence[Any], topic_id: str) -> bool:
    """Whether there is a record about the source."""
    if not topic_id:
        return bool(records)
    return any(dict(record.headers).get("topic_id") == topic_id.encode() for record in records)


async def _read(
    consumer: AIOKafkaConsumer, starts: dict[TopicPartition, int], ends: dict[TopicPartition, int]
) -> dict[TopicPartition, list[Any]]:
    consumer.assign(list(starts))
    for tp, offset in starts.items():
        consumer.seek(tp, offset)
    found: dict[TopicPartition, list[Any]] = {tp: [] for tp in starts}
    left = set(starts)
    quiet = 0
    while left:
        try:
            fetched = await consumer.getmany(timeout_ms=200)
        except OffsetOutOfRangeError as error:  # retention moved the beginning meanwhile: a retriable condition here
            await asyncio.sleep(0.1)
            raise KafkaTimeoutError(f"the log moved while its tail was read: {error}") from error
        for tp, records in fetched.items():
            found[tp] += [record for record in records if record.offset < ends[tp]]
        left = {tp for tp in left if await consumer.position(tp) < ends[tp]}
        quiet = 0 if fetched else quiet + 1
        if left and quiet > QUIET_POLLS:
            raise KafkaTimeoutError(f"the tail of {sorted(left)} cannot be read")
    return found
