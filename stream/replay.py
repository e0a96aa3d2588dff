"""Features of a whole history, by the live code; what every partition knows is waited for, so that rows are exact.

A topic's partitions move side by side, each with its own state and clock. A transaction whose clock stands in hour h
(see `stream.entities.hours.visible`) sees what all partitions did before h. So the history is replayed in rounds:
those transactions of every partition that see the same hours, then the hours that the next round sees. Labels count in
the hour in which they become visible, and account events are fed as far as the transactions are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import groupby

import numpy as np
import numpy.typing as npt

from stream.advance import LABELS, OPEN, TAKEOVER, Arena, Book, Profiles, advance, broadcast, new_arena
from stream.codec.columns import take
from stream.codec.native import native_cached
from stream.entities.account import Events
from stream.entities.buckets import Bucket
from stream.entities.hours import CLOSE_LAG, HOUR, SEEN_LAG, first_open
from stream.entities.labels import Label, apply_labels
from stream.entities.merged import Merged
from stream.entities.partials import NEVER
from stream.entities.takeover import History as Feed
from stream.entities.takeover import Takeover
from stream.events import I64, U8, U64, Columns
from stream.features import HORIZON_MS, PROGRAM, SEQUENCE_CHANNELS, SEQUENCE_STEPS
from stream.features.driver import Program
from stream.features.registry import Matrix

PARTITIONS = 8
CHUNK = 2048  # rows whose features stay in the processor's cache until they are copied to their places

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class History:
    """What a topic held, with what was known beside it.

    Parameters
    ----------
    columns
        n transactions in the order of their log; within each partition that order counts.
    partition
        Of each transaction, 0 or more, int64 (n,); `card_key` modulo 8 when absent.
    labels
        Of each partition, in order of arrival.
    events
        Account events, in any order; all count from their own time on.
    """

    columns: Columns
    partition: I64 | None = None
    labels: Sequence[tuple[int, Label]] = ()
    events: Events | None = None


@native_cached
def _scatter(out: Matrix, rows: Matrix, places: I64) -> None:
    """Copy rows to their places; negative ones are passed over."""
    for i in range(len(places)):
        if places[i] >= 0:
            for c in range(out.shape[1]):
                out[places[i], c] = rows[i, c]


class Waiting:
    """Profiles in which an hour counts once every partition has passed it.

    Parameters
    ----------
    merged
        What the released hours go to.
    """

    def __init__(self, merged: Profiles) -> None:
        self._merged = merged
        self._held: dict[int, list[tuple[int, Bucket]]] = {}

    def merge(self, partition: int, bucket: Bucket) -> bool:
        """Keep a closed hour until `release`."""
        self._held.setdefault(bucket.hour, []).append((partition, bucket))
        return True

    def release(self, before: int) -> None:
        """Let the hours before one count."""
        for hour in sorted(hour for hour in self._held if hour < before):
            for partition, bucket in self._held.pop(hour):
                self._merged.merge(partition, bucket)

    def look(self, kind: str, keys: U64, clock_at: I64) -> npt.NDArray[np.float64]:
        """As `Profiles.look`."""
        return self._merged.look(kind, keys, clock_at)

    def version(self) -> str:
        """As `Profiles.version`."""
        return self._merged.version()


class _Partition:
    """One partition: its state, its transactions from `low` to `high`, and what labels are to change, by hour."""

    def __init__(self, number: int, arena: Arena, labels: list[Label]) -> None:
        self.arena = arena
        arena.open.partition = number
        deltas = apply_labels(arena.tables[LABELS], labels, arena.watermark).deltas
        self._deltas = sorted(deltas, key=lambda delta: delta[0])
        self._next = 0

    def label(self, until: int) -> None:
        """Let labels of hours before `until` count; each in its own hour, which is still open."""
        first = self._next
        while self._next < len(self._deltas) and self._deltas[self._next][0] < until:
            self._next += 1
        if self._next > first:
            self.arena.open.add_labels(self._deltas[first : self._next], NEVER)

    def close(self, hour: int, profiles: Profiles) -> None:
        """Close the hours before one for good: no transaction of this partition can fall into them any more."""
        hours = self.arena.open
        if hours.through >= hour - 1:
            return
        self.label(hour)
        if len(hours):
            for bucket in hours.close(hour * HOUR + CLOSE_LAG):
                profiles.merge(hours.partition, bucket)


@dataclass(frozen=True, slots=True)
class _Run:
    """Consecutive transactions of a partition, in its own order, that see the same hours."""

    seen: int  # the first hour that they do not see
    partition: int
    low: int
    high: int
    clock: int  # after the last of them
    newest: int  # event time among them


class Replay:
    """Moves state through a history.

    Parameters
    ----------
    history
        Its flags are filled in place.
    horizon_ms
        As in `stream.advance.advance`.
    program
        As in `stream.advance.advance`.

    Attributes
    ----------
    arenas
        State of each partition that has transactions or labels.
    """

    def __init__(self, history: History, horizon_ms: int = HORIZON_MS, program: Program = PROGRAM) -> None:
        self._history, self._horizon_ms, self._program = history, horizon_ms, program
        columns, n = history.columns, len(history.columns)
        partition = history.partition
        if partition is None:
            partition = (columns.card_key % np.uint64(PARTITIONS)).astype(np.int64)
        self._order: I64 = np.argsort(partition, kind="stable")
        self._in_order = bool((np.diff(partition) >= 0).all())
        self._columns = columns if self._in_order else take(columns, self._order)
        numbers = np.unique(partition).tolist()
        ends = np.searchsorted(partition[self._order], numbers, side="right").tolist()
        self._bounds = dict(zip(numbers, zip([0, *ends], ends, strict=False), strict=True)) if n else {}
        everyone = sorted({*numbers, *(number for number, _ in history.labels)})
        self._parts = {number: self._partition(number) for number in everyone}
        self.arenas = {number: part.arena for number, part in self._parts.items()}
        self._shared = Waiting(Merged(broadcast(program)))
        wanted = any(entity.name == TAKEOVER for entity in program.given)
        self._feed = Feed(history.events) if history.events is not None and wanted else None
        self._book = Book(merged=self._shared, takeover=Takeover() if self._feed is not None else None)

    def _partition(self, number: int) -> _Partition:
        labels = [label for of, label in self._history.labels if of == number]
        return _Partition(number, new_arena(self._program), labels)

    def rows(self, wanted: Mask | None = None, out: tuple[Matrix, Matrix] | None = None) -> tuple[Matrix, Matrix]:
        """Features of the wanted transactions (all, when absent), in the order of the log.

        Parameters
        ----------
        wanted
            Which rows to tell (n,), m of them.
        out
            Where to write X and S, of m rows: memory used before is several times as fast as fresh one.

        Returns
        -------
        X : float32 (m, d)
        S : float32 (m, SEQUENCE_STEPS, C)
        """
        n = len(self._history.columns)
        place = np.arange(n) if wanted is None else np.where(wanted, np.cumsum(wanted) - 1, -1)
        x, s = out if out is not None else self._memory(int(place.max(initial=-1)) + 1)
        scratch = self._memory(CHUNK)
        for part, low, high in self._blocks():
            columns = take(self._columns, slice(low, high))
            rows = place[self._order[low:high]]
            if wanted is not None and rows.max() < 0:
                self._advance(part, columns, None)
            else:
                got = scratch[0][: high - low], scratch[1][: high - low]
                self._advance(part, columns, got)
                _scatter(x, got[0], rows)
                _scatter(s.reshape(len(s), -1), got[1].reshape(len(rows), -1), rows)
        self._end()
        return x, s

    def state(self) -> dict[int, Arena]:
        """Move the state alone; the arenas as a worker would have them that had read history and labels itself."""
        for run in sorted(self._runs(), key=lambda run: run.low):
            part = self._parts[run.partition]
            part.label(first_open(run.clock))
            advance(
                part.arena,
                take(self._columns, slice(run.low, run.high)),
                Book(),
                self._horizon_ms,
                update_only=True,
                program=self._program,
            )
        for part in self._parts.values():
            part.label(-NEVER)
        self._end()
        return self.arenas

    def _memory(self, n: int) -> tuple[Matrix, Matrix]:
        steps = (n, SEQUENCE_STEPS, len(SEQUENCE_CHANNELS))
        return np.empty((n, len(self._program.features)), np.float32), np.empty(steps, np.float32)

    def _advance(self, part: _Partition, columns: Columns, out: tuple[Matrix, Matrix] | None) -> None:
        update_only, program = out is None, self._program
        advance(part.arena, columns, self._book, self._horizon_ms, out=out, update_only=update_only, program=program)

    def _end(self) -> None:
        if not self._in_order:
            self._history.columns.flags[self._order] = self._columns.flags

    # -- rounds

    def _blocks(self) -> Iterator[tuple[_Partition, int, int]]:
        """Blocks of at most `CHUNK` transactions in the order in which they may be told."""
        ordered = sorted(self._runs(), key=lambda run: (run.seen, run.partition))
        for seen, runs in groupby(ordered, lambda run: run.seen):
            self._begin(seen)
            for run in runs:
                part = self._parts[run.partition]
                part.label(first_open(run.clock))
                if self._feed is not None and self._book.takeover is not None:
                    self._feed.feed(self._book.takeover, run.newest)
                for low in range(run.low, run.high, CHUNK):
                    yield part, low, min(low + CHUNK, run.high)

    def _begin(self, seen: int) -> None:
        """Make all hours before `seen` count, in every partition."""
        for part in self._parts.values():
            part.close(seen, self._shared)
            part.arena.open.ack(list(part.arena.open.unsent))
        self._shared.release(seen)

    def _runs(self) -> Iterator[_Run]:
        for number, (low, high) in self._bounds.items():
            columns = take(self._columns, slice(low, high))
            clock_at = np.empty(high - low, np.int64)
            last = self._program.clocks(columns, self._parts[number].arena.watermark, clock_at)
            seen = (clock_at - SEEN_LAG) // HOUR
            begins = np.concatenate([[0], np.flatnonzero(np.diff(seen)) + 1])
            newest = np.maximum.reduceat(columns.event_time, begins)
            stops = [*begins[1:].tolist(), high - low]
            for begin, stop, time in zip(begins.tolist(), stops, newest.tolist(), strict=True):
                clock = int(clock_at[stop]) if stop < high - low else last
                yield _Run(int(seen[begin]), number, low + begin, low + stop, clock, time)


def features_of(
    columns: Columns, horizon_ms: int = HORIZON_MS, arena: Arena | None = None, book: Book | None = None
) -> tuple[Matrix, Matrix, U8]:
    """Features of one partition's transactions, through fresh state or through that of an arena.

    Parameters
    ----------
    columns
        n transactions in the order of their log; ``flags`` are filled in place.
    horizon_ms
        As in `stream.advance.advance`.
    arena
        State to go on from; empty when absent.
    book
        What they may know beyond their own log; nothing when absent.

    Returns
    -------
    X : float32 (n, d)
    S : float32 (n, SEQUENCE_STEPS, C)
    flags : uint8 (n,)
    """
    arena = arena if arena is not None else new_arena()
    x = np.empty((len(columns), len(PROGRAM.features)), np.float32)
    s = np.empty((len(columns), SEQUENCE_STEPS, len(SEQUENCE_CHANNELS)), np.float32)
    for start in range(0, len(columns), CHUNK):
        at = slice(start, start + CHUNK)
        advance(arena, take(columns, at), book or Book(), horizon_ms, out=(x[at], s[at]))
    return x, s, columns.flags


def part(columns: Columns, start: int, stop: int) -> Columns:
    """View of the transactions from `start` up to `stop`."""
    return Columns(**{f.name: getattr(columns, f.name)[start:stop] for f in fields(Columns)})


__all__ = ["OPEN", "PARTITIONS", "History", "Replay", "Waiting", "features_of", "part"]
