"""After the stream: what should have been told, recomputed from the topic in one thread, against what was told.

Nothing of the worker's run is used but its topics. Scores near the threshold (1e-5) may fall either way, because a
model's last digits depend on how rows were batched; such rows are neither expected nor extra.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from stream.advance import new_arena
from stream.demo.topic import read_all
from stream.events import TP
from stream.panels import load_panel
from stream.pipeline import Chunk, Pipeline
from stream.settings import Settings, load

BATCH = 2048
EDGE = 1e-5

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


def expect(settings: Settings, source: dict[int, list[Any]], warm_until: dict[int, int]) -> Expected:
    """Replay the warm-up, then decide every live record, partition by partition."""
    panel = load_panel(settings)
    review = settings.decision.review_threshold or panel.thresholds.review
    lowered = load(
        None,
        settings.model_dump() | {"decision": {**settings.decision.model_dump(), "review_threshold": review - EDGE}},
    )
    pipeline = Pipeline(lowered, panel, topic_id="judge")
    found = Expected(set(), set(), set(), np.empty((0, 0)), np.empty(0), [])
    features, scores = [], []
    for partition, records in source.items():
        tp = TP(settings.topics.transactions, partition)
        pipeline.open(tp, new_arena())
        warm = [r for r in records if r.offset < warm_until[partition]]
        for low in range(0, len(warm), BATCH):
            pipeline.replay(tp, warm[low : low + BATCH])
        live = records[len(warm) :]
        for low in range(0, len(live), BATCH):
            chunk = live[low : low + BATCH]
            prepared = pipeline.prepare([Chunk(tp, chunk)])
            features.append(prepared.X.copy())
            scores.append(panel.score(prepared.X, prepared.S).score)
            dead = _sort_out(found, partition, pipeline.complete(prepared), review)
            found.places += [(partition, r.offset) for r in chunk if r.offset not in dead]
        pipeline.close(tp)
    found.features, found.scores = np.concatenate(features), np.concatenate(scores)
    return found


def _sort_out(found: Expected, partition: int, outcomes: list[Any], review: float) -> set[int]:
    dead: set[int] = set()
    for outcome in outcomes:
        for alert in outcome.alerts:
            place = partition, alert.source.offset
            near = not alert.rules and abs(alert.score - review) <= EDGE
            (found.borderline if near else found.alerts).add(place)
        dead |= {letter.offset for letter in outcome.dead}
    found.dead |= {(partition, offset) for offset in dead}
    return dead


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
