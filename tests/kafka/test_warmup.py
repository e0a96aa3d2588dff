"""A warm-up on a real broker: the worker that starts afterwards is the one that had seen the history itself."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream.app.warmup import run
from stream.broker import ensure_topics, product_topics
from stream.errors import SettingError
from stream.replay import Replay
from stream.settings import TopicSettings, load
from tests.kafka.feeder import Feeder
from tests.kafka.parity_day import Day, simulate
from tests.kafka.worker_rig import KEY, Topics, WorkerProcess, committed, transactions

PARTITIONS = 4
PAST = 22  # slices of the day that are history


def topics_of(kafka: str, partitions: int = PARTITIONS) -> Topics:
    """All seven topics, as the product makes them."""
    mark = uuid.uuid4().hex[:12]
    names = TopicSettings(**{name: f"{name}.{mark}" for name in TopicSettings.model_fields})
    ensure_topics(kafka, product_topics(partitions, names))
    sides = {name: getattr(names, name) for name in ("profiles", "feedback", "events", "checkpoints")}
    return Topics(kafka, names.transactions, names.alerts, names.dead_letters, partitions, sides=sides)


def settings_of(topics: Topics, **kafka: Any) -> Any:
    return load(
        None,
        {
            "kafka": {"bootstrap": topics.bootstrap, "group": topics.group, **kafka},
            "topics": {
                "transactions": topics.transactions,
                "alerts": topics.alerts,
                "dead_letters": topics.dead_letters,
            }
            | topics.sides,
            "security": {"token_key": KEY},
        },
    )


def quiet(_: str) -> None:
    pass


def later_rows(topics: Topics, day: Day, record: Path, feeder: Feeder) -> Any:
    """Features of what came after the history, as the worker's models got them."""
    feeder.labels_known()
    feeder.beside(PAST)
    worker = WorkerProcess(topics, command=("tests.kafka.recording_worker",), RECORD=str(record))
    try:
        rows = feeder.run(worker.wait_ready(PARTITIONS)["metrics"], PAST)
        assert worker.terminate() == 0, worker.output()
    finally:
        worker.process.kill()
    past = sum(map(len, day.transactions[:PAST]))
    gone = Counter(partition for partition, _ in day.places[:past])
    places = [(partition, offset - gone[partition]) for partition, offset in day.places[past:]]
    return np.array([np.frombuffer(rows[place][0], "<f4") for place in places])


def test_worker_after_a_warmup_equals_one_that_saw_the_history(kafka: str, tmp_path: Path) -> None:
    topics, day = topics_of(kafka), simulate(tmp_path, PARTITIONS, cards=400)
    feeder = Feeder(topics, day, tmp_path / "record")
    for number in range(PAST):
        feeder.beside(number)
    past = [value for messages in day.transactions[:PAST] for _, value in messages]
    (tmp_path / "history.jsonl").write_bytes(b"\n".join(past))
    command = [sys.executable, "-m", "stream", "warmup", str(tmp_path / "history.jsonl"), "--json"]
    command += ["--bootstrap", kafka, "--group", topics.group]
    done = subprocess.run(command, env=topics.environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["transactions"], told["refused"]) == (len(past), {})
    assert committed(topics) == dict.fromkeys(range(PARTITIONS), 0)
    X, _ = Replay(day.history(KEY.encode())).rows()
    live = later_rows(topics, day, tmp_path / "record", feeder)
    same = (X[len(past) :].view(np.uint32) == live.view(np.uint32)) | (np.isnan(X[len(past) :]) & np.isnan(live))
    assert len(live) > 500
    assert same.all()


def test_a_topic_with_other_partitions_gives_the_same_state_as_its_file(kafka: str, tmp_path: Path) -> None:
    rows = transactions(400, seed=5)
    source, by_file, by_topic = topics_of(kafka, 3), topics_of(kafka), topics_of(kafka)
    source.produce(rows)
    path = tmp_path / "history.jsonl"
    path.write_bytes(b"\n".join(value for _, value in rows) + b"\nno transaction\n")
    first = run(settings_of(by_file), str(path), replace=False, say=quiet)
    second = run(settings_of(by_topic), source.transactions, replace=False, say=quiet)
    assert first.rows == second.rows > 0
    assert (sum(first.refused.values()), second.refused) == (1, {})


def test_the_live_topic_itself_is_history_up_to_its_end(kafka: str) -> None:
    topics = topics_of(kafka)
    topics.produce(transactions(200, seed=6))
    summary = run(settings_of(topics), topics.transactions, replace=False, say=quiet)
    assert sum(summary.offsets.values()) == 200
    assert committed(topics) == summary.offsets


def test_a_group_with_state_is_left_alone_unless_told(kafka: str) -> None:
    topics = topics_of(kafka)
    topics.produce(transactions(100, seed=7))
    run(settings_of(topics), topics.transactions, replace=False, say=quiet)
    with pytest.raises(SettingError, match="has offsets of"):
        run(settings_of(topics), topics.transactions, replace=False, say=quiet)
    run(settings_of(topics), topics.transactions, replace=True, say=quiet)


def _without_key(topics: Topics) -> Any:
    given = settings_of(topics)
    return given.model_copy(update={"security": given.security.model_copy(update={"token_key": None})})


@pytest.mark.parametrize(
    ("change", "source", "sentence"),
    [
        (_without_key, "x.jsonl", "security.token_key is missing"),
        (settings_of, "no-such-topic", "neither a file nor a topic"),
        (settings_of, "no/such.parquet", "does not exist"),
    ],
)
def test_refusals_are_one_sentence(change: Callable[[Topics], Any], source: str, sentence: str, kafka: str) -> None:
    with pytest.raises(SettingError, match=sentence) as refused:
        run(change(topics_of(kafka)), source, replace=False, say=quiet)
    assert "\n" not in str(refused.value)
