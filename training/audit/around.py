"""What surrounds a row among the rows of its entity: counts, sums and labels before and after it, gaps, neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.audit.table import F64, I64, Mask

DAY = 86_400_000.0


@dataclass(frozen=True, slots=True)
class Around:
    """Rows of one entity kind, sorted by entity, then time.

    Parameters
    ----------
    order
        Positions in the sheet.
    group
        (n,) 0, 1, ... in the sorted order.
    time
        (n,) milliseconds since the first row.
    origin
        Its zero, milliseconds of the sheet's clock.
    begin
        (n,) place of the first row of the same entity.
    stop
        (n,) place behind its last row.
    """

    order: I64
    group: I64
    time: F64
    origin: float
    begin: I64
    stop: I64

    @classmethod
    def of(cls, entity: I64, time: F64) -> Around:
        """Sort rows that have an entity."""
        known = np.flatnonzero(entity >= 0)
        order = known[np.lexsort((time[known], entity[known]))]
        group = np.unique(entity[order], return_inverse=True)[1].astype(np.int64)
        starts = np.flatnonzero(np.diff(group, prepend=-1))
        ends = np.concatenate([starts[1:], [len(group)]])
        origin = float(time[order].min()) if len(order) else 0.0
        return cls(order, group, time[order] - origin, origin, starts[group], ends[group])

    def __len__(self) -> int:
        return len(self.order)

    def until(self, moment: F64, *, inclusive: bool = False) -> I64:
        """Place in the own entity's rows at which `moment` (n,) would be inserted."""
        span = float(self.time.max(initial=0.0)) + 3.0
        key = self.group * span + self.time
        asked = self.group * span + np.clip(moment, -1.0, span - 2.0)
        place = np.searchsorted(key, asked, side="right" if inclusive else "left")
        return np.clip(place, self.begin, self.stop)

    def total(self, value: F64, low: I64, high: I64) -> F64:
        """Sum of `value` (n,) over places low up to high."""
        sums = np.concatenate([[0.0], np.cumsum(value)])
        return sums[np.maximum(high, low)] - sums[low]

    @property
    def here(self) -> I64:
        """The rows' own places."""
        return np.arange(len(self.order))

    @property
    def followed(self) -> Mask:
        """Whether the entity has a later row, at a later time."""
        after = np.minimum(self.here + 1, len(self.order) - 1)
        return (self.here + 1 < self.stop) & (self.time[after] > self.time)


def some_entities(entity: I64, most: int, seed: int = 0) -> I64:
    """Codes with -1 for all rows but those of randomly chosen entities, about `most` rows in all."""
    if (entity >= 0).sum() <= most:
        return entity
    count = np.bincount(entity[entity >= 0])
    shuffled = np.random.default_rng(seed).permutation(len(count))
    kept = np.zeros(len(count), bool)
    kept[shuffled[: max(50, int(np.searchsorted(np.cumsum(count[shuffled]), most)))]] = True
    return np.where((entity >= 0) & kept[np.maximum(entity, 0)], entity, -1)
