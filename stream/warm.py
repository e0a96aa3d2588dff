"""Compiled code is loaded, or compiled once on a machine, before the first transaction waits for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from stream.advance import new_arena
from stream.events import TP
from stream.pipeline import Chunk, Pipeline

_SAMPLE = {
    "transaction_id": "warm-up", "event_time": "2026-01-31T12:00:00.000Z", "card_id": "warm-up",
    "merchant_id": "warm-up", "terminal_id": "T", "type": "purchase", "amount": 12.5, "currency": "EUR",
    "country": "DE", "channel": "pos", "entry_mode": "chip", "latitude": 52.5, "longitude": 13.4, "mcc": "5411",
    "card_opened_at": "2025-01-01T00:00:00Z",
}  # fmt: skip


@dataclass(slots=True)
class Sample:
    """A record that never was in Kafka."""

    value: bytes | None
    offset: int
    key: bytes | None = None
    timestamp: int = 1_800_000_000_000
    headers: Any = ()


def warm_up(pipeline: Pipeline) -> None:
    """Pass a transaction, a dead letter and a replay through a pipeline, in a partition of their own."""
    scratch = TP("warm-up", 0)
    names = pipeline.profile.roles.names
    sample = msgspec.json.encode({names[role]: value for role, value in _SAMPLE.items() if role in names})
    pipeline.open(scratch, new_arena(pipeline.profile.program))
    pipeline.complete(pipeline.prepare([Chunk(scratch, [Sample(sample, 0), Sample(b"{}", 1)])]))
    pipeline.replay(scratch, [Sample(sample, 2)])
    pipeline.close(scratch)
