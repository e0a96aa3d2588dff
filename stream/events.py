"""The nouns: what comes in, what goes out, and the columns in between."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
U8 = npt.NDArray[np.uint8]
I32 = npt.NDArray[np.int32]


class Record(Protocol):
    """One Kafka record as the transport hands it over (aiokafka's and kafka-python's both fit)."""

    value: bytes | None
    key: bytes | None
    offset: int
    timestamp: int  # ms since the epoch
    headers: Any


class Transaction(msgspec.Struct, frozen=True, gc=False):
    """One payment request, as decoded; every optional field may be absent. See deploy/schemas/transaction.json."""

    transaction_id: str
    event_time: str | int | float
    card_id: str
    merchant_id: str
    amount: float | str
    currency: str
    customer_id: str | None = None
    terminal_id: str | None = None
    type: str | None = None
    amount_base: float | None = None
    response_code: str | None = None
    mcc: int | str | None = None
    bin: str | None = None
    country: str | None = None
    channel: str | None = None
    entry_mode: str | None = None
    three_ds: str | None = None
    cvv_result: str | None = None
    avs_result: str | None = None
    device_id: str | None = None
    ip: str | None = None
    ip_country: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    card_opened_at: str | int | float | None = None
    account_opened_at: str | int | float | None = None


class Flag(enum.IntFlag):
    """Per-transaction flags, one byte in `Columns.flags`."""

    LATE = 1  # older than the horizon: scored, updates nothing
    DUPLICATE = 2  # its transaction_id was already seen on this card: updates nothing, alerts nothing
    CLOCK_SKEW = 4  # ahead of the log's append time: scored with its time clamped
    DECLINED = 8  # response_code is not an approval: an attempt, never spend
    REVERSAL = 16  # refund or reversal: never spend


# Codes of the small vocabularies; 0 is "missing" everywhere, the last one "other".
TYPES = ("", "purchase", "cash", "refund", "reversal", "preauth", "clearing", "?")
CHANNELS = ("", "pos", "ecom", "atm", "moto", "?")
ENTRY_MODES = ("", "chip", "contactless", "swipe", "fallback", "keyed", "stored", "?")
THREE_DS = ("", "authenticated", "attempted", "failed", "none", "?")
CVV_RESULTS = ("", "match", "no_match", "not_provided", "?")
AVS_RESULTS = ("", "match", "partial", "no_match", "not_provided", "?")


@dataclass(slots=True)
class Columns:
    """A batch of transactions as columns, all of length n, in the order of one partition's log.

    Missing numbers are NaN (floats), -1 (``mcc``) or 0 (hashes and codes).
    """

    event_time: I64  # ms since the epoch, UTC, clamped to the append time where it was ahead
    local_time: I64  # the same in the merchant's local time
    transaction_key: U64  # 64-bit hash of transaction_id
    card_key: U64  # from the card's token, never from its number
    customer_key: U64
    merchant_key: U64
    terminal_key: U64
    device_key: U64
    ip_key: U64
    amount_minor: I64  # base currency, minor units, >= 0
    mcc: I32
    country: I32  # 26*26 code of the ISO 3166 alpha-2 letters + 1; 0 missing
    ip_country: I32
    type: U8
    channel: U8
    entry_mode: U8
    three_ds: U8
    cvv_result: U8
    avs_result: U8
    latitude: F32
    longitude: F32
    card_age_days: F32  # event_time - card_opened_at
    account_age_days: F32
    flags: U8  # `Flag`; the guard kernel adds DUPLICATE and LATE

    def __len__(self) -> int:
        return len(self.event_time)


@dataclass(frozen=True, slots=True)
class TP:
    """A topic's partition."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Bytes that could not be processed, and why."""

    topic: str
    partition: int
    offset: int
    timestamp: int  # of the source record, ms
    stage: str  # decode | mapping | validate | features | score | publish | events
    error: str
    payload: bytes  # masked, at most 64 KiB
    payload_size: int
    payload_sha256: str


class Reason(msgspec.Struct, frozen=True):
    """Why, for an analyst: a stable code, a sentence, the value, what is usual for this card, and its weight."""

    code: str
    text: str
    feature: str
    value: float | None
    usual: float | None
    contribution: float  # of the fused logit


class ModelRef(msgspec.Struct, frozen=True):
    """A model as every alert names it."""

    name: str
    version: str
    sha256: str


class Source(msgspec.Struct, frozen=True):
    """Where the transaction stands in Kafka."""

    topic: str
    partition: int
    offset: int


OUTCOMES = ("pass", "review", "step_up", "decline_recommended")


class Alert(msgspec.Struct, frozen=True):
    """A decision sent to an investigator. See deploy/schemas/alert.json; ``hash`` chains the partition's alerts."""

    alert_id: str
    schema_version: str
    kind: str
    outcome: str
    score: float | None  # None when no detector answered and rules alone decided
    threshold: float
    scores: dict[str, float]
    reasons: list[Reason]
    transaction: dict[str, Any]
    features: dict[str, float | None]
    panel_hash: str
    models: list[ModelRef]
    rules: list[str]
    case_id: str
    customer_id: str | None
    amount_base: float
    degraded: bool
    late: bool
    duplicate: bool
    clock_skew: bool
    profile_version: str
    event_time: str
    detected_at: str
    source: Source
    epoch: int = 0
    sequence: int = 0
    previous_hash: str = ""
    hash: str = ""
