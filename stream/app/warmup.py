"""Fills the state of a group that has none yet, so that its first worker knows every card's habits.

The state is computed as a worker would have that had read the history itself, and written where a worker finds it: the
closed hours of merchants and terminals on the profile topic, a checkpoint of each partition that stands where the group
begins, and the group's offsets.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from stream.advance import Arena, broadcast, new_arena
from stream.app.checks import Topics, check_broker, check_files
from stream.checkpoint import loader, writer
from stream.checkpoint.block import BlockError
from stream.checkpoint.identity import decoding_hash, layout_hash
from stream.checkpoint.ledger import fresh
from stream.checkpoint.marker import Identity, Marker, TipMark
from stream.checkpoint.producer import Producer
from stream.codec.hashing import hash_text
from stream.codec.tokens import token_key
from stream.entities.hours import DAY_HOURS, HOUR
from stream.entities.merged import Merged
from stream.entities.rings import RING_DAYS
from stream.errors import BrokerError, SettingError
from stream.groupless import stop
from stream.history import Past, Reader
from stream.profile import StreamProfile, load_profile
from stream.replay import History, Replay
from stream.settings import Settings
from stream.sides.profiles import ProfileReader
from stream.sides.telling import ProfileWriter
from stream.sinks.outbox import Outbox

DAY_MS = 86_400_000
PATIENCE_S = 60.0
_NO_ALERT = TipMark(epoch=0, sequence=0, hash="", decided_until=-1)

Say = Callable[[str], None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Summary:
    """What was done."""

    transactions: int
    refused: dict[str, int]
    labels: int
    rows: int
    partitions: int
    offsets: dict[int, int]
    hours_told: int
    bytes_written: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """By name."""
        return asdict(self)


def run(settings: Settings, source: str, *, replace: bool, say: Say) -> Summary:
    """Compute the state from a file or topic and write it.

    Parameters
    ----------
    source
        A .parquet or .jsonl file, or the name of a topic.
    replace
        Whether offsets and checkpoints that the group has are given up.

    Raises
    ------
    SettingError
        State cannot be kept under these settings, or the group has some already, or runs.
    BrokerError
        The broker does not answer.
    """
    began = time.monotonic()
    check_files(settings)
    _check_lasting(settings)
    topics = check_broker(settings)
    if not topics.checkpoints:
        raise SettingError(
            f"topics.checkpoints {settings.topics.checkpoints!r} does not exist, and the state is kept there; make it "
            "with: fraudstream broker topics"
        )
    _check_group(settings, replace)
    profile = load_profile(settings.engine.profile)
    reader = Reader(settings, profile, topics.partitions)
    past = reader.read(source)
    labels, sides = reader.labels() if "feedback" in topics.sides else ([], {})
    say(f"{len(past.columns):,} transactions and {len(labels):,} labels read in {time.monotonic() - began:.1f} s")
    replay = Replay(
        History(past.columns, past.partition, labels), round(settings.engine.horizon_days * DAY_MS), profile.program
    )
    for partition in range(topics.partitions):
        arena = replay.arenas.setdefault(partition, new_arena(profile.program))
        arena.open.partition = partition
        arena.side_offset = arena.open.side = sides.get(partition, 0)
    replay.state()
    offsets = _offsets(settings, topics.partitions, past if source == settings.topics.transactions else None)
    for partition, arena in replay.arenas.items():
        arena.next_offset = offsets[partition]
    told, size = asyncio.run(_Writing(settings, topics, profile, replay.arenas).run(replace, say))
    _commit(settings, offsets)
    return Summary(
        transactions=len(past.columns),
        refused=dict(past.refused.most_common(10)),
        labels=len(labels),
        rows=sum(arena.live for arena in replay.arenas.values()),
        partitions=topics.partitions,
        offsets=offsets,
        hours_told=told,
        bytes_written=size,
        seconds=round(time.monotonic() - began, 3),
    )


# -- what must be true before


def _check_lasting(settings: Settings) -> None:
    if token_key(settings.security)[1]:
        raise SettingError(
            "setting security.token_key is missing: cards would have other tokens at the next start, and the state "
            "would fit none; set security.token_key or security.token_key_file"
        )
    if not settings.topics.checkpoints:
        raise SettingError("setting topics.checkpoints is empty, and the state is kept there; name a topic")


def _check_group(settings: Settings, replace: bool) -> None:
    group, topic = settings.kafka.group, settings.topics.transactions
    admin = KafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap.split(","), client_id="fraudstream-warmup")
    try:
        told = admin.describe_groups([group]).get(group, {})
        if told.get("members"):
            raise SettingError(f"kafka.group {group!r} has a worker running; stop it first, or name another group")
        known = [tp for tp, meta in admin.list_group_offsets(group).get(group, {}).items() if meta.offset >= 0]
    except KafkaError as error:
        raise BrokerError(f"the broker tells nothing of kafka.group {group!r} ({type(error).__name__})") from None
    finally:
        admin.close()
    if not replace and any(tp.topic == topic for tp in known):
        raise SettingError(
            f"kafka.group {group!r} has offsets of {topic!r} already, so its state is its own; name a new kafka.group, "
            "or give them up with --replace"
        )


# -- where the group begins


def _offsets(settings: Settings, partitions: int, read: Past | None) -> dict[int, int]:
    """Where the group begins: behind the history where that is the topic itself, else as `kafka.start_at` says."""
    if read is not None:
        return dict(read.ends)
    consumer = KafkaConsumer(bootstrap_servers=settings.kafka.bootstrap, enable_auto_commit=False)
    try:
        tps = [TopicPartition(settings.topics.transactions, partition) for partition in range(partitions)]
        latest = settings.kafka.start_at == "latest"
        found = consumer.end_offsets(tps) if latest else consumer.beginning_offsets(tps)
    finally:
        consumer.close()
    return {tp.partition: offset for tp, offset in found.items()}


def _commit(settings: Settings, offsets: dict[int, int]) -> None:
    topic = settings.topics.transactions
    consumer = KafkaConsumer(
        bootstrap_servers=settings.kafka.bootstrap, group_id=settings.kafka.group, enable_auto_commit=False
    )
    try:
        tps = {TopicPartition(topic, partition): offset for partition, offset in offsets.items()}
        consumer.assign(list(tps))
        consumer.commit({tp: OffsetAndMetadata(offset, "", -1) for tp, offset in tps.items()})
    finally:
        consumer.close()


# -- writing


async def _at_once(work: Callable[..., T], *args: Any) -> T:
    return work(*args)


async def _no_pause(_size: int) -> None:
    await asyncio.sleep(0)


class _Writing:
    """Puts state where a worker finds it: profiles first, so that nothing points to hours that are not told."""

    def __init__(self, settings: Settings, topics: Topics, profile: StreamProfile, arenas: dict[int, Arena]) -> None:
        self._settings, self._topics, self._arenas = settings, topics, arenas
        self._kinds = broadcast(profile.program)
        roles = repr(sorted(profile.roles.names.items()))
        layouts = {name: table.dtype for name, table in new_arena(profile.program, capacity=1).tables.items()}
        features = f"{profile.name} {profile.version}"
        hashes = layout_hash(layouts), decoding_hash(settings, roles)
        self._identity = Identity(settings.kafka.group, topics.source.topic_id, topics.partitions, features, *hashes)

    async def run(self, replace: bool, say: Say) -> tuple[int, int]:
        """Hours told and bytes of checkpoints written."""
        before = await self._before(replace)
        told = 0
        if "profiles" in self._topics.sides and self._kinds:
            told = await self._profiles(replace)
        for arena in self._arenas.values():
            arena.open.ack(list(arena.open.unsent))  # told, or nobody wants to hear of them
        size = 0
        for partition in sorted(self._arenas):
            size += await self._checkpoint(partition, before.get(partition))
        say(f"{told:,} hours told, {size / 1e6:.1f} MB of checkpoints written")
        return told, size

    async def _before(self, replace: bool) -> dict[int, Marker]:
        """The checkpoints that are there."""
        topic, found = self._settings.topics.checkpoints, dict[int, Marker]()
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka.bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
        )
        await consumer.start()
        try:
            for partition in self._arenas:
                try:
                    mark = (await loader.find(consumer, topic, [partition])).get(partition)
                except BlockError:
                    if not replace:
                        raise
                    continue
                if mark is not None:
                    mark.marker.check_group(self._identity, topic, partition)
                    found[partition] = mark.marker
        finally:
            await stop(consumer)
        if found and not replace:
            raise SettingError(
                f"{topic} holds state of kafka.group {self._settings.kafka.group!r} already; start the worker with it, "
                "or give it up with --replace"
            )
        return found

    async def _profiles(self, replace: bool) -> int:
        """Tell the closed hours that a profile can still hold, and sum the days that are over."""
        topic_hash = hash_text(self._topics.source.topic_id) >> 1
        merged = Merged(self._kinds)
        reader = ProfileReader(self._settings, self._topics.partitions, topic_hash, merged, _at_once)
        outbox = Outbox(self._settings.kafka.bootstrap, PATIENCE_S)
        opened = [arena.open for arena in self._arenas.values()]
        tell = ProfileWriter(self._settings, topic_hash, reader, lambda: opened, _at_once, outbox).tell
        reading = asyncio.create_task(reader.run())
        try:
            await asyncio.wait_for(reader.ready(), PATIENCE_S)
            if not replace and any(told.hour > 0 for told in reader.told.values()):
                raise SettingError(
                    f"topics.profiles {self._settings.topics.profiles!r} tells hours of this topic already: another "
                    "group works on it; make the topic anew, or keep its hours with --replace"
                )
            for partials in opened:
                oldest = max(partials.unsent, default=0) - RING_DAYS * DAY_HOURS
                partials.ack([hour for hour in partials.unsent if hour <= oldest or hour * HOUR < 0])
            last = {partials.partition: max(partials.unsent, default=-1) for partials in opened}
            hours = sum(len(partials.unsent) for partials in opened)
            await outbox.start()
            await tell()
            for partition, hour in last.items():
                await asyncio.wait_for(self._read(reader, partition, hour), PATIENCE_S)
            await tell()  # the days of which every hour is told now
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            await outbox.close()
        return hours

    @staticmethod
    def _read(reader: ProfileReader, partition: int, hour: int) -> Awaitable[None]:
        return reader.until(lambda: reader.told[partition].hour >= hour)

    async def _checkpoint(self, partition: int, before: Marker | None) -> int:
        kafka, topics, arena = self._settings.kafka, self._settings.topics, self._arenas[partition]
        name = f"{kafka.group}-{topics.transactions}-{partition}"
        producer = Producer(kafka.bootstrap, topics.checkpoints, partition, name)
        await producer.start()
        try:
            written = await writer.write(
                arena.begin_sweep(),
                producer,
                fresh(before),
                identity=self._identity,
                tip=_NO_ALERT,
                committed=arena.next_offset,
                exclusive=_at_once,
                pause=_no_pause,
            )
        finally:
            await producer.drop()
        return written.size
