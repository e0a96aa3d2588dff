"""The flow, pure: records and state in, alerts and dead letters out. Knows no broker, no clock but one, no file.

prepare:   decode ─► find the rows ─► features, state             (one thread: the only writer of arenas)
complete:  score ─► decide ─► explain ─► alerts                   (in order, perhaps on another thread)
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from stream.advance import OPEN, Arena, Book, advance, broadcast
from stream.alerting import AlertWriter
from stream.codec import Codec, Decoded, dead_letter, take
from stream.codec.tokens import Tokens
from stream.decide import check_decision
from stream.entities.merged import Merged
from stream.errors import FraudstreamError
from stream.events import F32, TP, Alert, Columns, DeadLetter, Flag, Record
from stream.features import SEQUENCE_STEPS
from stream.judge import Judge, PanelLike, Part
from stream.profile import load_profile
from stream.rules import rules_of
from stream.settings import Settings

log = logging.getLogger("fraudstream.pipeline")
DAY_MS = 86_400_000
_BUFFERS = 4
_BUFFER_ROWS = 2048

_Rows = tuple[F32, F32, F32]  # X, S and U of some transactions


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive records of one partition."""

    tp: TP
    records: Sequence[Record]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one chunk led to; everything in it is to be durable before ``next_offset`` is committed."""

    tp: TP
    alerts: list[Alert]
    dead: list[DeadLetter]
    next_offset: int
    first_offset: int
    transactions: int
    late: int
    duplicates: int
    clock_skew: int


@dataclass(frozen=True, slots=True)
class _Task:
    """A chunk of an open partition without what was applied before."""

    tp: TP
    arena: Arena
    records: Sequence[Record]
    first_offset: int
    next_offset: int


@dataclass(frozen=True, slots=True)
class _Buffers:
    """Memory that X, S and U of one batch after the other are views of."""

    X: F32
    S: F32
    U: F32


@dataclass(slots=True)
class Prepared:
    """A micro-batch between the two halves; `seconds` names the stages passed so far and how long each took.

    U holds what was usual for each card before its transaction, one column per habit of the features. X, S and U are
    views of memory that `complete` gives free for a later batch: copy what shall outlive it.
    """

    parts: list[Part]
    X: F32
    S: F32
    U: F32
    seconds: dict[str, float] = field(default_factory=dict)
    buffers: _Buffers | None = None


class Pipeline:
    """Scores partitions' records with one panel.

    Parameters
    ----------
    settings, panel
        Read once; the panel is asked by `complete` alone.
    topic_id
        Id of the source topic, so that a topic made anew gives new alert ids.

    Attributes
    ----------
    book
        What transactions may know beyond their own partition; `prepare` reads it.
    profile
        What the stream is: its fields, entities and features.
    merged
        The profiles in `book`.
    tells_hours
        Whether somebody tells other workers the hours that close here; set before partitions are opened.

    Raises
    ------
    SettingError
        Stream profile, mapping, rates, token key, rules or thresholds are wrong.
    """

    def __init__(self, settings: Settings, panel: PanelLike, topic_id: str) -> None:
        check_decision(settings.decision)
        self.profile = load_profile(settings.engine.profile)
        self._program = self.profile.program
        self._codec = Codec(settings, self.profile.roles)
        rules = rules_of(self.profile, settings.decision.rules)
        self._horizon_ms = round(settings.engine.horizon_days * DAY_MS)
        self._arenas: dict[TP, Arena] = {}
        self.tells_hours = False
        self.merged = Merged(broadcast(self._program))
        self.book = Book(self.merged)
        self._free: deque[_Buffers] = deque(maxlen=_BUFFERS)  # filled by `complete`, emptied by `prepare`
        self.panel_hash = self._hash(settings, panel.hash, rules.hash)
        writer = AlertWriter(topic_id, self.panel_hash, settings.decision.case_hours, self.profile)
        self._judge = Judge(settings.decision, panel, rules, writer, self.profile)

    def _hash(self, settings: Settings, panel_hash: str, rules_hash: str) -> str:
        """Of everything that decides: the panel's own hash, profile, rules, mapping, thresholds set by hand, rates."""
        decision = settings.decision.model_dump_json(exclude={"rules"})
        rates = repr(sorted(self._codec.rates.items()))
        parts = (panel_hash, self.profile.hash, rules_hash, settings.mapping.model_dump_json(), decision, rates)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    # -- partitions

    @property
    def tokens(self) -> Tokens:
        """The tokens of the cards."""
        return self._codec.tokens

    def open(self, tp: TP, arena: Arena) -> None:
        """Begin to work on a partition with its state."""
        if OPEN in arena.small:
            arena.open.partition, arena.open.keep = tp.partition, self.tells_hours
            if not self.tells_hours:
                arena.open.ack(list(arena.open.unsent))
        self._arenas[tp] = arena

    def close(self, tp: TP) -> None:
        """Forget a partition and its state."""
        self._arenas.pop(tp, None)

    def arena(self, tp: TP) -> Arena | None:
        """State of an open partition."""
        return self._arenas.get(tp)

    def replay(self, tp: TP, records: Sequence[Record]) -> None:
        """Apply records to the state and tell nothing: neither alerts nor dead letters."""
        (task,) = self._open([Chunk(tp, records)])
        (decoded,) = self._codec.decode_chunks([(task.records, tp)])
        self._apply(task, decoded, None)

    # -- first half

    def prepare(self, chunks: list[Chunk]) -> Prepared:
        """Decode, find the rows and compute features; moves the state of the chunks' partitions."""
        tasks = self._open(chunks)
        begun = time.perf_counter()
        decoded = self._codec.decode_chunks([(task.records, task.tp) for task in tasks])
        decoded_at = time.perf_counter()
        n = sum(len(one.cards) for one in decoded)
        buffers = self._buffers(n)
        X, S, U = buffers.X[:n], buffers.S[:n], buffers.U[:n]
        parts, low = [], 0
        for task, one in zip(tasks, decoded, strict=True):
            high = low + len(one.cards)
            part = self._apply(task, one, (X[low:high], S[low:high], U[low:high]))
            parts.append(part)
            if len(part.decoded.cards) < high - low:  # a culprit was left out: close the gap
                low += len(part.decoded.cards)
                X, S, U = (np.delete(some, slice(low, high), 0) for some in (X, S, U))
            else:
                low = high
        seconds = {"decode": decoded_at - begun, "features": time.perf_counter() - decoded_at}
        return Prepared(parts, X, S, U, seconds, buffers)

    def _buffers(self, n: int) -> _Buffers:
        """Memory for n rows, of a batch that is done if one is: fresh pages cost more than the features in them."""
        with contextlib.suppress(IndexError):
            used = self._free.pop()
            if len(used.X) >= n:
                return used
        rows = max(n, _BUFFER_ROWS)
        return _Buffers(
            np.empty((rows, len(self._program.features)), np.float32),
            np.empty((rows, SEQUENCE_STEPS, len(self.profile.channels)), np.float32),
            np.empty((rows, len(self._program.habits)), np.float32),
        )

    def _open(self, chunks: Sequence[Chunk]) -> list[_Task]:
        """Leave out what was applied before: a card's row is moved once by each record."""
        tasks, nexts = [], dict[TP, int]()
        for chunk in chunks:
            arena = self._arenas.get(chunk.tp)
            if arena is None:
                raise FraudstreamError(
                    f"{chunk.tp.topic}[{chunk.tp.partition}] is not open: its state was not recovered"
                )
            records, begin = chunk.records, nexts.get(chunk.tp, arena.next_offset)
            first = records[0].offset if records else begin
            if first < begin:
                records = [record for record in records if record.offset >= begin]
            end = records[-1].offset + 1 if records else begin
            nexts[chunk.tp] = end
            tasks.append(_Task(chunk.tp, arena, records, first, end))
        return tasks

    def _apply(self, task: _Task, decoded: Decoded, out: _Rows | None) -> Part:
        """Features into `out`, or none: state alone; when the batch fails, one by one, so only the culprit is lost."""
        arena, columns, clock = task.arena, decoded.columns, task.arena.watermark
        try:
            self._advance(arena, columns, out)
        except Exception:
            log.exception("the features of a batch failed; its %d transactions are tried one by one", len(columns))
            decoded = self._one_by_one(task, decoded, out)
        arena.next_offset = task.next_offset
        return Part(task.tp, task.records, decoded, task.first_offset, task.next_offset, clock, self.merged.vector())

    def _advance(self, arena: Arena, columns: Columns, out: _Rows | None) -> None:
        program, horizon = self._program, self._horizon_ms
        if out is None:
            advance(arena, columns, self.book, horizon, update_only=True, program=program)
        else:
            advance(arena, columns, self.book, horizon, out=out[:2], habits=out[2], program=program)

    def _one_by_one(self, task: _Task, decoded: Decoded, out: _Rows | None) -> Decoded:
        dead, kept = list(decoded.dead), list[int]()
        for i, position in enumerate(decoded.index.tolist()):
            one, at = take(decoded.columns, slice(i, i + 1)), slice(len(kept), len(kept) + 1)
            try:
                self._advance(task.arena, one, None if out is None else (out[0][at], out[1][at], out[2][at]))
                kept.append(i)
            except Exception as error:  # this one record is the culprit
                record = task.records[position]
                dead.append(dead_letter(record, task.tp, "features", str(error) or type(error).__name__))
        dead.sort(key=lambda letter: letter.offset)
        return Decoded(
            rows=[decoded.rows[i] for i in kept],
            cards=[decoded.cards[i] for i in kept],
            columns=take(decoded.columns, np.array(kept, np.int64)),
            index=decoded.index[kept],
            dead=dead,
        )

    # -- second half

    def complete(self, prepared: Prepared) -> list[Outcome]:
        """Score, decide and explain; one outcome per chunk, in order."""
        begun = time.perf_counter()
        scores = self._judge.score(prepared.X, prepared.S)
        scored_at = time.perf_counter()
        verdicts = self._judge.decide(prepared.parts, prepared.X, prepared.S, prepared.U, scores)
        prepared.seconds["score"] = scored_at - begun
        prepared.seconds["decide"] = time.perf_counter() - scored_at
        if prepared.buffers is not None:
            self._free.append(prepared.buffers)
        return [_outcome(*entry) for entry in zip(prepared.parts, verdicts.alerts, verdicts.dead, strict=True)]


def _outcome(part: Part, alerts: list[Alert], dead: list[DeadLetter]) -> Outcome:
    flags = part.decoded.columns.flags
    return Outcome(
        tp=part.tp,
        alerts=alerts,
        dead=sorted([*part.decoded.dead, *dead], key=lambda letter: letter.offset),
        next_offset=part.next_offset,
        first_offset=part.first_offset,
        transactions=len(part.decoded.rows),
        late=int(np.count_nonzero(flags & Flag.LATE)),
        duplicates=int(np.count_nonzero(flags & Flag.DUPLICATE)),
        clock_skew=int(np.count_nonzero(flags & Flag.CLOCK_SKEW)),
    )
