"""Profiles of merchants and terminals, merged from the closed hours of all partitions."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from stream.entities.buckets import HOURLY, Bucket
from stream.entities.hours import DAY_HOURS, HOUR
from stream.entities.partials import KINDS, NEVER
from stream.entities.rings import RING_DAYS, WIDTH, Rings
from stream.events import F64, I64, U64

CAPACITY = 1 << 20  # entities of a kind; memory is committed as they come
_REMEMBERED = RING_DAYS * DAY_HOURS


@dataclass(slots=True)
class _Known:
    """What was merged of one partition: hours with their `side`, and days."""

    through: int = NEVER
    sides: dict[int, int] = field(default_factory=dict)
    days: set[int] = field(default_factory=set)

    def has(self, bucket: Bucket) -> bool:
        day = bucket.hour // DAY_HOURS
        if bucket.span == HOURLY:
            return bucket.hour in self.sides or day in self.days
        return day in self.days or any(hour in self.sides for hour in range(bucket.hour, bucket.hour + DAY_HOURS))

    def note(self, bucket: Bucket) -> None:
        if bucket.span == HOURLY:
            self.sides[bucket.hour] = bucket.side
        else:
            self.days.add(bucket.hour // DAY_HOURS)
            self.sides.setdefault(bucket.hour + DAY_HOURS - 1, bucket.side)
        self.through = max(self.through, bucket.hour + bucket.span - 1)
        if len(self.sides) > 2 * _REMEMBERED:
            self.sides = {h: side for h, side in self.sides.items() if h > self.through - _REMEMBERED}
            self.days = {day for day in self.days if day > self.through // DAY_HOURS - RING_DAYS}


class Merged:
    """What every worker knows of shared entities; a cache that the profile topic rebuilds.

    Buckets may come in any order and more than once: what a transaction sees depends only on the buckets of hours
    before its visible hour (`hours.visible`). The rings bear partitions that are up to a day apart.

    Parameters
    ----------
    kinds
        Names of the entities, as in `Partials`.
    capacity
        Entities of each kind that fit.
    """

    def __init__(self, kinds: Sequence[str] = KINDS, capacity: int = CAPACITY) -> None:
        self.kinds = tuple(kinds)
        self._rings = {kind: Rings(capacity) for kind in self.kinds}
        self._known: dict[int, _Known] = {}
        self._version: str | None = None

    def merge(self, partition: int, bucket: Bucket) -> bool:
        """Add a bucket of a partition, unless it (or the day it belongs to) is known.

        Returns
        -------
        bool
            Whether it was new.
        """
        known = self._known.setdefault(partition, _Known())
        if known.has(bucket):
            return False
        known.note(bucket)
        self._version = None
        for kind, rings in enumerate(self._rings.values()):
            low, high = np.searchsorted(bucket.kinds, [kind, kind + 1]).tolist()
            if high > low:
                keys, counts = bucket.keys[low:high], bucket.counts[low:high]
                rings.merge(keys, np.ascontiguousarray(counts), bucket.hour, bucket.span != HOURLY)
        middle = sorted(one.through for one in self._known.values())[(len(self._known) - 1) // 2]
        for rings in self._rings.values():
            rings.forget(middle // DAY_HOURS - RING_DAYS)  # not the newest: one bad clock must not empty the rest
        return True

    def look(self, kind: str, keys: U64, clock_at: I64) -> F64:
        """Windows of entities as seen by transactions.

        Parameters
        ----------
        kind
            One of `kinds`.
        keys, clock_at
            Of each transaction: the entity's hash (0 missing), and the partition's clock before it, ms (n,).

        Returns
        -------
        float64 (n, 7)
            Attempts, of them by cards new to the entity, and declined ones in the last 24 closed hours; attempts and
            approved spend (minor units) in the last 28 whole days; approved transactions of the 28 days that ended a
            week before; frauds that became known in the last 28 days. NaN where nothing of it is known.
        """
        rings = self._rings.get(kind)
        if rings is None:
            return np.full((len(keys), WIDTH), np.nan)
        return rings.look(keys, clock_at)

    # -- how far it is

    def through(self, partition: int) -> int:
        """Last hour that was merged of a partition; `partials.NEVER` if none was."""
        known = self._known.get(partition)
        return NEVER if known is None else known.through

    def floor(self, partition: int, offset: int) -> int:
        """First hour whose bucket may hold the label at an offset: those merged before knew nothing of it."""
        known = self._known.get(partition)
        if known is None or not known.sides:
            return NEVER
        hours = sorted(known.sides)
        at = bisect.bisect_right([known.sides[hour] for hour in hours], offset)
        return hours[at] if at < len(hours) else known.through + 1

    def version(self) -> str:
        """Which hour of each partition is merged, as ``<newest hour>:<hours behind it, by partition>``; x is none.

        With the partition's own log this says exactly which buckets a transaction could see.
        """
        if self._version is None:
            if not self._known:
                self._version = "0"
            else:
                newest = max(known.through for known in self._known.values())
                behind = [self.through(partition) for partition in range(max(self._known) + 1)]
                told = ["x" if hour == NEVER else str(newest - hour) for hour in behind]
                self._version = f"{newest}:{'.'.join(told)}"
        return self._version

    def staleness_ms(self, clock: int) -> int:
        """How far behind a clock the partition is that was merged least far; 0 when nothing was merged."""
        if not self._known:
            return 0
        oldest = min(known.through for known in self._known.values())
        return max(0, clock - (oldest + 1) * HOUR)

    def __len__(self) -> int:
        return sum(len(rings) for rings in self._rings.values())

    @property
    def turned_away(self) -> int:
        """Rows of buckets that found no room."""
        return sum(rings.turned_away for rings in self._rings.values())

    @property
    def nbytes(self) -> int:
        """Bytes of memory in use."""
        return sum(rings.nbytes for rings in self._rings.values())
