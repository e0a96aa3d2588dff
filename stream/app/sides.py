"""The logs beside the source, as one part of the worker: profiles, feedback, and events of customers' accounts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from stream.advance import Arena
from stream.app.checks import Topics
from stream.codec.hashing import hash_text
from stream.entities.hours import visible
from stream.entities.partials import Partials
from stream.events import TP
from stream.monitor.metrics import Metrics
from stream.pipeline import Pipeline
from stream.settings import Settings
from stream.sides.feedback import FeedbackReader
from stream.sides.profiles import ProfileReader
from stream.sides.reading import Exclusive
from stream.sides.telling import ProfileWriter
from stream.sinks.outbox import Outbox

log = logging.getLogger("fraudstream.sides")
PUBLISH_TIMEOUT_S = 15.0
LAST_WORDS_S = 2.0
SHOW_S = 0.5


class Reader(Protocol):
    """Another log that is read whole (`stream.sides.events`)."""

    async def ready(self) -> None:
        """Return when it is read to its end."""

    async def close(self) -> None:
        """Stop reading."""


class SideTopics:
    """Starts with the first recovery, and ends before the engine does.

    Parameters
    ----------
    topics
        What the broker said; a side topic that does not exist is left out.
    others
        Further logs that are to be read before the first partition goes live.
    """

    def __init__(
        self,
        settings: Settings,
        topics: Topics,
        pipeline: Pipeline,
        exclusive: Exclusive,
        metrics: Metrics,
        others: Sequence[Reader] = (),
    ) -> None:
        self._settings = settings
        self._partitions = topics.partitions
        self._pipeline = pipeline
        self._metrics = metrics
        self._others = others
        self._held: set[int] = set()
        self._given_up = -(1 << 62)
        self._tasks: list[asyncio.Task[None]] = []
        self.on_failure: Callable[[BaseException], None] = lambda error: log.error("unexpected", exc_info=error)
        merged, bootstrap = pipeline.merged, settings.kafka.bootstrap
        self._outbox = Outbox(bootstrap, PUBLISH_TIMEOUT_S)
        self._letters = Outbox(bootstrap, PUBLISH_TIMEOUT_S)
        self._profiles: ProfileReader | None = None
        self._writer: ProfileWriter | None = None
        self._feedback: FeedbackReader | None = None
        if "profiles" in topics.sides and merged.kinds:
            topic_hash = hash_text(topics.source.topic_id) >> 1
            self._profiles = ProfileReader(settings, topics.partitions, topic_hash, merged, exclusive)
            pipeline.tells_hours = True
            self._writer = ProfileWriter(settings, topic_hash, self._profiles, self._open, exclusive, self._outbox)
        if "feedback" in topics.sides:
            self._feedback = FeedbackReader(settings, self._arena, merged, exclusive, metrics, self._letters)

    # -- what recovery and the engine ask for

    async def ready(self) -> None:
        """Return when what transactions read of other partitions is there up to the logs' ends."""
        if not self._tasks:
            self._start()
        if self._profiles is not None:
            await self._profiles.ready()
        for other in self._others:
            await other.ready()

    async def catch_up(self, partitions: Sequence[int]) -> None:
        """Apply to opened arenas the labels that their partitions' feedback holds."""
        self._held.update(partitions)
        if self._feedback is not None:
            await self._feedback.catch_up(partitions)

    def release(self, partitions: Sequence[int]) -> None:
        """Apply nothing more to these partitions."""
        self._held.difference_update(partitions)
        if self._feedback is not None:
            self._feedback.release(partitions)

    async def hold(self) -> None:
        """Wait for the hours of others that are to be seen, at most `engine.profile_wait_s` for each hour."""
        patience = self._settings.engine.profile_wait_s
        if not patience or self._profiles is None:
            return
        first = max((visible(arena.watermark) for arena in self._arenas()), default=self._given_up)
        if first > self._given_up and not self._complete(first):
            try:
                await asyncio.wait_for(self._profiles.until(lambda: self._complete(first)), patience)
            except TimeoutError:
                self._given_up = first

    def _complete(self, first: int) -> bool:
        """Whether every hour before `first` is merged of all partitions that another worker holds."""
        others = set(range(self._partitions)) - self._held
        return all(self._pipeline.merged.through(partition) >= first - 1 for partition in others)

    # -- lifetime

    async def close(self) -> None:
        """Tell what is closed, within two seconds, and stop."""
        if self._writer is not None and self._tasks:
            with contextlib.suppress(Exception):  # what stays untold is told by whoever takes the partition over
                await asyncio.wait_for(self._writer.tell(), LAST_WORDS_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for other in self._others:
            await other.close()
        if self._feedback is not None:
            await self._feedback.close()
        for outbox in (self._outbox, self._letters):
            await outbox.abandon()

    def _start(self) -> None:
        parts = [part.run() for part in (self._profiles, self._writer, self._feedback) if part is not None]
        self._tasks = [asyncio.get_running_loop().create_task(self._guard(part)) for part in (*parts, self._show())]

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self.on_failure(error)

    async def _show(self) -> None:
        merged = self._pipeline.merged
        while True:
            clock = max((arena.watermark for arena in self._arenas()), default=0)
            self._metrics.profile_staleness.set(merged.staleness_ms(clock) / 1000)
            self._metrics.profile_entities.set(len(merged))
            self._metrics.profile_untold.set(sum(len(partials.unsent) for partials in self._open()))
            self._metrics.profile_turned_away.set(merged.turned_away)
            await asyncio.sleep(SHOW_S)

    # -- what is held

    def _arena(self, partition: int) -> Arena | None:
        return self._pipeline.arena(TP(self._settings.topics.transactions, partition))

    def _arenas(self) -> list[Arena]:
        return [arena for partition in sorted(self._held) if (arena := self._arena(partition)) is not None]

    def _open(self) -> list[Partials]:
        return [arena.open for arena in self._arenas()]
