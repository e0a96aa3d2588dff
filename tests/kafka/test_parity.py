"""A simulated day through a real worker on a real broker, against the batch path: every feature, bit for bit."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

import stream.replay
from stream.broker import TopicSpec, ensure_topics
from stream.entities.takeover import joined
from stream.features import FAMILY_SLICES, FEATURE_NAMES, HORIZON_MS
from stream.replay import History, Replay, Waiting
from tests.kafka.feeder import Feeder
from tests.kafka.parity_day import Day, simulate
from tests.kafka.worker_rig import KEY, Topics, WorkerProcess

PARTITIONS = 4


@dataclass
class Lived:
    """What the worker's models got, in the order in which it was sent."""

    day: Day
    X: Any
    S: Any

    def replayed(self, history: History | None = None, horizon_ms: int = HORIZON_MS) -> tuple[Any, Any]:
        """The same by the batch path."""
        return Replay(history or self.history(), horizon_ms).rows()

    def history(self) -> History:
        return self.day.history(KEY.encode())

    def differing(self, X: Any) -> list[str]:
        """Features of which one value has another bit."""
        same = (self.X.view(np.uint32) == X.view(np.uint32)) | (np.isnan(self.X) & np.isnan(X))
        return [FEATURE_NAMES[j] for j in np.flatnonzero(~same.all(axis=0))]


@pytest.fixture(scope="module")
def lived(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Lived:
    folder = tmp_path_factory.mktemp("parity")
    day = simulate(folder, PARTITIONS)
    names = {
        stem: f"{stem}.{uuid.uuid4().hex[:12]}" for stem in ("tx", "alerts", "dead", "profiles", "feedback", "events")
    }
    ensure_topics(kafka, {name: TopicSpec(PARTITIONS) for name in names.values()})
    sides = {stem: names[stem] for stem in ("profiles", "feedback", "events")}
    topics = Topics(kafka, names["tx"], names["alerts"], names["dead"], PARTITIONS, sides=sides)
    record = folder / "record"
    feeder = Feeder(topics, day, record)
    feeder.beside(0)
    worker = WorkerProcess(topics, command=("tests.kafka.recording_worker",), RECORD=str(record))
    try:
        rows = feeder.run(worker.wait_ready(PARTITIONS)["metrics"])
        assert worker.terminate() == 0, worker.output()
    finally:
        worker.process.kill()
    X, S = (np.array([np.frombuffer(rows[place][i], "<f4") for place in day.places]) for i in (0, 1))
    return Lived(day, X, S)


def test_every_feature_of_every_transaction_is_the_same_to_the_bit(lived: Lived) -> None:
    X, S = lived.replayed()
    assert len(X) > 3000
    assert lived.differing(X) == []
    assert np.array_equal(lived.S, S.reshape(len(S), -1))


def test_the_day_says_something_about_every_family(lived: Lived) -> None:
    for name, columns in FAMILY_SLICES.items():
        assert np.isfinite(lived.X[:, columns]).any(), name
    for name in ("merchant_fraud_rate", "card_attempt_count_24h", "login_age"):
        assert np.nanstd(lived.X[:, FEATURE_NAMES.index(name)]) > 0, name


class Hasty(Waiting):
    """Shows profiles an hour too late."""

    def release(self, before: int) -> None:
        super().release(before - 1)


def _hour_missed(lived: Lived, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    monkeypatch.setattr(stream.replay, "Waiting", Hasty)
    return lived.replayed()


def _shorter_horizon(lived: Lived, _: pytest.MonkeyPatch) -> tuple[Any, Any]:
    return lived.replayed(horizon_ms=HORIZON_MS // 60)


def _half_of_the_labels(lived: Lived, _: pytest.MonkeyPatch) -> tuple[Any, Any]:
    history = lived.history()
    return lived.replayed(replace(history, labels=history.labels[::2]))


def _events_a_minute_late(lived: Lived, _: pytest.MonkeyPatch) -> tuple[Any, Any]:
    history = lived.history()
    assert history.events is not None
    events = joined([history.events])
    events.time += 60_000
    return lived.replayed(replace(history, events=events))


@pytest.mark.parametrize("skew", [_hour_missed, _shorter_horizon, _half_of_the_labels, _events_a_minute_late])
def test_a_planted_skew_does_not_go_unseen(
    skew: Callable[[Lived, pytest.MonkeyPatch], tuple[Any, Any]], lived: Lived, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, _ = skew(lived, monkeypatch)
    assert lived.differing(X) != []


def test_a_window_of_another_length_does_not_go_unseen(lived: Lived) -> None:
    X, _ = lived.replayed()
    short, long = (FEATURE_NAMES.index(f"card_attempt_count_{window}") for window in ("1h", "24h"))
    X[:, short] = X[:, long]
    assert lived.differing(X) == ["card_attempt_count_1h"]
