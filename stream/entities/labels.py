"""Labels: what became known of transactions later, by whom, and what counts when words differ.

A label becomes visible at max(event time + 7 days, decided_at). Of several on one transaction the most trusted source
counts, then the highest revision, then the latest decision. A change of the verdict that counts adds +1 or takes 1 from
the frauds of the merchant and terminal, in the hour it becomes visible or, when that is closed, in the first open one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from stream.codec.hashing import hash_text
from stream.codec.times import EARLIEST, INVALID, LATEST, parse_time
from stream.entities.buckets import FRAUDS
from stream.entities.hours import HOUR
from stream.entities.partials import KINDS
from stream.errors import DecodeError
from stream.events import I64, U64

MATURITY_MS = 7 * 86_400_000
TRUST = {"rule": 1, "customer": 2, "analyst": 3, "chargeback": 4}
GENUINE, FRAUD = 1, 2
LABEL = np.dtype(
    [
        ("key", "u8"),
        ("seen", "i8"),
        ("decided_at", "i8"),
        ("revision", "i4"),
        ("source", "i1"),
        ("verdict", "i1"),
        ("_", "i2"),
    ]
)

Delta = tuple[int, int, int, int, int]


class Message(msgspec.Struct, frozen=True):
    """A label as it stands on the feedback topic; see deploy/schemas/feedback.json."""

    transaction_id: str
    card_id: str
    event_time: str | int | float
    verdict: Literal["fraud", "genuine"]
    source: Literal["chargeback", "analyst", "customer", "rule"]
    decided_at: str | int | float
    revision: int = 0
    merchant_id: str | None = None
    terminal_id: str | None = None
    device_id: str | None = None


class Label(msgspec.Struct, frozen=True, gc=False):
    """A label that was read."""

    offset: int
    transaction_key: int
    keys: tuple[int, ...]  # of the shared entities, in the order of their kinds; 0 missing
    event_time: int  # ms
    decided_at: int  # ms
    revision: int
    source: int  # `TRUST`
    verdict: int

    @property
    def visible(self) -> int:
        """When it may be known, ms."""
        return max(self.event_time + MATURITY_MS, self.decided_at)

    @property
    def rank(self) -> tuple[int, int, int]:
        """The greater one counts."""
        return self.source, self.revision, self.decided_at


class Rows(Protocol):
    """The part of `stream.state.Table` that labels need."""

    @property
    def rows(self) -> npt.NDArray[Any]:
        """Structured rows."""

    def locate(self, keys: U64) -> I64:
        """Slots of keys, new ones zeroed."""

    def touch(self, slots: I64) -> None:
        """Say that these rows will change."""


_read = msgspec.json.Decoder(Message).decode


def decode_label(
    value: bytes | None,
    offset: int,
    kinds: Sequence[str] = KINDS,
    read: Callable[[bytes], Message] = _read,
) -> Label:
    """Read one message of the feedback topic.

    Parameters
    ----------
    kinds
        Entities that labels count for; ``<kind>_id`` names each.
    read
        Decodes a message; `stream.codec.roles.Roles.reader` gives one for a stream with names of its own.

    Raises
    ------
    DecodeError
        It is no label (stage ``feedback``).
    """
    try:
        message = read(value or b"")
        times = parse_time(message.event_time)[0], parse_time(message.decided_at)[0]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError("feedback", str(error) or type(error).__name__) from None
    for name, time in zip(("event_time", "decided_at"), times, strict=True):
        if time == INVALID or not EARLIEST <= time <= LATEST:
            raise DecodeError("feedback", f"{name} is neither ISO 8601 nor an epoch number")
    if not message.transaction_id or not message.card_id:
        raise DecodeError("feedback", "transaction_id or card_id is empty")
    if not 0 <= message.revision < 1 << 31:
        raise DecodeError("feedback", "revision is not between 0 and 2147483647")
    ids = [getattr(message, f"{kind}_id", None) for kind in kinds]
    return Label(
        offset=offset,
        transaction_key=hash_text(message.transaction_id),
        keys=tuple(hash_text(name or "") for name in ids),
        event_time=times[0],
        decided_at=times[1],
        revision=message.revision,
        source=TRUST[message.source],
        verdict=FRAUD if message.verdict == "fraud" else GENUINE,
    )


@dataclass(slots=True)
class Applied:
    """What labels led to.

    Parameters
    ----------
    deltas
        (hour, kind, key, counter, delta) each, for `Partials.add_labels`.
    outcomes
        How many were ``applied`` (the first on their transaction), ``confirming`` (the same verdict again from another
        source or revision), ``contradicting`` (another verdict; the one of higher rank counts) or ``double`` (nothing
        new). ``early`` ones, ahead of the partition's clock, are counted beside.
    """

    deltas: list[Delta] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)


def apply_labels(
    table: Rows, labels: Iterable[Label], clock: int, floor: Callable[[int], int] = lambda offset: -(1 << 62)
) -> Applied:
    """Weigh labels against what is known of their transactions, one after the other.

    Parameters
    ----------
    table
        Rows of `LABEL`, one per transaction with a label.
    clock
        The partition's clock, ms; what is ahead of it is early.
    floor
        First hour that may hold the label at an offset (`Merged.floor`).
    """
    result = Applied()
    for label in labels:
        slots = table.locate(np.array([label.transaction_key], np.uint64))
        table.touch(slots)
        row = table.rows[slots[0]]
        before = int(row["verdict"])
        outcome, after = _weigh(row, label)
        result.outcomes[outcome] += 1
        result.outcomes["early"] += label.event_time > clock
        change = int(after == FRAUD) - int(before == FRAUD)
        if change:
            hour = max(label.visible // HOUR, floor(label.offset))
            result.deltas += [(hour, kind, key, FRAUDS, change) for kind, key in enumerate(label.keys) if key]
    return result


def _weigh(row: Any, label: Label) -> tuple[str, int]:
    """Outcome of a label, and the verdict that counts after it; the row remembers it."""
    before = int(row["verdict"])
    known = (int(row["source"]), int(row["revision"]), int(row["decided_at"]))
    row["seen"] = max(int(row["seen"]), label.visible)
    if before == 0:
        outcome = "applied"
    elif label.verdict != before:
        outcome = "contradicting"
    else:
        outcome = "double" if label.rank[:2] == known[:2] else "confirming"
    if before and label.rank <= known:
        return outcome, before
    row["source"], row["revision"], row["decided_at"] = label.rank
    row["verdict"] = label.verdict
    return outcome, label.verdict
