"""The one function that moves state by a batch of transactions, live, in a replay and in training alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from stream.codec.columns import take
from stream.entities.buckets import Bucket
from stream.entities.hours import visible_cuts
from stream.entities.labels import LABEL
from stream.entities.partials import Partials
from stream.entities.takeover import Takeover
from stream.events import F64, I64, U64, Columns
from stream.features import HORIZON_MS, PROGRAM, SEQUENCE_CHANNELS, SEQUENCE_STEPS
from stream.features.driver import Program, no_row
from stream.features.layout import check_layout
from stream.features.registry import Entity, Matrix
from stream.state.arena import Arena
from stream.state.table import CAPACITY

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
    n = len(columns)
    told = 0 if habits is None or update_only else n
    u = habits if habits is not None and told else np.empty((0, len(program.habits)), np.float32)
    if told and u.shape != (n, len(program.habits)):
        raise ValueError(f"habits must be of shape {(n, len(program.habits))}, not {u.shape}")
    x, s = _steps(0), _steps(0)
    if update_only:
        x = np.empty((1, len(program.features)), np.float32)
    else:
        x, s = out if out is not None else (np.empty((n, len(program.features)), np.float32), _steps(n))
    clock_at = np.empty(n, np.int64)
    clock = program.clocks(columns, arena.watermark, clock_at)
    rows = _rows(arena, columns, program)
    cuts = visible_cuts(clock_at)
    if len(cuts) <= 1:
        _run(arena, columns, book, horizon_ms, program, clock_at, rows, (x, s, u, update_only))
    else:
        _check(columns, program)
        for low, high in zip(cuts, [*cuts[1:], n], strict=True):
            at = slice(low, high)
            some = [part if k % 2 == 0 else part[at] for k, part in enumerate(rows)]
            outs = (x, s, u, True) if update_only else (x[at], s[at], u[at] if told else u, False)
            _run(arena, take(columns, at), book, horizon_ms, program, clock_at[at], some, outs)
    arena.watermark = clock
    _close(arena, book, clock)
    return None if update_only else (x, s)


def _run(
    arena: Arena,
    columns: Columns,
    book: Book,
    horizon_ms: int,
    program: Program,
    clock_at: I64,
    rows: list[Any],
    outs: tuple[Matrix, Matrix, Matrix, bool],
) -> None:
    """Pass transactions that all see the same hours of the profiles through the loop."""
    news = np.empty(len(columns), np.uint8)
    if len(columns):
        _close(arena, book, int(clock_at[0]))
    *made, update_only = outs
    given = [np.empty((0, e.width)) if update_only else book.look(e, columns, clock_at) for e in program.given]
    program.run(rows, given, clock_at, horizon_ms, *made, news, update_only, columns)
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


def _steps(n: int) -> Matrix:
    return np.empty((n, SEQUENCE_STEPS, len(SEQUENCE_CHANNELS)), np.float32)


def _rows(arena: Arena, columns: Columns, program: Program) -> list[Any]:
    """Rows and slots of every local entity, one after the other; a key not met before gets an empty row."""
    found: list[Any] = []
    for entity in program.local:
        table = arena.tables[entity.name]
        slots = table.locate(getattr(columns, entity.key))
        table.touch(slots)
        found += [table.rows, slots]
    return found


__all__ = ["LABELS", "OPEN", "Arena", "Book", "advance", "broadcast", "new_arena"]
