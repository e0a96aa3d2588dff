"""`fraudstream worker` with one thing wrong: exactly one sentence, another exit code than 0, within 15 seconds."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from kafka import KafkaAdminClient, TopicPartition
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from tests.kafka.worker_rig import ROOT, Topics, topics_for

LIMIT_S = 15.0
Ended = tuple[int, float, str]


def run(topics: Topics, *options: str, **settings: str) -> Ended:
    """Run the command to its end: exit code, seconds, stderr."""
    given = {"MODELS__ACKNOWLEDGE_SIMULATED": "true", "MONITOR__PORT": "0", "KAFKA__BOOTSTRAP": topics.bootstrap}
    command = [sys.executable, "-m", "stream", "worker", "--group", topics.group, *options]
    environment = {**topics.environment(**{**given, **settings}), "CUDA_VISIBLE_DEVICES": "-1"}
    began = time.monotonic()
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return ended.returncode, time.monotonic() - began, ended.stderr


def stand_at(topics: Topics, group: str, offset: int) -> None:
    """Let a group stand somewhere; a broker just started looks for the group's coordinator first."""
    admin = KafkaAdminClient(bootstrap_servers=topics.bootstrap)
    deadline = time.monotonic() + 60
    place = {TopicPartition(topics.transactions, 0): OffsetAndMetadata(offset, "", -1)}
    while True:
        try:
            admin.alter_group_offsets(group, place)
            break
        except KafkaError:
            assert time.monotonic() < deadline
            time.sleep(0.3)
    admin.close()


@pytest.mark.timeout(240)
def test_each_is_one_sentence_within_seconds(kafka: str, new_topic: Callable[..., str]) -> None:
    topics = topics_for(kafka, new_topic, partitions=2)
    other = new_topic("alerts", partitions=3)
    stand_at(topics, "far-away", 10**9)
    with socket.create_server(("127.0.0.1", 0)) as busy, socket.create_server(("127.0.0.1", 0)) as silent:
        used, mute = busy.getsockname()[1], silent.getsockname()[1]
        cases: dict[str, Callable[[], Ended]] = {
            r"kafka.bootstrap '127.0.0.1:1' cannot be reached": lambda: run(topics, KAFKA__BOOTSTRAP="127.0.0.1:1"),
            f"kafka.bootstrap '127.0.0.1:{mute}' cannot": lambda: run(topics, KAFKA__BOOTSTRAP=f"127.0.0.1:{mute}"),
            f"monitor.port {used} cannot be listened on": lambda: run(topics, MONITOR__PORT=str(used)),
            "device is set to cuda, but": lambda: run(topics, "--device", "cuda"),
            "trained on simulated data": lambda: run(topics, MODELS__ACKNOWLEDGE_SIMULATED="false"),
            "topics.transactions 'no.such' does not exist": lambda: run(topics, TOPICS__TRANSACTIONS="no.such"),
            "has 3 partitions and topics.transactions": lambda: run(topics, TOPICS__ALERTS=other),
            f"topics.dead_letters {other!r} has 3": lambda: run(topics, TOPICS__DEAD_LETTERS=other),
            "stands at offset 1000000000": lambda: run(topics, "--group", "far-away"),
            "the settings file none.toml does not exist": lambda: run(topics, "--config", "none.toml"),
            "FRAUDSTREAM_KAFAK__X names no setting": lambda: run(topics, KAFAK__X="1"),
        }
        with ThreadPoolExecutor(2) as pool:
            ended = dict(zip(cases, pool.map(lambda case: case(), cases.values()), strict=True))
    for said, (code, seconds, stderr) in ended.items():
        told = [line for line in stderr.splitlines() if line.startswith("fraudstream: ")]
        assert len(told) == 1 and stderr.endswith(told[0] + "\n"), stderr
        assert said in told[0]
        assert "Traceback" not in stderr and code in {2, 3}
        assert seconds < LIMIT_S, (said, seconds)
