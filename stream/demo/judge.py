"""After the stream: what should have been told, recomputed from the topics in one thread, against what was told.

Nothing of the worker's run is used but its topics. Scores near the threshold (1e-5) may fall either way, because a
model's last digits depend on how rows were batched; so may those that features of merchants, terminals and accounts
decide, because in compressed time nobody can say how far those logs had been read. Such rows are neither expected nor
extra, and are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from stream.advance import new_arena
from stream.demo.topic import read_all
from stream.entities.account import read_events
from stream.entities.takeover import Takeover
from stream.events import F32, F64, TP, Alert
from stream.judge import PanelLike
from stream.panels import load_panel
from stream.pipeline import Chunk, Pipeline
from stream.profile import StreamProfile
from stream.settings import Settings, load

PIECE = 512
EDGE = 1e-5
GIVEN_EDGE = 0.05  # how much of a score other logs may move that are read a little sooner or later
NAMED_EDGE = 1e-3  # alerts name features rounded to a millionth

Place = tuple[int, int]  # partition, offset


@dataclass
class Expected:
    """What an uninterrupted run over the same records decides.

    Attributes
    ----------
    alerts, borderline
        Places that must be alerted; places that may be.
    dead
        Places that must be dead letters.
    features, scores
        Float32 (n, d) and fused scores (n,) of the live transactions, and their places in the same order.
    """

    alerts: set[Place]
    borderline: set[Place]
    dead: set[Place]
    features: np.ndarray[Any, Any]
    scores: np.ndarray[Any, Any]
    places: list[Place]


@dataclass
class Told:
    """What stands in the topics."""

    alerts: dict[Place, dict[str, Any]]
    repeats: int
    appended: dict[Place, int]
    dead: set[Place]
    dead_repeats: int


def expect(settings: Settings, source: dict[int, list[Any]], warm_until: dict[int, int], seen: Told) -> Expected:
    """Replay the warm-up, then decide every live record, the partitions side by side.

    What a transaction sees of other logs (profiles, account events) depends on how soon they were read, which in
    compressed time is nobody's to repeat. So an alert must be told where it follows clearly whatever those logs say,
    and may be told where the values of theirs that it names make it one.
    """
    panel = load_panel(settings)
    review = settings.decision.review_threshold or panel.thresholds.review
    lowered = load(
        None,
        settings.model_dump() | {"decision": {**settings.decision.model_dump(), "review_threshold": review - EDGE}},
    )
    pipeline = Pipeline(lowered, panel, topic_id="judge")
    pipeline.book.takeover = _account_events(settings, pipeline)
    found = Expected(set(), set(), set(), np.empty((0, 0)), np.empty(0), [])
    judge = _Judge(found, panel, review, seen, _given(pipeline.profile))
    features, scores = [], []
    for tp, chunk, live in _side_by_side(settings, pipeline, source, warm_until):
        if not live:
            pipeline.replay(tp, chunk)
            continue
        prepared = pipeline.prepare([Chunk(tp, chunk)])
        x, windows = prepared.X.copy(), prepared.S.copy()
        features.append(x)
        scores.append(panel.score(x, windows).score)
        (outcome,) = pipeline.complete(prepared)
        dead = {letter.offset for letter in outcome.dead}
        found.dead |= {(tp.partition, offset) for offset in dead}
        places = [(tp.partition, r.offset) for r in chunk if r.offset not in dead]
        judge.sort_out({(tp.partition, a.source.offset): a for a in outcome.alerts}, places, x, windows)
        found.places += places
    found.features, found.scores = np.concatenate(features), np.concatenate(scores)
    return found


def _side_by_side(
    settings: Settings, pipeline: Pipeline, source: dict[int, list[Any]], warm_until: dict[int, int]
) -> Iterator[tuple[TP, list[Any], bool]]:
    """Opened partitions' records in pieces, in the order in which they were appended; whether they are live."""
    pieces = []
    for partition, records in source.items():
        tp = TP(settings.topics.transactions, partition)
        pipeline.open(tp, new_arena(pipeline.profile.program))
        warm = sum(record.offset < warm_until[partition] for record in records)
        for begin, end in ((0, warm), (warm, len(records))):
            for low in range(begin, end, PIECE):
                piece = records[low : min(end, low + PIECE)]
                pieces.append((piece[0].timestamp, tp, piece, begin == warm))
    for _, tp, piece, live in sorted(pieces, key=lambda item: item[0]):
        yield tp, piece, live


def _account_events(settings: Settings, pipeline: Pipeline) -> Takeover:
    takeover = Takeover()
    if settings.topics.events:
        tokens, skew = pipeline.tokens, round(settings.engine.clock_skew_s * 1000)
        for records in read_all(settings.kafka.bootstrap, settings.topics.events).values():
            appended = np.array([record.timestamp for record in records], np.int64)
            values = [record.value for record in records]
            read = read_events(values, appended, lambda cards: tokens.keys_of([tokens[card] for card in cards]), skew)
            takeover.add(read.events)
    return takeover


def _given(profile: StreamProfile) -> list[slice]:
    """Columns of X that other logs than the partition's own give, by entity."""
    widths = {entity.name: entity.width for entity in profile.entities}
    return [profile.slices[family.name] for family in profile.families if widths.get(family.entity, 0)]


@dataclass
class _Judge:
    """Sorts the alerts of one piece into what must and what may be told."""

    found: Expected
    panel: PanelLike
    review: float
    seen: Told
    given: list[slice]

    def sort_out(self, alerts: dict[Place, Alert], places: list[Place], x: F32, windows: F32) -> None:
        """Judge the rows of `places`; `alerts` are those that follow when everything given is known."""
        rows = {place: row for row, place in enumerate(places)}
        for place, alert in alerts.items():
            row = rows[place]
            if alert.rules or self._lowest(x[row], windows[row]) > self.review + GIVEN_EDGE:
                self.found.alerts.add(place)
            else:
                self.found.borderline.add(place)
        for place in [place for place in rows if place in self.seen.alerts and place not in alerts]:
            named = self._named(x[rows[place]], self.seen.alerts[place]["features"])
            if self._scores(named[None], windows[rows[place]])[0] >= self.review - NAMED_EDGE:
                self.found.borderline.add(place)

    def _named(self, x: F32, features: dict[str, float | None]) -> F32:
        """The row with the given values that an alert names itself."""
        told = np.array([np.nan if value is None else value for value in features.values()], np.float32)
        row = x.copy()
        for columns in self.given:
            row[columns] = told[columns]
        return row

    def _lowest(self, x: F32, window: F32) -> float:
        """The lowest score with what is given known, unknown, or as where nothing happened: all of it, or in part."""
        instead = (np.full_like(x, np.nan), self.panel.neutral_features)
        rows = np.repeat(x[None], 1 + len(instead) * (1 + len(self.given)), axis=0)
        for first, values in enumerate(instead):
            for at, columns in enumerate(self.given):
                own = 1 + first * (1 + len(self.given))
                rows[own, columns] = values[columns]
                rows[own + 1 + at, columns] = values[columns]
        return float(self._scores(rows, window).min())

    def _scores(self, rows: F32, window: F32) -> F64:
        return self.panel.score(rows, np.repeat(window[None], len(rows), axis=0)).score


def told(bootstrap: str, settings: Settings) -> Told:
    """Read alerts and dead letters as an outsider."""
    result = Told({}, 0, {}, set(), 0)
    for partition, records in read_all(bootstrap, settings.topics.alerts).items():
        ids: Counter[str] = Counter()
        for record in records:
            alert = msgspec.json.decode(record.value)
            place = partition, alert["source"]["offset"]
            ids[alert["alert_id"]] += 1
            result.alerts[place] = alert
            result.appended[place] = record.timestamp
        result.repeats += sum(count - 1 for count in ids.values())
    for partition, records in read_all(bootstrap, settings.topics.dead_letters).items():
        places = [(partition, msgspec.json.decode(record.value)["offset"]) for record in records]
        result.dead |= set(places)
        result.dead_repeats += len(places) - len(set(places))
    return result


def read_truth(path: Path) -> dict[str, dict[str, Any]]:
    """The simulator's truth by transaction id."""
    with path.open("rb") as lines:
        rows = [msgspec.json.decode(line) for line in lines]
    return {row["transaction_id"]: row for row in rows}
