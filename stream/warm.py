"""Compiled code is loaded, or compiled once on a machine, before the first transaction waits for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from stream.advance import Book, advance, new_arena
from stream.codec import columns_of
from stream.errors import SettingError
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
    """Pass a transaction, a dead letter and a replay through a pipeline, in a partition of their own.

    Raises
    ------
    SettingError
        The features of the stream's profile cannot be compiled.
    """
    profile, scratch = pipeline.profile, TP("warm-up", 0)
    try:
        advance(new_arena(profile.program, capacity=1), columns_of([]), Book(), program=profile.program)
    except Exception as error:  # as many kinds as compilers have; live it would make a dead letter of every transaction
        text = " ".join(str(error).split())[:200]
        raise SettingError(f"stream profile {profile.name}: its features cannot be compiled ({text})") from None
    names = profile.roles.names
    sample = msgspec.json.encode({names[role]: value for role, value in _SAMPLE.items() if role in names})
    pipeline.open(scratch, new_arena(profile.program))
    pipeline.complete(pipeline.prepare([Chunk(scratch, [Sample(sample, 0), Sample(b"{}", 1)])]))
    pipeline.replay(scratch, [Sample(sample, 2)])
    pipeline.close(scratch)
