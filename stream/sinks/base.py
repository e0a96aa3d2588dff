"""What a sink is: it takes one partition's decisions and returns when they are durable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from stream.events import Alert, DeadLetter
from stream.sinks.chain import Tip


class Sink(Protocol):
    """A place for decisions. Every sink keeps three rules, held by one suite of tests.

    1. An alert whose source offset is at or below the tip's ``decided_until`` is not written again.
    2. What is written continues the partition's chain.
    3. Dead letters are written once per source offset.
    """

    def take_over(self, partition: int, tip: Tip, told_until: int) -> None:
        """Continue a partition behind its last alert and its last dead letter (source offset, -1 for none)."""

    def write(self, partition: int, alerts: Sequence[Alert], dead: Sequence[DeadLetter]) -> None:
        """Make one batch durable, in order."""

    def close(self) -> None:
        """Release what the sink holds."""
