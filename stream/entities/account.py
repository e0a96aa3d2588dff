"""Messages about customers' accounts (`fraud.events`) as columns. See deploy/schemas/event.json."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import numpy as np

from stream.codec.hashing import hash_column
from stream.codec.lenient import read_object
from stream.codec.roles import CARD_ROLES, Roles
from stream.codec.times import INVALID, time_column
from stream.entities.kernels import CONTACT, CREDENTIAL, ENROLMENT, LOGIN, REISSUE
from stream.errors import DecodeError
from stream.events import I64, U8, U64

EVENT_TYPES: Final = {
    "login": LOGIN,
    "device_enrolment": ENROLMENT,
    "pin_change": CREDENTIAL,
    "password_reset": CREDENTIAL,
    "address_change": CONTACT,
    "phone_change": CONTACT,
    "card_reissue": REISSUE,
}
OF_ONE_CARD: Final = frozenset({"pin_change", "card_reissue"})
MESSAGE_MAX = 1 << 20
ID_MAX = 256


class AccountEvent(msgspec.Struct, frozen=True, gc=False):
    """One message; an event is told apart by its customer or card, its kind and its time, not by its id."""

    event_id: str
    type: str
    event_time: str | int | float
    customer_id: str | None = None
    card_id: str | None = None
    device_id: str | None = None
    ip: str | None = None


@dataclass(slots=True)
class Events:
    """Events as columns of length n; keys are those of `stream.events.Columns`, 0 where missing."""

    customer_key: U64
    card_key: U64
    by_card: Any  # bool: it counts for its card alone, not for the customer's other cards
    group: U8
    time: I64  # ms since the epoch, UTC
    device_key: U64

    def __len__(self) -> int:
        return len(self.time)

    def take(self, index: Any) -> Events:
        """The events at `index` (positions, a mask or a slice)."""
        return Events(*(getattr(self, name)[index] for name in self.__slots__))


@dataclass(slots=True)
class Read:
    """What some messages held.

    Attributes
    ----------
    events
        Those that are taken.
    refused
        Position -> why a message is no event, or one that cannot be believed.
    ahead
        How many of the refused are further ahead of the log than clocks may be.
    ignored
        Messages of types that nothing is made of.
    """

    events: Events
    refused: dict[int, str] = field(default_factory=dict)
    ahead: int = 0
    ignored: int = 0


_decode = msgspec.json.Decoder(AccountEvent).decode


def read_events(
    values: Sequence[bytes | None],
    append_time: I64 | None,
    card_keys: Callable[[list[str]], U64],
    skew_ms: int,
    roles: Roles = CARD_ROLES,
) -> Read:
    """Read messages; never raises for what one holds.

    Parameters
    ----------
    values
        n messages.
    append_time
        When the log took each, ms (n,); an event more than `skew_ms` later is refused, because no later message could
        set it right. 0 or less, or None: unknown, everything is believed.
    card_keys
        Gives card ids their keys, as in the transactions ("" is 0).
    skew_ms
        Tolerated lead of an event over its append time.
    roles
        What the stream calls cards, customers and devices.
    """
    refused: dict[int, str] = {}
    rows: list[AccountEvent] = []
    index: list[int] = []
    ignored = 0
    for i, value in enumerate(values):
        try:
            row = _row(value, roles)
        except DecodeError as error:
            refused[i] = str(error)
            continue
        if row.type not in EVENT_TYPES:
            ignored += 1
            continue
        rows.append(row)
        index.append(i)
    at = np.array(index, np.int64)
    events = events_of(rows, card_keys)
    good = events.time != INVALID
    for i in at[~good].tolist():
        refused[i] = "event_time is neither ISO 8601 nor an epoch number"
    late = np.zeros(len(at), np.bool_)
    if append_time is not None:
        appended = append_time[at]
        late = good & (appended > 0) & (events.time > appended + skew_ms)
        for i in at[late].tolist():
            refused[i] = "event_time is further ahead of the log's append time than engine.clock_skew_s allows"
    return Read(events.take(good & ~late), refused, int(late.sum()), ignored)


def events_of(rows: Sequence[AccountEvent], card_keys: Callable[[list[str]], U64]) -> Events:
    """Columns of events of known types, in their order; times that cannot be read are `INVALID`."""
    customer_key = hash_column([row.customer_id for row in rows])
    cards = card_keys([row.card_id or "" for row in rows])
    own = np.array([row.type in OF_ONE_CARD for row in rows], np.bool_)
    return Events(
        customer_key=customer_key,
        card_key=cards,
        by_card=(own & (cards != 0)) | (customer_key == 0),
        group=np.array([EVENT_TYPES[row.type] for row in rows], np.uint8),
        time=time_column([row.event_time for row in rows])[0],
        device_key=hash_column([row.device_id for row in rows]),
    )


def _row(value: bytes | None, roles: Roles) -> AccountEvent:
    if not value:
        raise DecodeError("events", "empty value")
    if len(value) > MESSAGE_MAX:
        raise DecodeError("events", f"a message of {len(value)} bytes is larger than {MESSAGE_MAX}")
    try:
        row = _decode(value) if roles.plain else _careful(roles.beside(read_object(value)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        row = _careful(roles.beside(read_object(value)))
    kind = row.type.strip().lower().replace("-", "_").replace(" ", "_")
    row = row if kind == row.type else msgspec.structs.replace(row, type=kind)
    if not row.event_id:
        raise DecodeError("events", "event_id is empty")
    if not row.customer_id and not (row.card_id and row.card_id.strip()):
        names = f"neither {roles.name('customer_id')} nor {roles.name('card_id')}"
        raise DecodeError("events", f"{names} says whose event it is")
    if any(len(text) > ID_MAX for text in (row.customer_id, row.card_id, row.device_id) if text):
        raise DecodeError("events", f"an id is longer than {ID_MAX} characters")
    return row


def _careful(given: dict[str, Any]) -> AccountEvent:
    """Numbers where texts are expected are read as texts; an optional field of no use is missing."""
    told: dict[str, Any] = {}
    for name in AccountEvent.__struct_fields__:
        value = given.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**ID_MAX and name != "event_time":
            value = str(value)
        if isinstance(value, str) or (name == "event_time" and type(value) in (int, float)):
            told[name] = value
    for name in ("event_id", "type", "event_time"):
        if name not in told:
            raise DecodeError("events", f"{name} is missing or of no use")
    return AccountEvent(**told)
