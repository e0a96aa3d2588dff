"""Reading checkpoints back: the marker first, then every block of its incarnation, each checked."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaTimeoutError, OffsetOutOfRangeError
from aiokafka.structs import TopicPartition

from stream.checkpoint import keys, marker
from stream.checkpoint.block import HEAD_BYTES, BlockError, bytes_of, head_of, words_of
from stream.checkpoint.ledger import Ledger
from stream.checkpoint.marker import REMEDY, Marker
from stream.state import Arena
from stream.tail import read_tails

_DEPTH = 16
_QUIET_POLLS = 100
RECORDS = 512  # of all partitions, unpacked while the broker sends the next ones


@dataclass(slots=True)
class Found:
    """A partition's checkpoint before its blocks are read: the marker, and where in the log the marker stands."""

    marker: Marker
    end: int


@dataclass(slots=True)
class Loaded:
    """What reading a checkpoint gave, and what it took."""

    marker: Marker
    ledger: Ledger
    records: int = 0
    size: int = 0
    seconds: float = 0.0
    pieces: dict[str, dict[int, bytes]] = field(default_factory=dict)
    damaged: dict[bytes, str] = field(default_factory=dict)  # until a later record of the same key is whole


async def find(consumer: AIOKafkaConsumer, topic: str, partitions: Sequence[int]) -> dict[int, Found]:
    """Last marker of each partition that has a checkpoint.

    Parameters
    ----------
    consumer
        A started consumer without a group, `read_committed`; its assignment is replaced.

    Raises
    ------
    BlockError
        The log ends with something else than a marker.
    """
    found: dict[int, Found] = {}
    for partition, records in (await read_tails(consumer, topic, partitions, _DEPTH)).items():
        if records:
            name = f"the marker of {topic}[{partition}]"
            if records[-1].key != keys.MARKER:
                raise BlockError(f"{name} is missing: a checkpoint ends with one; {REMEDY}")
            found[partition] = Found(marker.decode(records[-1].value, name), records[-1].offset)
    return found


async def load(consumer: AIOKafkaConsumer, topic: str, partition: int, found: Found, arena: Arena) -> Loaded:
    """Fill an empty arena from a checkpoint.

    Parameters
    ----------
    consumer
        As in `find`.
    found
        What `find` said; its identity was checked before.
    arena
        An arena of the marker's layout that nobody else uses yet.

    Raises
    ------
    BlockError
        A block is damaged or missing; the message names it.
    """
    return (await load_all(consumer, topic, {partition: found}, {partition: arena}))[partition]


async def load_all(
    consumer: AIOKafkaConsumer, topic: str, found: Mapping[int, Found], arenas: Mapping[int, Arena]
) -> dict[int, Loaded]:
    """Fill the arenas of several partitions at once; see `load`."""
    tps = {TopicPartition(topic, partition): _Part(arenas[partition], found[partition]) for partition in sorted(found)}
    consumer.assign(list(tps))
    for tp, offset in (await consumer.beginning_offsets(list(tps))).items():
        consumer.seek(tp, offset)
    left, quiet = dict(tps), 0
    unpacking: asyncio.Future[list[None]] = asyncio.gather()
    try:
        while left:
            for tp in [tp for tp, part in left.items() if await consumer.position(tp) > part.end]:
                consumer.pause(tp)
                del left[tp]
            fetched = await _fetch(consumer, topic, left) if left else {}
            await unpacking  # those of a partition one after the other: the last record of a key counts
            unpacking = asyncio.gather(
                *(asyncio.to_thread(tps[tp].apply, records, _name(tp)) for tp, records in fetched.items())
            )
            quiet = 0 if fetched else quiet + 1
            if quiet > _QUIET_POLLS:
                raise KafkaTimeoutError(f"{_name(next(iter(left)))} cannot be read to its end")
    finally:
        await unpacking
    await asyncio.gather(*(asyncio.to_thread(part.complete, _name(tp)) for tp, part in tps.items()))
    return {tp.partition: part.loaded for tp, part in tps.items()}


def _name(tp: TopicPartition) -> str:
    return f"{tp.topic}[{tp.partition}]"


async def _fetch(
    consumer: AIOKafkaConsumer, topic: str, left: Mapping[TopicPartition, _Part]
) -> dict[TopicPartition, list[Any]]:
    try:
        return dict(await consumer.getmany(*left, timeout_ms=200, max_records=RECORDS))
    except OffsetOutOfRangeError as error:  # the beginning moved meanwhile: a retriable condition
        raise KafkaTimeoutError(f"the log moved while {topic} was read: {error}") from error


class _Part:
    """One partition while its records come in."""

    def __init__(self, arena: Arena, found: Found) -> None:
        self.arena, self.end = arena, found.end
        self.loaded = Loaded(found.marker, Ledger(found.marker.incarnation))
        self._began = time.monotonic()

    def apply(self, records: Sequence[Any], where: str) -> None:
        """Put blocks in place; records behind the marker belong to a checkpoint that is not finished."""
        _apply(self.arena, self.loaded, [record for record in records if record.offset <= self.end], where)

    def complete(self, where: str) -> None:
        """Check the whole, make it usable."""
        _complete(self.arena, self.loaded, where)
        self.loaded.seconds = time.monotonic() - self._began


def _apply(arena: Arena, loaded: Loaded, records: Sequence[Any], where: str) -> None:
    """Put the blocks of some records in place; a later record of the same key comes later and wins."""
    ledger = loaded.ledger
    for record in records:
        loaded.records += 1
        loaded.size += len(record.key or b"") + len(record.value or b"")
        parsed = keys.parse(record.key)
        if parsed is None or record.value is None:
            continue
        table, small, number = parsed
        name = f"block {record.key.decode()} of {where}"
        try:
            head = head_of(record.value, name)
            if head.incarnation != ledger.incarnation:
                continue
            if small:
                loaded.pieces.setdefault(table, {})[number] = bytes_of(record.value)
            else:
                arena.tables[table].put(number, words_of(record.value, head, name))
                ledger.note(table, number, head.crc, len(record.value))
            loaded.damaged.pop(record.key, None)
        except BlockError as error:
            loaded.damaged[record.key] = str(error)


def _refuse_damage(loaded: Loaded) -> None:
    """Name the first damaged record that the checkpoint consists of."""
    for key, error in sorted(loaded.damaged.items()):
        name, small, number = keys.parse(key) or ("", False, 0)
        mark = loaded.marker
        wanted = mark.small[name].pieces if small and name in mark.small else 0
        if not small and name in mark.tables:
            wanted = mark.tables[name].blocks
        if number < wanted:
            raise BlockError(f"{error}; {REMEDY}")


def _complete(arena: Arena, loaded: Loaded, where: str) -> None:
    """Check the whole against the marker, then make it usable."""
    ledger, mark = loaded.ledger, loaded.marker
    _refuse_damage(loaded)
    for name, table in mark.tables.items():
        gap = ledger.missing(name, table.blocks)
        if gap >= 0:
            raise BlockError(f"block {keys.block_key(name, gap).decode()} of {where} is missing; {REMEDY}")
        if ledger.crc(name, table.blocks) != table.crc:
            raise BlockError(f"the blocks of table {name} in {where} are not those of its marker; {REMEDY}")
        arena.tables[name].loaded(table.used)
    for name, small in mark.small.items():
        pieces = loaded.pieces.get(name, {})
        data = b"".join(pieces.get(number, b"") for number in range(small.pieces))
        if len(data) != small.size or zlib.crc32(data) != small.crc:
            raise BlockError(f"the small state {name} in {where} is damaged or missing; {REMEDY}")
        ledger.pieces[name], ledger.small[name] = small.pieces, small.size + small.pieces * HEAD_BYTES
        if name in arena.small:
            arena.small[name].load(data)
    loaded.pieces.clear()
    arena.next_offset, arena.side_offset, arena.watermark = mark.offset, mark.side_offset, mark.watermark
