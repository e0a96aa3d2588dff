"""Dead letters of a topic that every worker reads whole: told once, by the worker that holds the like partition.

With n partitions of transactions, the holder of partition p tells those of p, p + n, ... into partition p of the dead
letters, and commits how far it told under a group that has no members.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from stream.events import DeadLetter
from stream.groupless import stop
from stream.monitor.metrics import Metrics
from stream.settings import Settings
from stream.sinks.dead_letters import DeadLetterLog
from stream.sinks.outbox import PublishError, Row

log = logging.getLogger("fraudstream.sides")
LETTERS_MAX = 10_000  # remembered of a partition that another worker tells

Send = Callable[[str, int, Sequence[Row]], Awaitable[None]]


@dataclass(slots=True)
class _Part:
    """How far one partition is read and told."""

    told: int = 0
    seen: int = 0
    owned: bool = False
    letters: list[DeadLetter] = field(default_factory=list)


class Letters:
    """Remembers dead letters until they are durable.

    Parameters
    ----------
    settings
        Names the broker and the topic of the dead letters.
    topic, stage
        Where they come from, and the stage that they and their counter name.
    send
        Writes them durably (`outbox.Outbox.send`).
    held
        The partitions of the transactions that this worker holds.
    partitions
        How many partitions the transactions have.
    metrics
        Where they are counted.
    """

    def __init__(
        self,
        settings: Settings,
        topic: str,
        stage: str,
        *,
        send: Send,
        held: Callable[[], frozenset[int]],
        partitions: int,
        metrics: Metrics,
    ) -> None:
        self._settings, self._topic, self._stage = settings, topic, stage
        self._send, self._held, self._partitions, self._metrics = send, held, partitions, metrics
        self._dead = DeadLetterLog(settings.topics.dead_letters, f"{stage}/{topic}")
        self._parts: dict[int, _Part] = {}
        self._consumer: AIOKafkaConsumer | None = None

    def begin(self, starts: dict[int, int]) -> None:
        """Begin partitions, which are read anew from these offsets."""
        for partition, start in starts.items():
            part = self._parts.setdefault(partition, _Part())
            part.seen, part.owned = start, False
            part.letters.clear()

    def note(self, partition: int, letters: Sequence[DeadLetter], seen: int) -> None:
        """Remember what was found below the offset `seen`."""
        part = self._parts[partition]
        part.letters += [letter for letter in letters if letter.offset >= part.told]
        del part.letters[:-LETTERS_MAX]
        part.seen = seen

    async def tell(self) -> None:
        """Write those that are ours to tell, then commit; what the broker refuses is told later."""
        held = self._held()
        for partition, part in self._parts.items():
            was, part.owned = part.owned, partition % self._partitions in held
            if not part.owned:
                continue
            try:
                await self._tell(partition, part, fresh=not was)
            except (PublishError, KafkaError) as error:  # reading must go on
                log.warning("dead letters of %s[%d] are told later: %r", self._topic, partition, error)
                part.owned = False

    async def _tell(self, partition: int, part: _Part, *, fresh: bool) -> None:
        tp = TopicPartition(self._topic, partition)
        consumer = await self._opened()
        if fresh:  # another worker may have told some of them
            part.told = await consumer.committed(tp) or 0
            part.letters = [letter for letter in part.letters if letter.offset >= part.told]
        if part.letters:
            target = partition % self._partitions
            await self._send(self._dead.topic, target, self._dead.rows(part.letters))
            self._metrics.dead_letters.labels(self._stage).inc(len(part.letters))
            part.letters = []
        if part.seen > part.told:
            await consumer.commit({tp: part.seen})
            part.told = part.seen

    async def _opened(self) -> AIOKafkaConsumer:
        """The consumer that keeps the offsets; it fetches nothing."""
        if self._consumer is not None and {tp.partition for tp in self._consumer.assignment()} >= self._parts.keys():
            return self._consumer
        await self.close()
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka.bootstrap,
            client_id=f"fraudstream-{self._stage}-told",
            group_id=f"{self._settings.kafka.group}-{self._stage}",
            enable_auto_commit=False,
        )
        tps = [TopicPartition(self._topic, partition) for partition in self._parts]
        consumer.assign(tps)  # once and for all: its coordinator does not outlive another assignment
        consumer.pause(*tps)
        await consumer.start()
        self._consumer = consumer
        return consumer

    async def close(self) -> None:
        """Disconnect."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await stop(consumer)
