"""A sink in memory, for tests and for scoring files: the same chain, no broker."""

from __future__ import annotations

from collections.abc import Sequence

from stream.events import Alert, DeadLetter
from stream.sinks.chain import Tip, seal


class MemorySink:
    """Keeps sealed alerts and dead letters in lists.

    Attributes
    ----------
    messages
        ``(partition, offset, bytes)`` of the sealed alerts, as an alerts topic would hold them.
    dead
        The dead letters, in order.
    """

    def __init__(self) -> None:
        self.messages: list[tuple[int, int, bytes]] = []
        self.dead: list[DeadLetter] = []
        self._tips: dict[int, Tip] = {}
        self._told: dict[int, int] = {}
        self._ends: dict[int, int] = {}

    def take_over(self, partition: int, tip: Tip, told_until: int) -> None:
        """Continue a partition's chain."""
        self._tips[partition] = tip
        self._told[partition] = told_until

    def tip(self, partition: int) -> Tip:
        """Where the partition's chain ends."""
        return self._tips.get(partition, Tip(epoch=1))

    def told_until(self, partition: int) -> int:
        """Source offset of the partition's last dead letter; -1 for none."""
        return self._told.get(partition, -1)

    def write(self, partition: int, alerts: Sequence[Alert], dead: Sequence[DeadLetter]) -> None:
        """Keep what is not decided yet."""
        tip, decided = self.tip(partition), self.tip(partition).decided_until
        for alert in alerts:
            if alert.source.offset > decided:
                message, tip = seal(alert, tip)
                offset = self._ends.get(partition, 0)
                self.messages.append((partition, offset, message))
                self._ends[partition] = offset + 1
        self._tips[partition] = tip
        told = self.told_until(partition)
        fresh = [letter for letter in dead if letter.offset > told]
        self.dead.extend(fresh)
        self._told[partition] = max([told, *(letter.offset for letter in fresh)])

    def close(self) -> None:
        """Nothing to release."""
