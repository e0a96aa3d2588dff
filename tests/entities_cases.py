"""Transactions of several partitions, for tests of what they share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from builders import START, columns_from, taken

from stream.entities.hours import HOUR, visible, visible_cuts
from stream.entities.merged import Merged
from stream.entities.partials import Partials
from stream.events import F64, I64, Columns

BEGIN = START // HOUR * HOUR


def history(n: int, seed: int, *, hours: float = 60.0, first: int = 0) -> Columns:
    """Transactions of few merchants and terminals, some out of order, declined or reversed."""
    rng = np.random.default_rng(seed)
    time = BEGIN + np.sort(rng.integers(0, int(hours * HOUR), n)) - rng.integers(0, 2 * HOUR, n) * (rng.random(n) < 0.1)
    return columns_from(
        n,
        event_time=time,
        transaction_key=first + np.arange(1, n + 1),
        merchant_key=rng.integers(1, 6, n),
        terminal_key=rng.integers(0, 9, n),
        amount_minor=rng.integers(1, 10_000, n),
        flags=np.where(rng.random(n) < 0.1, 8, 0) | np.where(rng.random(n) < 0.05, 16, 0),
    )


def clocks(columns: Columns, before: int = 0) -> I64:
    """The clock before each transaction."""
    return np.maximum.accumulate(np.r_[before, columns.event_time])[:-1].astype(np.int64)


@dataclass
class Member:
    """One partition that is read in batches, and what its transactions saw."""

    number: int
    columns: Columns
    merged: Merged
    at: int = 0

    def __post_init__(self) -> None:
        self.partials = Partials()
        self.clock_at = clocks(self.columns)
        self.seen = np.full((len(self.columns), 7), np.nan)

    @property
    def waits_for(self) -> int:
        """First hour that its next transaction does not see; far ahead when there is none."""
        return visible(int(self.clock_at[self.at])) if self.at < len(self.columns) else 1 << 60

    def step(self, size: int) -> None:
        """Read up to `size` transactions, no further than they see the same hours."""
        cuts = [*visible_cuts(self.clock_at[self.at :]), len(self.columns)]
        end = min(self.at + size, self.at + cuts[1] if len(cuts) > 2 else len(self.columns))
        run, before = taken(self.columns, slice(self.at, end)), self.clock_at[self.at : end]
        for bucket in self.partials.close(int(before[0])):
            self.merged.merge(self.number, bucket)
        self.seen[self.at : end] = self.merged.look("merchant", run.merchant_key, before)
        self.partials.add(run, before, (run.amount_minor % 2).astype(np.uint8), run.flags)
        self.at = end
        if self.at == len(self.columns):
            self.finish()

    def finish(self) -> None:
        for bucket in self.partials.close(BEGIN + 100 * HOUR):
            self.merged.merge(self.number, bucket)


def play(parts: list[Columns], rng: np.random.Generator) -> list[F64]:
    """Read partitions in a random order and random batches; each waits for the hours it sees."""
    merged = Merged(capacity=64)
    members = [Member(i, columns, merged) for i, columns in enumerate(parts)]
    while any(member.at < len(member.columns) for member in members):
        least = min(member.waits_for for member in members)
        for member in members:  # who is at the front line has its own hours closed before others look
            if member.at < len(member.columns):
                for bucket in member.partials.close(int(member.clock_at[member.at])):
                    merged.merge(member.number, bucket)
        ready = [member for member in members if member.waits_for == least]
        ready[rng.integers(len(ready))].step(int(rng.integers(1, 40)))
    return [member.seen for member in members]
