"""Profiles of merchants and terminals, merged from the closed hours of all partitions."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from stream.entities.buckets import FARTHEST, HOURLY, Bucket
from stream.entities.hours import DAY_HOURS, HOUR
from stream.entities.partials import KINDS, NEVER
from stream.entities.rings import RING_DAYS, WIDTH, Rings
from stream.events import F64, I64, U64

CAPACITY = 1 << 20  # entities of a kind; memory is committed as they come
_REMEMBERED = RING_DAYS * DAY_HOURS


@dataclass(slots=True)
class _Known:
    """What was merged of one partition: hours, days, and the `side` by the last hour of each."""

    through: int = NEVER
    sides: dict[int, int] = field(default_factory=dict)
    hours: set[int] = field(default_factory=set)
    days: set[int] = field(default_factory=set)

    def has(self, bucket: Bucket) -> bool:
        day = bucket.hour // DAY_HOURS
        if bucket.span == HOURLY:
            return bucket.hour in self.hours
        return day in self.days or any(hour in self.hours for hour in range(bucket.hour, bucket.hour + DAY_HOURS))

    def note(self, bucket: Bucket) -> None:
        if bucket.span == HOURLY:
            self.hours.add(bucket.hour)
        else:
            self.days.add(bucket.hour // DAY_HOURS)
        last = bucket.hour + bucket.span - 1
        self.sides.setdefault(last, bucket.side)
        self.through = max(self.through, last)
        if len(self.sides) > 2 * _REMEMBERED:
            self.hours = {hour for hour in self.hours if hour > self.through - _REMEMBERED}
            self.sides = {h: side for h, side in self.sides.items() if h > self.through - _REMEMBERED}
            self.days = {day for day in self.days if day > self.through // DAY_HOURS - RING_DAYS}


def version_of(vector: Sequence[int], seen: int | None = None) -> str:
    """Name which hours could be seen: ``<newest hour>:<hours behind it, by partition>``, x for none; 0 for none at all.

    Every bucket of a partition up to its hour was there, none after it.

    Parameters
    ----------
    vector
        The last merged hour of each partition (`Merged.vector`).
    seen
        First hour that the transaction does not see (`hours.visible`); None: what is merged.
    """
    hours = [hour if seen is None else min(hour, seen - 1) for hour in vector]
    newest = max(hours, default=NEVER)
    if newest < 0:
        return "0"
    return f"{newest}:{'.'.join('x' if hour < 0 else str(newest - hour) for hour in hours)}"


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
        self._vector: tuple[int, ...] | None = None

    def merge(self, partition: int, bucket: Bucket) -> bool:
        """Add a bucket of a partition, unless it is known; a day after any of its hours is no news.

        Hours of a day that came as a whole count in the windows of hours alone.

        Returns
        -------
        bool
            Whether it was new.
        """
        known = self._known.setdefault(partition, _Known())
        if known.has(bucket) or abs(bucket.hour) > FARTHEST:
            return False
        by_day = bucket.span != HOURLY or bucket.hour // DAY_HOURS not in known.days
        known.note(bucket)
        self._vector = None
        for kind, rings in enumerate(self._rings.values()):
            low, high = np.searchsorted(bucket.kinds, [kind, kind + 1]).tolist()
            if high > low:
                keys, counts = bucket.keys[low:high], bucket.counts[low:high]
                counts = np.ascontiguousarray(counts)
                rings.merge(keys, counts, bucket.hour, by_hour=bucket.span == HOURLY, by_day=by_day)
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

    def vector(self) -> tuple[int, ...]:
        """The last merged hour of each partition, from 0 to the greatest that is known."""
        if self._vector is None:
            self._vector = tuple(self.through(partition) for partition in range(max(self._known, default=-1) + 1))
        return self._vector

    def version(self) -> str:
        """What is merged; see `version_of`."""
        return version_of(self.vector())

    def staleness_ms(self, clock: int) -> int:
        """How far behind a clock the partition is that was merged least far; 0 when nothing was merged."""
        if not self._known:
            return 0
        oldest = min(known.through for known in list(self._known.values()))
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
