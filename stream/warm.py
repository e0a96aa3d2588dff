"""Compiled code is loaded, or compiled once on a machine, before the first transaction waits for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stream.advance import new_arena
from stream.events import TP
from stream.pipeline import Chunk, Pipeline

_SAMPLE = (
    b'{"transaction_id":"warm-up","event_time":"2026-01-31T12:00:00.000Z","card_id":"warm-up","merchant_id":"warm-up",'
    b'"terminal_id":"T","type":"purchase","amount":12.5,"currency":"EUR","country":"DE","channel":"pos",'
    b'"entry_mode":"chip","latitude":52.5,"longitude":13.4,"mcc":"5411","card_opened_at":"2025-01-01T00:00:00Z"}'
)


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
    pipeline.open(scratch, new_arena())
    pipeline.complete(pipeline.prepare([Chunk(scratch, [Sample(_SAMPLE, 0), Sample(b"{}", 1)])]))
    pipeline.replay(scratch, [Sample(_SAMPLE, 2)])
    pipeline.close(scratch)
