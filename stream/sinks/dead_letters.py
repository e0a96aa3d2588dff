"""The dead-letter log: what could not be processed, why, and where it stands in the source."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from stream.events import DeadLetter
from stream.sinks.outbox import Row

ERROR_CHARACTERS = 2000


class DeadLetterLog:
    """Writes each dead letter once: offsets at or below the last one in the log were told before."""

    def __init__(self, topic: str, topic_id: str) -> None:
        self.topic = topic
        self._topic_id = topic_id.encode()
        self._told: dict[int, int] = {}

    def take_over(self, partition: int, told_until: int) -> None:
        """Continue a partition whose last dead letter is of this source offset (-1: none)."""
        self._told[partition] = told_until

    def release(self) -> None:
        """Forget every partition: they may belong to another worker."""
        self._told.clear()

    def pending(self, partition: int, dead: Sequence[DeadLetter]) -> list[DeadLetter]:
        """Leave out what the log tells already; in the order of the source."""
        told = self._told[partition]
        return sorted((letter for letter in dead if letter.offset > told), key=lambda letter: letter.offset)

    def rows(self, dead: Sequence[DeadLetter]) -> list[Row]:
        """Render dead letters as records."""
        return [Row(encode(letter), None, self._headers(letter)) for letter in dead]

    def settle(self, partition: int, dead: Sequence[DeadLetter]) -> None:
        """Remember what is durable now."""
        if dead:
            self._told[partition] = dead[-1].offset

    def _headers(self, letter: DeadLetter) -> list[tuple[str, bytes]]:
        return [
            ("stage", letter.stage.encode()),
            ("topic_id", self._topic_id),
            ("source_topic", letter.topic.encode()),
            ("source_partition", b"%d" % letter.partition),
            ("source_offset", b"%d" % letter.offset),
        ]


def encode(letter: DeadLetter) -> bytes:
    """Render one dead letter as JSON; a payload that is not UTF-8 is base64 (``payload_encoding`` says which)."""
    body: dict[str, Any] = {
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "timestamp": letter.timestamp,
        "stage": letter.stage,
        "error": letter.error[:ERROR_CHARACTERS],
        "payload_size": letter.payload_size,
        "payload_sha256": letter.payload_sha256,
        "detected_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }
    try:
        body["payload"], body["payload_encoding"] = letter.payload.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        body["payload"], body["payload_encoding"] = base64.b64encode(letter.payload).decode("ascii"), "base64"
    return msgspec.json.encode(body)
