"""The hours of one partition that are still open: what each merchant and terminal did, counted as it happens."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from stream.codec.native import native_cached
from stream.entities.buckets import AMOUNT, COUNT, COUNTERS, DECLINES, FRAUDS, NEW, Bucket
from stream.entities.hours import CLOSE_LAG, HOUR, first_open
from stream.errors import FraudstreamError
from stream.events import I64, TYPES, U8, U64, Columns, Flag
from stream.state.prefetch import LINE, UPPER, WORD, alike, lowest, prefetch

KINDS = ("merchant", "terminal")
NEVER = -(1 << 62)  # an hour before all others
LAST = 1 << 62  # an hour after all others
NO_CLOCK = -(1 << 61)  # ms; a clock below has seen nothing yet
_SKIP = int(Flag.LATE | Flag.DUPLICATE | Flag.REVERSAL)
_DECLINED, _AHEAD = int(Flag.DECLINED), int(Flag.CLOCK_SKEW)
_CLEARING, _PREAUTH = TYPES.index("clearing"), TYPES.index("preauth")
_HEAD = struct.Struct("<4sqqI")
_ENTRY = struct.Struct("<Bqqq")
_MAGIC = b"FSP1"
_LOW = (1 << 32) - 1
RUN = 64  # transactions whose memory is asked for together


@native_cached
def _mixed(key: Any, kind: Any) -> Any:
    value = (key ^ (key >> np.uint64(32))) * np.uint64(0x9E3779B97F4A7C15)
    return np.int64(value >> np.uint64(1)) ^ (kind << 40)


@native_cached
def _place(index: Any, keys: Any, kinds: Any, used: Any, key: Any, kind: Any) -> Any:
    """Row of an entity; a new one is appended. An entry of the index is 32 bits of the hash and a row plus one."""
    mixed, mask = _mixed(key, kind), len(index) - 1
    at, tag = (mixed >> 20) & mask & -LINE, mixed << 32
    while True:
        hits = alike(index, at, tag, UPPER)
        while hits != 0:
            row = (index[at + lowest(hits)] & _LOW) - 1
            if row >= 0 and keys[row] == key and kinds[row] == kind:
                return row
            hits &= hits - 1
        empty = alike(index, at, 0, -1)
        if empty != 0:
            row = used[0]
            index[at + lowest(empty)] = tag | (row + 1)
            keys[row], kinds[row] = key, kind
            used[0] = row + 1
            return row
        at = (at + LINE) & mask


@native_cached
def _rehash(index: Any, keys: Any, kinds: Any, used: Any) -> None:
    mask = len(index) - 1
    for row in range(used):
        mixed = _mixed(keys[row], np.int64(kinds[row]))
        at = (mixed >> 20) & mask & -LINE
        while index[at] != 0:
            at = (at + 1) & mask
        index[at] = mixed << 32 | (row + 1)


@native_cached
def _ahead(columns: Any, low: Any, high: Any, after: Any, index: Any, keys: Any, kinds: Any, counts: Any) -> None:
    """Ask for the counters of transactions from `low` up to `high`, and for the index of those up to `after`."""
    mask = len(index) - 1
    for kind in range(len(columns)):
        for i in range(high, after):
            prefetch(index, (_mixed(columns[kind][i], kind) >> 20) & mask)
    for kind in range(len(columns)):
        for i in range(low, high):
            mixed = _mixed(columns[kind][i], kind)
            at = (mixed >> 20) & mask & -LINE
            hits = alike(index, at, mixed << 32, UPPER)
            row = max((index[at + lowest(hits | 1 << (LINE - 1))] & _LOW) - 1, 0)
            prefetch(counts, row * COUNTERS)
            prefetch(keys, row)
            prefetch(kinds, row >> 3)


@native_cached
def _hour(time: Any, clock: Any, flag: Any) -> Any:
    """Hour in which a transaction counts: its own, or the first that is open."""
    if flag & _AHEAD and clock > NO_CLOCK:
        time = min(time, clock)  # whoever's clock is wrong, it happened by now
    return max(time // HOUR, (clock - CLOSE_LAG) // HOUR)


# fmt: off
@native_cached
def _count(columns: tuple[Any, ...], event_time: Any, clock_at: Any, news: Any, flags: Any, types: Any, amount: Any,
           hour: Any, after: Any, done: Any,
           index: Any, keys: Any, kinds: Any, counts: Any, used: Any) -> int:
    """Count the transactions of one hour; return the least other one after `after` that is not `done`, or LAST."""
    rest, n = LAST, len(event_time)
    _ahead(columns, 0, 0, min(RUN, n), index, keys, kinds, counts)
    for low in range(0, n, RUN):
        high = min(low + RUN, n)
        _ahead(columns, low, high, min(high + RUN, n), index, keys, kinds, counts)
        for i in range(low, high):
            if flags[i] & _SKIP:
                continue
            own = _hour(event_time[i], clock_at[i], flags[i])
            if own != hour:
                if after < own < rest and own != done:
                    rest = own
                continue
            declined = flags[i] & _DECLINED != 0
            attempt, spend = types[i] != _CLEARING, types[i] != _PREAUTH and not declined
            for kind in range(len(columns)):
                if columns[kind][i] != 0:
                    row = _place(index, keys, kinds, used, columns[kind][i], kind)
                    counts[row, COUNT] += attempt
                    counts[row, NEW] += attempt and news[i] == 1
                    counts[row, DECLINES] += attempt and declined
                    counts[row, AMOUNT] += amount[i] if spend else 0
    return rest
# fmt: on


def _lines(words: int) -> I64:
    """Zeroed 64-bit words that begin where a cache line does."""
    memory = np.zeros(words + LINE, np.int64)
    start = -memory.ctypes.data // WORD % LINE
    return memory[start : start + words]


class Hour:
    """The counters of one open hour; grows by doubling."""

    def __init__(self, rows: int = 512) -> None:
        self.used: I64 = np.zeros(1, np.int64)
        self._make(rows)

    def _make(self, rows: int) -> None:
        self.keys: U64 = np.empty(rows, np.uint64)
        self.kinds: U8 = np.empty(rows, np.uint8)
        self.counts: I64 = np.zeros((rows, COUNTERS), np.int64)
        self.index: I64 = _lines(max(2 * rows, LINE))
        self.room = rows
        self.parts = (self.index, self.keys, self.kinds, self.counts, self.used)

    def __len__(self) -> int:
        return int(self.used[0])

    def reserve(self, more: int) -> None:
        """Make room for that many entities more."""
        used = len(self)
        if used + more <= self.room:
            return
        keys, kinds, counts = self.keys, self.kinds, self.counts
        self._make(1 << (used + more - 1).bit_length())
        self.keys[:used], self.kinds[:used], self.counts[:used] = keys[:used], kinds[:used], counts[:used]
        _rehash(self.index, self.keys, self.kinds, used)

    def add(self, kind: int, key: int, counter: int, delta: int) -> None:
        """Add to one counter of one entity."""
        self.reserve(1)
        row = _place(self.index, self.keys, self.kinds, self.used, np.uint64(key), kind)
        self.counts[row, counter] += delta

    def put(self, kinds: U8, keys: U64, counts: I64) -> None:
        """Take over rows; there were none."""
        n = len(keys)
        self.reserve(n)
        self.keys[:n], self.kinds[:n], self.counts[:n] = keys, kinds, counts
        self.used[0] = n
        _rehash(self.index, self.keys, self.kinds, n)

    def bucket(self, hour: int, side: int) -> Bucket:
        """Its rows, kind by kind."""
        n = len(self)
        order = np.argsort(self.kinds[:n], kind="stable")
        return Bucket(hour, self.kinds[order], self.keys[order], self.counts[order], side)


_NOBODY = Hour(1)


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
    keep
        Whether closed hours wait in `unsent`; not where nobody tells them.
    unsent
        Closed hours that were not acknowledged (`ack`), oldest first.
    """

    def __init__(self, kinds: Sequence[str] = KINDS) -> None:
        self.kinds = tuple(kinds)
        self._columns = tuple(f"{kind}_key" for kind in self.kinds)
        self.partition = -1
        self.side = 0
        self.through = NEVER
        self.keep = True
        self.unsent: dict[int, Bucket] = {}
        self._open: dict[int, Hour] = {}
        self._last = NEVER  # hour that was counted last
        self._close_at = NO_CLOCK + 1

    def __len__(self) -> int:
        return sum(len(hour) for hour in self._open.values())

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
        n = len(columns)
        if not n or not self.kinds:
            return
        given = (tuple([getattr(columns, name) for name in self._columns]),
                 columns.event_time, clock_at, news, flags, columns.type, columns.amount_minor)  # fmt: skip
        last, table = self._last, self._open.get(self._last)
        if table is None:
            last, table = NEVER, _NOBODY
        else:
            table.reserve(len(self.kinds) * n)
        hour = _count(*given, last, NEVER, last, *table.parts)
        while hour != LAST:  # not all of the same hour as those before
            table = self._hour(hour)
            table.reserve(len(self.kinds) * n)
            self._last = hour
            hour = _count(*given, hour, hour, last, *table.parts)

    def add_labels(self, deltas: Iterable[tuple[int, int, int, int, int]], clock: int) -> int:
        """Add what labels change: (hour, kind, key, counter, delta) each.

        Returns
        -------
        int
            How many came when their hour was closed: they count in the first open one.
        """
        least, late = max(first_open(clock), self.through + 1), 0
        for hour, kind, key, counter, delta in deltas:
            self._hour(max(hour, least)).add(kind, key, counter, delta)
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
        if clock < self._close_at or not self.kinds:
            return []
        last = first_open(clock) - 1
        if last <= self.through:  # loaded from a checkpoint, or of a clock that was put back
            return []
        closed = [self._open.pop(hour).bucket(hour, self.side) for hour in sorted(self._open) if hour <= last]
        if not closed or closed[-1].hour < last:
            closed.append(Hour(1).bucket(last, self.side))
        self.through = last
        self._close_at = (last + 2) * HOUR + CLOSE_LAG
        if self.keep:
            self.unsent.update((bucket.hour, bucket) for bucket in closed)
        return closed

    def ack(self, hours: Iterable[int]) -> None:
        """Forget closed hours that are durable."""
        for hour in hours:
            self.unsent.pop(hour, None)

    def rows(self) -> list[Bucket]:
        """All open and unsent hours in one canonical order, for comparisons."""
        still = [self._open[hour].bucket(hour, self.side) for hour in sorted(self._open)]
        return [bucket.ordered() for bucket in (*self.unsent.values(), *still)]

    def canonical(self) -> bytes:
        """What is counted, in one order, for comparisons.

        Whether closed hours were told yet is not part of it, nor are the frauds of the first open hour: there count the
        labels that were read after their own hour was closed, and when they are read is not told by the log.
        """
        still = []
        for hour in sorted(self._open):
            one = self._open[hour].bucket(hour, 0)
            if hour == self.through + 1:
                one.counts[:, FRAUDS] = 0
            still.append(one.ordered())
        still = [one for one in still if len(one)]
        pieces = [_ENTRY.pack(0, one.hour, self.through, len(one)) for one in still]
        return b"".join([*pieces, *(part.tobytes() for one in still for part in (one.kinds, one.keys, one.counts))])

    def _hour(self, hour: int) -> Hour:
        table = self._open.get(hour)
        if table is None:
            table = self._open[hour] = Hour()
        return table

    # -- checkpoints

    def dump(self) -> bytes:
        """Everything as bytes; a copy of memory, so that it may be taken between two batches."""
        pieces = [_HEAD.pack(_MAGIC, self.side, self.through, len(self.unsent) + len(self._open))]
        still = [self._open[hour].bucket(hour, self.side) for hour in sorted(self._open)]
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
        self._open, self.unsent, self._close_at = {}, {}, NO_CLOCK + 1
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
            self._hour(hour).put(kinds, keys, counts)
        return at + rows * (9 + 8 * COUNTERS)
