"""The hours of one partition that are still open: what each merchant and terminal did, counted as it happens."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

import numpy as np

from stream.codec.native import native_cached
from stream.entities.buckets import AMOUNT, COUNT, COUNTERS, DECLINES, NEW, Bucket
from stream.entities.hours import CLOSE_LAG, HOUR, first_open
from stream.errors import FraudstreamError
from stream.events import I32, I64, TYPES, U8, U64, Columns, Flag

KINDS = ("merchant", "terminal")
NEVER = -(1 << 62)  # an hour before all others
NO_CLOCK = -(1 << 61)  # ms; a clock below has seen nothing yet
_SKIP = int(Flag.LATE | Flag.DUPLICATE | Flag.REVERSAL)
_DECLINED = int(Flag.DECLINED)
_CLEARING, _PREAUTH = TYPES.index("clearing"), TYPES.index("preauth")
_HEAD = struct.Struct("<4sqqI")
_ENTRY = struct.Struct("<Bqqq")
_MAGIC = b"FSP1"


@native_cached
def _place(index: I32, keys: U64, used: I64, key: np.uint64) -> int:
    """Row of an entity; a new one is appended (open addressing, linear probing)."""
    mask = np.uint64(len(index) - 1)
    at = ((key ^ (key >> np.uint64(32))) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(20)) & mask
    while True:
        row = index[at]
        if row < 0:
            row = used[0]
            index[at] = row
            keys[row] = key
            used[0] = row + 1
            return row
        if keys[row] == key:
            return row
        at = (at + np.uint64(1)) & mask


@native_cached
def _rehash(index: I32, keys: U64, used: int) -> None:
    mask = np.uint64(len(index) - 1)
    for row in range(used):
        key = keys[row]
        at = ((key ^ (key >> np.uint64(32))) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(20)) & mask
        while index[at] >= 0:
            at = (at + np.uint64(1)) & mask
        index[at] = row


@native_cached
def _hours(event_time: I64, clock_at: I64, flags: U8, out: I64) -> int:
    """Hour of each transaction, NEVER where none counts; returns whether more than one hour occurs."""
    first, mixed = NEVER, 0
    for i in range(len(out)):
        if flags[i] & _SKIP:
            out[i] = NEVER
            continue
        hour = max(event_time[i] // HOUR, (clock_at[i] - CLOSE_LAG) // HOUR)
        out[i] = hour
        if first == NEVER:
            first = hour
        mixed |= hour != first
    return mixed


# fmt: off
@native_cached
def _count(hours: I64, hour: int, column: U64, news: U8, flags: U8, types: U8, amount: I64,
           index: I32, keys: U64, counts: I64, used: I64) -> None:
    for i in range(len(hours)):
        if hours[i] != hour or column[i] == 0:
            continue
        row = _place(index, keys, used, column[i])
        declined = flags[i] & _DECLINED != 0
        if types[i] != _CLEARING:
            counts[row, COUNT] += 1
            counts[row, NEW] += news[i] == 1
            counts[row, DECLINES] += declined
        if types[i] != _PREAUTH and not declined:
            counts[row, AMOUNT] += amount[i]
# fmt: on


class Counts:
    """The counters of the entities of one kind in one open hour; grows by doubling."""

    def __init__(self, rows: int = 256) -> None:
        self.keys: U64 = np.empty(rows, np.uint64)
        self.counts: I64 = np.zeros((rows, COUNTERS), np.int64)
        self.index: I32 = np.full(2 * rows, -1, np.int32)
        self.used: I64 = np.zeros(1, np.int64)

    def __len__(self) -> int:
        return int(self.used[0])

    def reserve(self, more: int) -> None:
        """Make room for that many entities more."""
        rows, used = len(self.keys), len(self)
        if used + more <= rows:
            return
        while rows < used + more:
            rows *= 2
        keys, counts = np.empty(rows, np.uint64), np.zeros((rows, COUNTERS), np.int64)
        keys[:used], counts[:used] = self.keys[:used], self.counts[:used]
        self.keys, self.counts = keys, counts
        self.index = np.full(2 * rows, -1, np.int32)
        _rehash(self.index, self.keys, used)

    def add(self, key: int, counter: int, delta: int) -> None:
        """Add to one counter of one entity."""
        self.reserve(1)
        row = _place(self.index, self.keys, self.used, np.uint64(key))
        self.counts[row, counter] += delta

    def put(self, keys: U64, counts: I64) -> None:
        """Take over rows; there were none."""
        self.reserve(len(keys))
        self.keys[: len(keys)], self.counts[: len(keys)] = keys, counts
        self.used[0] = len(keys)
        _rehash(self.index, self.keys, len(keys))


def _bucket(hour: int, tables: Sequence[Counts], side: int) -> Bucket:
    """The rows of an hour, kind by kind."""
    used = [len(table) for table in tables]
    return Bucket(
        hour,
        np.repeat(np.arange(len(tables), dtype=np.uint8), used),
        np.concatenate([table.keys[:n] for table, n in zip(tables, used, strict=True)]),
        np.concatenate([table.counts[:n] for table, n in zip(tables, used, strict=True)]),
        side,
    )


class Partials:
    """The open hours of one partition, and the closed ones that are not durable on the profile topic yet.

    Parameters
    ----------
    kinds
        Names of the entities that are shared between partitions; `Columns` holds ``<name>_key`` for each.

    Attributes
    ----------
    partition
        Of the source; -1 when nobody said.
    side
        Offset of the first feedback record that was not applied.
    through
        Last hour that is closed.
    unsent
        Closed hours that were not acknowledged (`ack`), oldest first.
    """

    def __init__(self, kinds: Sequence[str] = KINDS) -> None:
        self.kinds = tuple(kinds)
        self._columns = tuple(f"{kind}_key" for kind in self.kinds)
        self.partition = -1
        self.side = 0
        self.through = NEVER
        self.unsent: dict[int, Bucket] = {}
        self._open: dict[int, list[Counts]] = {}

    def __len__(self) -> int:
        return sum(len(table) for tables in self._open.values() for table in tables)

    def add(self, columns: Columns, clock_at: I64, news: U8, flags: U8) -> None:
        """Count transactions.

        Parameters
        ----------
        columns
            n transactions in the order of the log.
        clock_at
            The partition's clock before each (n,).
        news
            1 where the merchant is new to the card (n,).
        flags
            `Flag` of each (n,): late, repeated and reversed ones count nowhere. A clearing is money alone, a preauth an
            attempt without money.
        """
        hours = np.empty(len(columns), np.int64)
        if not len(hours) or not self.kinds:
            return
        mixed = _hours(columns.event_time, clock_at, flags, hours)
        for hour in np.unique(hours).tolist() if mixed or hours[0] == NEVER else [int(hours[0])]:
            if hour == NEVER:
                continue
            for name, table in zip(self._columns, self._hour(hour), strict=True):
                column: U64 = getattr(columns, name)
                table.reserve(len(hours))
                _count(hours, hour, column, news, flags, columns.type, columns.amount_minor,
                       table.index, table.keys, table.counts, table.used)  # fmt: skip

    def add_labels(self, deltas: Iterable[tuple[int, int, int, int, int]], clock: int) -> int:
        """Add what labels change: (hour, kind, key, counter, delta) each.

        Returns
        -------
        int
            How many came when their hour was closed: they count in the first open one.
        """
        least, late = max(first_open(clock), self.through + 1), 0
        for hour, kind, key, counter, delta in deltas:
            self._hour(max(hour, least))[kind].add(key, counter, delta)
            late += hour < least
        return late

    def close(self, clock: int) -> list[Bucket]:
        """Close every hour before the first open one; they stay in `unsent` until they are acknowledged.

        Returns
        -------
        list of Bucket
            Oldest first; the last is of the last closed hour, empty if nothing happened in it, so that readers know how
            far this partition is.
        """
        last = first_open(clock) - 1
        if last <= self.through or clock <= NO_CLOCK or not self.kinds:
            return []
        closed = [_bucket(hour, self._open.pop(hour), self.side) for hour in sorted(self._open) if hour <= last]
        if not closed or closed[-1].hour < last:
            closed.append(_bucket(last, [Counts(1)], self.side))
        self.through = last
        self.unsent.update((bucket.hour, bucket) for bucket in closed)
        return closed

    def ack(self, hours: Iterable[int]) -> None:
        """Forget closed hours that are durable."""
        for hour in hours:
            self.unsent.pop(hour, None)

    def rows(self) -> list[Bucket]:
        """All open and unsent hours in one canonical order, for comparisons."""
        still = [_bucket(hour, self._open[hour], self.side) for hour in sorted(self._open)]
        return [bucket.ordered() for bucket in (*self.unsent.values(), *still)]

    def _hour(self, hour: int) -> list[Counts]:
        tables = self._open.get(hour)
        if tables is None:
            tables = self._open[hour] = [Counts() for _ in self.kinds]
        return tables

    # -- checkpoints

    def dump(self) -> bytes:
        """Everything as bytes; a copy of memory, so that it may be taken between two batches."""
        pieces = [_HEAD.pack(_MAGIC, self.side, self.through, len(self.unsent) + len(self._open))]
        still = [_bucket(hour, self._open[hour], self.side) for hour in sorted(self._open)]
        for closed, buckets in ((1, self.unsent.values()), (0, still)):
            for one in buckets:
                pieces.append(_ENTRY.pack(closed, one.hour, one.side, len(one)))
                pieces += [one.kinds.tobytes(), one.keys.tobytes(), one.counts.tobytes()]
        return b"".join(pieces)

    def load(self, data: bytes) -> None:
        """Take over what `dump` gave; what was there is forgotten.

        Raises
        ------
        FraudstreamError
            The bytes are something else, or damaged.
        """
        self._open, self.unsent = {}, {}
        try:
            magic, self.side, self.through, entries = _HEAD.unpack_from(data)
            at = _HEAD.size
            for _ in range(entries):
                closed, hour, side, rows = _ENTRY.unpack_from(data, at)
                at = self._load(data, at + _ENTRY.size, closed, hour, side, rows)
        except (struct.error, ValueError) as error:
            raise FraudstreamError(f"the open hours of a checkpoint are damaged: {error}") from None
        if magic != _MAGIC or at != len(data):
            raise FraudstreamError(
                "the open hours of a checkpoint are damaged: they do not begin or end as they should"
            )

    def _load(self, data: bytes, at: int, closed: int, hour: int, side: int, rows: int) -> int:
        kinds = np.frombuffer(data, np.uint8, rows, at)
        keys = np.frombuffer(data, np.uint64, rows, at + rows)
        counts = np.frombuffer(data, np.int64, rows * COUNTERS, at + 9 * rows).reshape(rows, COUNTERS)
        if closed:
            self.unsent[hour] = Bucket(hour, kinds, keys, counts, side)
        else:
            for kind, table in enumerate(self._hour(hour)):
                table.put(keys[kinds == kind], counts[kinds == kind])
        return at + rows * (9 + 8 * COUNTERS)
