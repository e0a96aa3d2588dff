"""The one function that moves state by a batch of transactions, live, in a replay and in training alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from stream.codec.columns import take
from stream.entities.buckets import Bucket
from stream.entities.hours import visible, visible_cuts
from stream.entities.labels import LABEL
from stream.entities.partials import Partials
from stream.entities.takeover import Takeover
from stream.events import F64, I64, U64, Columns
from stream.features import HORIZON_MS, PROGRAM, SEQUENCE_CHANNELS, SEQUENCE_STEPS
from stream.features.driver import Program, no_row
from stream.features.layout import check_layout
from stream.features.registry import Entity, Matrix
from stream.state.arena import Arena
from stream.state.table import CAPACITY, find

TAKEOVER = "takeover"
LABELS, OPEN = "label", "open"


class Profiles(Protocol):
    """What all partitions together know of merchants and terminals (`stream.entities.merged.Merged`)."""

    def merge(self, partition: int, bucket: Bucket) -> bool:
        """Add a closed hour of a partition; one that is known changes nothing."""

    def look(self, kind: str, keys: U64, clock_at: I64) -> F64:
        """The given rows of one kind of entity, (n, width); NaN where the key is 0 or was never seen."""

    def version(self) -> str:
        """How far each partition's counters are merged."""


@dataclass(slots=True)
class Book:
    """What a partition's transactions may know that their own log does not tell; empty, all of it is missing.

    Parameters
    ----------
    merged
        Profiles of merchants and terminals.
    takeover
        What happened to customers' accounts.
    """

    merged: Profiles | None = None
    takeover: Takeover | None = None

    def version(self) -> str:
        """The profile version that alerts tell; "0" where no profiles are merged."""
        return self.merged.version() if self.merged is not None else "0"

    def look(self, entity: Entity, columns: Columns, clock_at: I64) -> F64:
        """Rows of a given entity for each transaction, float64 (n, width)."""
        if entity.name == TAKEOVER:
            if self.takeover is not None:
                keys = columns.customer_key, columns.card_key
                return self.takeover.look(*keys, columns.event_time, columns.device_key)
        elif self.merged is not None:
            return self.merged.look(_kind(entity), getattr(columns, entity.key), clock_at)
        return np.full((len(columns), entity.width), np.nan)


def _kind(entity: Entity) -> str:
    """What a shared entity is to the counters: the role it plays, whatever its stream calls it."""
    return entity.key.removesuffix("_key")


def broadcast(program: Program = PROGRAM) -> tuple[str, ...]:
    """Kinds of the entities whose counters all partitions share."""
    return tuple(_kind(entity) for entity in program.given if entity.name != TAKEOVER)


def new_arena(program: Program = PROGRAM, capacity: int = CAPACITY) -> Arena:
    """Empty state of one partition, with rows laid out for the program."""
    return Arena({**program.layouts, LABELS: LABEL}, {OPEN: Partials(broadcast(program))}, capacity)


def advance(
    arena: Arena,
    columns: Columns,
    book: Book,
    horizon_ms: int = HORIZON_MS,
    *,
    out: tuple[Matrix, Matrix] | None = None,
    habits: Matrix | None = None,
    update_only: bool = False,
    program: Program = PROGRAM,
) -> tuple[Matrix, Matrix] | None:
    """Write the features of a batch, then let each transaction update the rows it names, one after the other.

    Late and repeated transactions (both flagged in ``columns.flags``) update nothing; declined ones count as attempts;
    reversals only mark their id as seen. Nothing depends on where the log was cut into batches.

    Parameters
    ----------
    arena
        State of the partition.
    columns
        n transactions in the order of its log; C-contiguous, writable arrays.
    book
        What else they may know; not asked where only state is to move.
    horizon_ms
        Older than this behind the newest event before it is late; a row silent for as long begins anew.
    out
        Where to write X and S, C-contiguous and of n rows; new arrays when absent.
    habits
        Where to write what was usual for each card before the transaction, float32 (n, len(program.habits)),
        C-contiguous, for `Program.usual`; not told when absent.
    update_only
        Move the state alone, as a replay needs it.
    program
        The compiled families; the shipped ones unless told.

    Returns
    -------
    (X, S) or None when `update_only`
        X float32 (n, d): NaN where missing, else within the feature's declared range. S float32 (n, SEQUENCE_STEPS, C):
        always finite; the newest step is the transaction itself, steps before the card's first are 0.

    Raises
    ------
    ValueError
        A transaction has no card, or `habits` has another shape; nothing has moved.
    TypeError
        A column has another type or layout than `Columns` says; nothing has moved.
    """
    made = _Made.of(len(columns), program, out, habits, update_only)
    clock_at = np.empty(len(columns), np.int64)
    before = arena.watermark
    clock = program.clocks(columns, before, clock_at)
    tables = [arena.tables[entity.name] for entity in program.local]
    slots = find(tables, program.keys(columns))
    cuts = visible_cuts(clock_at) if clock != before and visible(before) != visible(clock) else [0]
    if len(cuts) <= 1:
        _run(arena, columns, book, horizon_ms, program, clock_at, slots, made)
    else:
        _check(columns, program)
        for low, high in zip(cuts, [*cuts[1:], len(columns)], strict=True):
            at = slice(low, high)
            some = np.ascontiguousarray(slots[:, at])
            _run(arena, take(columns, at), book, horizon_ms, program, clock_at[at], some, made.part(at))
    arena.watermark = clock
    _close(arena, book, clock)
    return None if update_only else (made.x, made.s)


@dataclass(slots=True)
class _Made:
    """Where the loop writes: features, sequences, habits; where only state is to move, one row to scribble on."""

    x: Matrix
    s: Matrix
    u: Matrix
    update_only: bool

    @classmethod
    def of(
        cls, n: int, program: Program, out: tuple[Matrix, Matrix] | None, habits: Matrix | None, update_only: bool
    ) -> _Made:
        """For n transactions, as `advance` was asked."""
        width = len(program.habits)
        if habits is not None and not update_only and habits.shape != (n, width):
            raise ValueError(f"habits must be of shape {(n, width)}, not {habits.shape}")
        u = program.untold if habits is None or update_only else habits
        if update_only or out is None:
            out = (
                np.empty((1 if update_only else n, len(program.features)), np.float32),
                np.empty((0 if update_only else n, SEQUENCE_STEPS, len(SEQUENCE_CHANNELS)), np.float32),
            )
        return cls(*out, u, update_only)

    def part(self, at: slice) -> _Made:
        """For some of the transactions."""
        if self.update_only:
            return self
        return _Made(self.x[at], self.s[at], self.u[at] if len(self.u) else self.u, False)


def _run(
    arena: Arena,
    columns: Columns,
    book: Book,
    horizon_ms: int,
    program: Program,
    clock_at: I64,
    slots: I64,
    made: _Made,
) -> None:
    """Pass transactions that all see the same hours of the profiles through the loop."""
    news = np.empty(len(columns), np.uint8)
    if len(columns):
        _close(arena, book, int(clock_at[0]))
    rows = [arena.tables[entity.name].rows for entity in program.local]
    if made.update_only:
        given = [np.empty((0, entity.width)) for entity in program.given]
    else:
        given = [book.look(entity, columns, clock_at) for entity in program.given]
    outs = (made.x, made.s, made.u, news, made.update_only)
    program.run(rows, slots, given, clock_at, horizon_ms, *outs, columns)
    arena.open.add(columns, clock_at, news, columns.flags)


def _check(columns: Columns, program: Program) -> None:
    """Refuse before anything moves what the loop would find once some runs have moved."""
    check_layout(columns)
    missing = np.flatnonzero(getattr(columns, program.entities[0].key) == 0)
    if len(missing):
        raise no_row(int(missing[0]))


def _close(arena: Arena, book: Book, clock: int) -> None:
    """Close the hours that the clock has left behind, so that the transactions after it see them."""
    for bucket in arena.open.close(clock):
        if book.merged is not None:
            book.merged.merge(arena.open.partition, bucket)


__all__ = ["LABELS", "OPEN", "Arena", "Book", "advance", "broadcast", "new_arena"]
