"""What happened to a customer's account of late: sign-ins, enrolments, changes; a bounded cache that looks up by time.

Events lie in one sorted list for each key and group of types, so that a lookup depends on nothing but the set of events
and the transaction's own time: neither their order of arrival nor how far the cache is ahead matters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from stream.entities.account import Events
from stream.entities.kernels import (
    CARD_SALT,
    DEPTH,
    EVENT,
    EVENTS_HELD,
    EVENTS_USED,
    LAG_MS,
    NEWEST,
    ROW,
    ROWS_HELD,
    ROWS_USED,
    WINDOW_MS,
    forget,
    insert_all,
    look_all,
)
from stream.events import F64, I64, U64

COLUMNS: Final = (
    "login_ms",  # since the last sign-in
    "enrolment_ms",  # since a device was last enrolled
    "credential_ms",  # since the PIN or password last changed
    "contact_ms",  # since the address or phone number last changed
    "reissue_ms",  # since a card was last issued anew
    "logins_24h",  # sign-ins in the 24 hours before, at most 64 are counted; NaN when none is known within 30 days
    "login_other_device",  # 1: the last sign-in came from another device than the transaction; 0: the same
    "enrolment_other_device",  # 1: the device enrolled last is another one than the transaction's; 0: the same
)
"""Columns of `Takeover.look`. NaN where nothing of the kind is known within 30 days, or one of two devices is not."""

KEYS = 1 << 22
EVENTS = 1 << 26
FORGET_AFTER_MS: Final = 35 * 86_400_000


class Takeover:
    """Events of customers and cards, at most `DEPTH` for each key and group of types.

    It takes 64 bytes a customer or card with events, 24 bytes an event and 8 bytes for each of `keys`; memory is
    reserved, and only what was written to is used.

    Parameters
    ----------
    keys
        Most customers and cards held at once, a power of two; what is beyond is refused and counted.
    events
        Most events held at once; as `keys`.
    """

    def __init__(self, keys: int = KEYS, events: int = EVENTS) -> None:
        self._index = np.zeros(2 * keys, np.int32)
        self._rows = np.zeros(keys, ROW)
        self._events = np.zeros(events, EVENT)
        self._state = np.zeros(8, np.int64)
        self._parts = self._index, self._rows, self._events, self._state

    @property
    def rows(self) -> int:
        """Customers and cards with events."""
        return int(self._state[ROWS_HELD])

    @property
    def events(self) -> int:
        """Events held."""
        return int(self._state[EVENTS_HELD])

    @property
    def newest(self) -> int:
        """Time of the newest event ever taken, ms; 0 when there is none."""
        return int(self._state[NEWEST])

    @property
    def nbytes(self) -> int:
        """Bytes in use."""
        rows, events = int(self._state[ROWS_USED]), int(self._state[EVENTS_USED])
        return self._index.nbytes + rows * ROW.itemsize + events * EVENT.itemsize if rows else 0

    def add(self, events: Events) -> tuple[int, int, int]:
        """Take events, in whatever order; one of the same key, group and time as another changes nothing.

        Returns
        -------
        (int, int, int)
            How many were new, known already (or older than the `DEPTH` newest), and refused for want of room.
        """
        keys = np.where(events.by_card, events.card_key ^ CARD_SALT, events.customer_key)
        added, known, full = insert_all(*self._parts, keys, events.group, events.time, events.device_key)
        return int(added), int(known), int(full)

    def look(self, customer_keys: U64, card_keys: U64, event_time: I64, device_keys: U64 | None = None) -> F64:
        """What each transaction may know: events at least 5 s older than itself, of its customer and of its card.

        Parameters
        ----------
        customer_keys, card_keys, device_keys
            Keys of the transactions as in `stream.events.Columns` (n,); 0 is missing.
        event_time
            Their times (n,), ms.

        Returns
        -------
        float64 (n, 8)
            See `COLUMNS`; NaN where nothing is known.
        """
        n = len(event_time)
        if not self._state[ROWS_HELD]:
            return np.full((n, len(COLUMNS)), np.nan)
        out, found = np.empty((n, len(COLUMNS))), np.empty((2, n), np.int64)
        devices = np.zeros(n, np.uint64) if device_keys is None else device_keys
        look_all(*self._parts, customer_keys, card_keys, event_time, devices, found, out)
        return out

    def forget(self, before_ms: int, limit: int = 4096) -> int:
        """Drop what is older, from the next `limit` customers and cards in turn; returns how many events went."""
        return int(forget(*self._parts, before_ms, limit))


class History:
    """Events of a history in order of time, fed into a `Takeover` as far as its transactions are.

    Parameters
    ----------
    events
        In any order.
    """

    def __init__(self, events: Events) -> None:
        order = np.argsort(events.time, kind="stable")
        self._events = events.take(order)
        self._next = 0

    def feed(self, takeover: Takeover, until_ms: int) -> None:
        """Give it every event up to a time."""
        end = int(np.searchsorted(self._events.time, until_ms, side="right"))
        if end > self._next:
            takeover.add(self._events.take(slice(self._next, end)))
            self._next = end


def warm_up() -> None:
    """Compile or load the loops, so that no batch waits for it."""
    takeover, one = Takeover(keys=2, events=2), np.ones(1, np.uint64)
    takeover.add(Events(one, one, np.zeros(1, np.bool_), np.zeros(1, np.uint8), np.ones(1, np.int64), one))
    takeover.look(one, one, np.full(1, LAG_MS + 1), one)
    takeover.forget(LAG_MS)


def joined(parts: Sequence[Events]) -> Events:
    """One set of events out of several."""
    return Events(*(np.concatenate([getattr(part, name) for part in parts]) for name in Events.__slots__))


__all__ = ["COLUMNS", "DEPTH", "FORGET_AFTER_MS", "LAG_MS", "WINDOW_MS", "History", "Takeover", "joined", "warm_up"]
