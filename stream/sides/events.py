"""Reads `fraud.events` into the cache of account events: every worker all of it, the last 30 days at start.

What cannot be read or believed is a dead letter (`letters.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from stream.codec import dead_letter
from stream.codec.tokens import Tokens
from stream.entities.account import Read, read_events
from stream.entities.takeover import FORGET_AFTER_MS, WINDOW_MS, Takeover, warm_up
from stream.errors import SettingError
from stream.events import TP, U64
from stream.groupless import stop
from stream.monitor.metrics import Metrics
from stream.profile import load_profile
from stream.settings import Settings
from stream.sides.letters import Letters, Send
from stream.sides.reading import Exclusive, consumer_of, persist

log = logging.getLogger("fraudstream.events")
STAGE = "events"
RECORDS = 2_000
POLL_MS = 100
TELL_S = 1.0
LOOK_S = 30.0  # how often the topic is looked for while it does not exist, and for new partitions once it does
ROWS_FORGOTTEN = 256


class AccountFeed:
    """Keeps the cache of account events up with its topic.

    Parameters
    ----------
    settings
        `topics.events` names the topic; "" or one that does not exist: nothing is known of accounts, and that is said.
    takeover
        The cache that is fed.
    tokens
        Those of the transactions; a twin of them is used here.
    exclusive
        Runs work between two batches.
    send
        Writes dead letters durably (`outbox.Outbox.send`).
    held
        The partitions of the transactions that this worker holds.
    partitions
        How many partitions the transactions have.
    metrics
        Where messages are counted.
    """

    def __init__(
        self,
        settings: Settings,
        takeover: Takeover,
        tokens: Tokens,
        *,
        exclusive: Exclusive,
        send: Send,
        held: Callable[[], frozenset[int]],
        partitions: int,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._topic = settings.topics.events
        self._takeover = takeover
        self._tokens = tokens.twin()
        self._roles = load_profile(settings.engine.profile).roles
        warm_up()
        self._exclusive = exclusive
        self._metrics = metrics
        self._letters = Letters(
            settings, self._topic, STAGE, send=send, held=held, partitions=partitions, metrics=metrics
        )
        self._parts: list[TopicPartition] = []
        self._task: asyncio.Task[None] | None = None
        self._caught_up = asyncio.Event()
        self._absence_told = False
        self.on_failure: Callable[[BaseException], None] = lambda error: log.error("unexpected", exc_info=error)

    async def ready(self) -> None:
        """Return when the events were read up to the end that the topic had at the first call."""
        if not self._topic:
            return
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._guard())
        await self._caught_up.wait()

    async def close(self) -> None:
        """Stop reading."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await self._letters.close()

    # -- reading

    async def _guard(self) -> None:
        try:
            await persist(f"reading {self._topic}", self._read)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self.on_failure(error)

    async def _read(self) -> None:
        consumer = consumer_of(self._settings, "fraudstream-events")
        await consumer.start()
        try:
            ends = await self._assign(consumer)
            looked_at = told_at = time.monotonic()
            while True:
                await self._step(consumer, ends)
                now = time.monotonic()
                if now - told_at >= TELL_S:
                    told_at = now
                    await self._letters.tell()
                if now - looked_at >= LOOK_S:
                    looked_at = now
                    if await self._grown(consumer):
                        return  # begin anew
        finally:
            await stop(consumer)

    async def _grown(self, consumer: AIOKafkaConsumer) -> bool:
        """Whether the topic came into being, or has more partitions than are read."""
        if not self._parts:
            return self._topic in await consumer.topics()
        return len(consumer.partitions_for_topic(self._topic) or ()) > len(self._parts)

    async def _partitions_of(self, consumer: AIOKafkaConsumer) -> set[int]:
        if self._topic not in await consumer.topics():  # asking for it by name might create it
            return set()
        first = TopicPartition(self._topic, 0)
        consumer.assign([first])
        await consumer.end_offsets([first])  # the client learns the partitions of what is assigned
        return set(consumer.partitions_for_topic(self._topic) or ())

    async def _assign(self, consumer: AIOKafkaConsumer) -> dict[TopicPartition, int]:
        """Begin where the last 30 days do; return the ends."""
        partitions = await self._partitions_of(consumer)
        if not partitions:
            if not self._absence_told:
                self._absence_told = True
                log.warning(
                    "topics.events %r does not exist: sign-ins and changes of accounts are unknown to the features; "
                    "make the topic, or set topics.events to an empty text",
                    self._topic,
                )
            self._caught_up.set()
            return {}
        self._parts = [TopicPartition(self._topic, partition) for partition in sorted(partitions)]
        consumer.assign(self._parts)
        ends = dict(await consumer.end_offsets(self._parts))
        since = int(time.time() * 1000) - WINDOW_MS
        found = await consumer.offsets_for_times(dict.fromkeys(self._parts, since))
        starts = {tp: ends[tp] if found.get(tp) is None else found[tp].offset for tp in self._parts}
        for tp, start in starts.items():
            consumer.seek(tp, start)
        self._letters.begin({tp.partition: start for tp, start in starts.items()})
        return ends

    async def _step(self, consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> None:
        """Read and apply some; note when the read-through is done."""
        if not self._parts:
            await asyncio.sleep(TELL_S)
            return
        fetched = await consumer.getmany(timeout_ms=POLL_MS, max_records=RECORDS)
        for tp, records in fetched.items():
            await self._apply(tp, records)
        positions = {tp: await consumer.position(tp) for tp in self._parts}
        behind = [(consumer.highwater(tp) or ends[tp]) - position for tp, position in positions.items()]
        self._metrics.account_lag.set(max(0, sum(max(0, lag) for lag in behind)))
        if not self._caught_up.is_set() and all(position >= ends[tp] for tp, position in positions.items()):
            log.info("%d account events of %d customers and cards known", self._takeover.events, self._takeover.rows)
            self._caught_up.set()

    async def _apply(self, tp: TopicPartition, records: Sequence[Any]) -> None:
        read = await asyncio.to_thread(self._decode, records)
        added, known, full = await self._exclusive(self._take, read)
        self._count(read, added, known, full)
        place = TP(tp.topic, tp.partition)
        letters = [dead_letter(records[i], place, STAGE, error) for i, error in sorted(read.refused.items())]
        self._letters.note(tp.partition, letters, records[-1].offset + 1)

    def _decode(self, records: Sequence[Any]) -> Read:
        appended = np.fromiter((record.timestamp for record in records), np.int64, len(records))
        skew = round(self._settings.engine.clock_skew_s * 1000)
        return read_events([record.value for record in records], appended, self._card_keys, skew, self._roles)

    def _card_keys(self, cards: list[str]) -> U64:
        return self._tokens.keys_of([self._tokens[card] for card in cards])

    def _take(self, read: Read) -> tuple[int, int, int]:
        outcome = self._takeover.add(read.events)
        self._takeover.forget(self._takeover.newest - FORGET_AFTER_MS, ROWS_FORGOTTEN)
        return outcome

    def _count(self, read: Read, added: int, known: int, full: int) -> None:
        counts = {"taken": added, "known": known, "full": full, "ignored": read.ignored, "ahead": read.ahead}
        counts["unreadable"] = len(read.refused) - read.ahead
        for outcome, number in counts.items():
            if number:
                self._metrics.account_events.labels(outcome).inc(number)
        self._metrics.account_bytes.set(self._takeover.nbytes)


def check_events(settings: Settings) -> None:
    """Refuse a topic of account events that is one of the others.

    Raises
    ------
    SettingError
        `topics.events` names a topic that has another purpose.
    """
    names = settings.topics
    others = {names.transactions, names.alerts, names.dead_letters, names.feedback}
    if names.events and names.events in others:
        raise SettingError(f"setting topics.events {names.events!r} names a topic of another purpose; name its own")
