"""A live run in miniature: partitions side by side, fed in random cuts, labels and events at random leads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from stream.advance import LABELS, Arena, Book, advance, new_arena
from stream.codec.columns import take
from stream.entities.account import Events
from stream.entities.hours import CLOSE_LAG, HOUR, first_open, visible
from stream.entities.labels import FRAUD, GENUINE, MATURITY_MS, Label, apply_labels
from stream.entities.merged import Merged
from stream.entities.partials import NEVER
from stream.entities.takeover import Takeover
from stream.features import PROGRAM, SEQUENCE_CHANNELS, SEQUENCE_STEPS
from stream.replay import History
from tests.builders import START, random_columns

PARTITIONS = 3
DAY = 86_400_000


def history_of(n: int, seed: int, days: float = 4.0, disorder_s: float = 900.0) -> History:
    """Random transactions of three partitions with labels of what was bought before, and account events."""
    rng = np.random.default_rng(seed)
    columns, _ = random_columns(n, cards=25, seed=seed, days=days, disorder_s=disorder_s, missing=0.1)
    merchants, terminals = np.unique(columns.merchant_key), np.unique(columns.terminal_key)
    labels = []
    for offset in range(60):
        bought = START + int(rng.integers(-12 * DAY, int((days - 7.5) * DAY)))
        decided = max(bought + int(rng.integers(0, 10 * DAY)), START - DAY)
        keys = int(rng.choice(merchants)), int(rng.choice(terminals))
        number = offset % 45  # some are judged more than once
        verdict = FRAUD if rng.random() < 0.7 else GENUINE
        label = Label(offset, 10_000 + number, keys, bought, decided, 0, int(rng.integers(1, 5)), verdict)
        labels.append((number % PARTITIONS, label))
    labels.sort(key=lambda one: one[1].decided_at)
    m = 80
    customers = np.unique(columns.customer_key[columns.customer_key > 0])
    events = Events(
        customer_key=rng.choice(customers, m),
        card_key=rng.integers(1, 26, m).astype(np.uint64),
        by_card=rng.random(m) < 0.3,
        group=rng.integers(0, 5, m).astype(np.uint8),
        time=START + rng.integers(0, int(days * DAY), m),
        device_key=rng.choice(np.unique(columns.device_key), m),
    )
    return History(columns, (columns.card_key % np.uint64(PARTITIONS)).astype(np.int64), labels, events)


class Live:
    """Reads a history as a worker does whose profiles are waited for; `draw` gives a number below its argument."""

    def __init__(self, history: History, draw: Callable[[int], int]) -> None:
        self._history, self._draw = history, draw
        assert history.partition is not None and history.events is not None
        self._rows = {p: np.flatnonzero(history.partition == p) for p in range(PARTITIONS)}
        self._labels = {p: [label for of, label in history.labels if of == p] for p in range(PARTITIONS)}
        self._events = history.events.take(np.argsort(history.events.time, kind="stable"))
        self._fed = 0
        self._done = dict.fromkeys(range(PARTITIONS), 0)
        self.arenas: dict[int, Arena] = {p: new_arena() for p in range(PARTITIONS)}
        for p, arena in self.arenas.items():
            arena.open.partition = p
        self.book = Book(merged=Merged(), takeover=Takeover())
        n = len(history.columns)
        self.X = np.full((n, len(PROGRAM.features)), np.nan, np.float32)
        self.S = np.full((n, SEQUENCE_STEPS, len(SEQUENCE_CHANNELS)), np.nan, np.float32)

    def run(self) -> tuple[Any, Any]:
        """Features and windows of every transaction in the order of the log."""
        while left := [p for p in self._rows if self._done[p] < len(self._rows[p])]:
            start = self._draw(len(left))
            for p in [*left[start:], *left[:start]]:
                if rows := self._ready(p):
                    self._batch(p, np.array(rows))
                    break
            else:
                raise AssertionError("no partition can go on")
        return self.X, self.S

    def _ready(self, p: int) -> list[int]:
        """The next transactions of a partition, as many as are drawn, that see only hours which all have closed."""
        rows = self._rows[p][self._done[p] :][: 1 + self._draw(60)]
        clock, ready = self.arenas[p].watermark, []
        for row in rows.tolist():
            if visible(clock) > self._closed(but=p):
                break
            ready.append(row)
            if not self._history.columns.flags[row] & 4:
                clock = max(clock, int(self._history.columns.event_time[row]))
        return ready

    def _closed(self, but: int) -> int:
        """First hour that some other partition may still add to."""
        others = [p for p in self._rows if p != but and self._done[p] < len(self._rows[p])]
        return min((first_open(self.arenas[p].watermark) for p in others), default=1 << 60)

    def _batch(self, p: int, rows: Any) -> None:
        arena, columns = self.arenas[p], take(self._history.columns, rows)
        newest = int(columns.event_time.max())
        self._finish(visible(max(newest, arena.watermark)))
        self._label(p, first_open(max(newest, arena.watermark)))
        self._feed(newest)
        self.X[rows], self.S[rows] = advance(arena, columns, self.book) or (np.nan, np.nan)
        self._history.columns.flags[rows] = columns.flags
        self._done[p] += len(rows)

    def _finish(self, hour: int) -> None:
        """What ended is closed by somebody else's clock: nothing can come any more."""
        for p, arena in self.arenas.items():
            if self._done[p] == len(self._rows[p]) and arena.open.through < hour - 1:
                self._label(p, hour)
                for bucket in arena.open.close(hour * HOUR + CLOSE_LAG):
                    self.book.merged.merge(p, bucket)

    def _label(self, p: int, until: int) -> None:
        """Apply labels before their hour closes: those that must be, and some more."""
        labels = self._labels[p]
        due = [
            i for i, label in enumerate(labels) if max(label.event_time + MATURITY_MS, label.decided_at) // HOUR < until
        ]
        number = min(len(labels), (due[-1] + 1 if due else 0) + self._draw(4))
        arena = self.arenas[p]
        deltas = apply_labels(arena.tables[LABELS], labels[:number], arena.watermark).deltas
        arena.open.add_labels(deltas, max(arena.watermark, NEVER))
        self._labels[p] = labels[number:]

    def _feed(self, until: int) -> None:
        end = int(np.searchsorted(self._events.time, until, side="right")) + self._draw(20)
        self.book.takeover.add(self._events.take(slice(self._fed, max(end, self._fed))))
        self._fed = max(end, self._fed)
