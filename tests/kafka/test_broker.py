"""The embedded Kafka on the real thing: start, stop, kill, two at once."""

from __future__ import annotations

import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from stream.broker import EmbeddedKafka, TopicSpec, ensure_topics
from stream.broker.process import LockedProcess
from stream.broker.ready import answers

TOPIC = "kept"
OWNER = """
import sys, time; from pathlib import Path; from stream.broker import EmbeddedKafka
print(EmbeddedKafka(Path(sys.argv[1]), heap_mb=192, owned=True).start(), flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    made = EmbeddedKafka(tmp_path_factory.mktemp("own broker"), heap_mb=256, owned=True)
    yield made
    made.stop()


def send(bootstrap: str, value: bytes) -> None:
    ensure_topics(bootstrap, {TOPIC: TopicSpec(1)})
    producer = KafkaProducer(bootstrap_servers=bootstrap, max_request_size=11_000_000)
    producer.send(TOPIC, value).get(timeout=60)
    producer.close()


def read(bootstrap: str) -> list[bytes]:
    partition = TopicPartition(TOPIC, 0)
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=None, auto_offset_reset="earliest")
    consumer.assign([partition])
    end = consumer.end_offsets([partition])[partition]
    values: list[bytes] = []
    while consumer.position(partition) < end:
        values += [record.value for records in consumer.poll(timeout_ms=500).values() for record in records]
    consumer.close()
    return values


def test_a_second_start_finds_the_first(broker: EmbeddedKafka) -> None:
    bootstrap = broker.start()
    pid = broker.status().pid
    assert EmbeddedKafka(broker.directory).start() == bootstrap
    assert broker.status().pid == pid


def test_a_killed_broker_starts_again_at_its_address_with_its_data(broker: EmbeddedKafka) -> None:
    bootstrap = broker.start()
    send(bootstrap, b"before the kill")
    broker.kill()
    assert not broker.status().running
    assert broker.start() == bootstrap
    assert read(bootstrap) == [b"before the kill"]


def test_a_ten_megabyte_message_is_taken(broker: EmbeddedKafka) -> None:
    bootstrap = broker.start()
    ensure_topics(bootstrap, {"large": TopicSpec(1)})
    producer = KafkaProducer(bootstrap_servers=bootstrap, max_request_size=11_000_000)
    assert producer.send("large", bytes(10_000_000)).get(timeout=60).offset == 0
    producer.close()


def test_a_taken_port_is_left_for_another_and_fresh_forgets(broker: EmbeddedKafka) -> None:
    before = broker.start()
    broker.stop()
    with socket.create_server(("127.0.0.1", int(before.rpartition(":")[2]))):
        after = broker.start(fresh=True)
    assert after != before
    assert TOPIC not in names(after)


def names(bootstrap: str) -> set[str]:
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=None)
    found = set(consumer.topics())
    consumer.close()
    return found


def test_two_at_once_do_not_collide_and_one_ends_with_its_killed_owner(broker: EmbeddedKafka, tmp_path: Path) -> None:
    broker.stop()
    with subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as owner:
        mine = broker.start(fresh=True)
        assert owner.stdout is not None
        other = owner.stdout.readline().strip()
        assert other.startswith("127.0.0.1:")
        assert other != mine
        assert answers(other)
        owner.kill()
    assert LockedProcess(tmp_path).wait(60.0)
    assert broker.status().answering


def test_a_misspelt_topic_is_not_made(kafka: str) -> None:
    misspelt = f"misspelt.{uuid.uuid4().hex}"
    producer = KafkaProducer(bootstrap_servers=kafka, max_block_ms=1500)
    with pytest.raises(KafkaError):
        producer.send(misspelt, b"x").get(timeout=3)
    producer.close(timeout=1)
    assert misspelt not in names(kafka)
