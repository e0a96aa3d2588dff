"""Simulated and foreign transactions on a real Kafka: complete, in order of each card, in the default partition."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata

from stream.errors import BrokerError, SettingError
from training.data.report import judge, wait_for_group
from training.data.sender import BatchSender, PlainSender
from training.data.topics import consumer, end_offsets

COMMAND = [sys.executable, "-m", "stream", "simulate", "--cards", "60", "--days", "12", "--bank", "3", "--seed", "5"]


def read(bootstrap: str, topic: str) -> list[tuple[int, bytes, bytes]]:
    ends = end_offsets(bootstrap, topic)
    found: list[tuple[int, bytes, bytes]] = []
    reader = KafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed", enable_auto_commit=False)
    parts = [TopicPartition(topic, part) for part in ends]
    reader.assign(parts)
    reader.seek_to_beginning(*parts)
    deadline = time.monotonic() + 90
    while len(found) < sum(ends.values()) and time.monotonic() < deadline:
        for part, records in reader.poll(timeout_ms=500).items():
            found += [(part.partition, record.key, record.value) for record in records]
    reader.close()
    return found


def simulate(kafka: str, *more: str) -> dict[str, object]:
    done = subprocess.run(
        [*COMMAND, "--bootstrap", kafka, "--json", *more], capture_output=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("sender", [BatchSender, PlainSender])
def test_both_senders_keep_order_and_choose_the_default_partition(
    kafka: str, new_topic: Callable[..., str], sender: type[BatchSender] | type[PlainSender]
) -> None:
    topic = new_topic(partitions=3)
    keys = [b"card-%d" % (number % 40) for number in range(3_000)]
    values = [b"%06d" % number for number in range(3_000)]
    opened = sender(kafka)
    for low in range(0, 3_000, 1_000):
        opened.send(topic, keys[low : low + 1_000], values[low : low + 1_000])
    opened.close()
    reference = KafkaProducer(bootstrap_servers=kafka)
    expected = {key: reference.send(topic, key=key, value=b"end").get(10).partition for key in set(keys)}
    reference.close()
    found = [row for row in read(kafka, topic) if row[2] != b"end"]
    assert sorted(value for _, _, value in found) == values
    assert all(partition == expected[key] for partition, key, _ in found)
    for key in set(keys):
        mine = [value for _, card, value in found if card == key]
        assert mine == sorted(mine)


def test_two_calls_send_the_warm_up_and_then_the_rest(
    kafka: str, new_topic: Callable[..., str], tmp_path: Path
) -> None:
    topic, feedback, events = (new_topic(partitions=2) for _ in range(3))
    settings = ["--topic", topic, "--feedback-topic", feedback, "--events-topic", events, "--warmup-days", "10"]
    first = simulate(kafka, *settings, "--part", "warmup")
    truth = tmp_path / "truth.jsonl"
    second = simulate(kafka, *settings, "--part", "live", "--speed", "86400", "--truth", str(truth))
    sent = [json.loads(value)["transaction_id"] for _, _, value in read(kafka, topic)]
    assert len(sent) == int(first["transactions"]) + int(second["transactions"])  # type: ignore[call-overload]
    ids = {json.loads(line)["transaction_id"] for line in truth.read_text().splitlines()}
    assert len(ids) == int(second["transactions"]) - int(second["repeated"])  # type: ignore[call-overload]
    assert ids <= set(sent)
    assert 1.0 < float(second["seconds"]) < 10  # type: ignore[arg-type]
    labels = read(kafka, feedback)
    assert len(labels) == int(first["labels"]) + int(second["labels"]) > 0  # type: ignore[call-overload]
    told = [json.loads(value) for _, _, value in read(kafka, events)]
    assert len(told) == int(first["events"]) + int(second["events"]) > 0  # type: ignore[call-overload]
    assert {event["type"] for event in told} >= {"login", "password_reset"}


def test_keyed_by_customer_all_cards_of_one_and_their_labels_share_a_partition(
    kafka: str, new_topic: Callable[..., str]
) -> None:
    topic, feedback = new_topic(partitions=4), new_topic(partitions=4)
    simulate(kafka, "--topic", topic, "--feedback-topic", feedback, "--no-events", "--key", "customer_id")
    sent = read(kafka, topic)
    place = {json.loads(value)["transaction_id"]: partition for partition, _, value in sent}
    assert all(place[json.loads(value)["transaction_id"]] == partition for partition, _, value in read(kafka, feedback))
    partitions: dict[bytes, set[int]] = {}
    cards: dict[bytes, set[str]] = {}
    for partition, key, value in sent:
        partitions.setdefault(key, set()).add(partition)
        cards.setdefault(key, set()).add(json.loads(value)["card_id"])
    assert {len(found) for found in partitions.values()} == {1}
    assert max(len(found) for found in cards.values()) > 1


def test_an_events_topic_that_is_named_must_exist(kafka: str, new_topic: Callable[..., str]) -> None:
    command = [*COMMAND, "--bootstrap", kafka, "--topic", new_topic(), "--events-topic", "no.such.events"]
    done = subprocess.run(command, capture_output=True, timeout=90, check=False)
    assert done.returncode == 2 and b"'no.such.events' does not exist" in done.stderr


def test_a_signal_ends_the_stream_and_what_was_sent_is_there(kafka: str, new_topic: Callable[..., str]) -> None:
    topic = new_topic()
    process = subprocess.Popen(
        [*COMMAND, "--bootstrap", kafka, "--topic", topic, "--rate", "200", "--json"], stdout=subprocess.PIPE
    )
    deadline = time.monotonic() + 90
    while sum(end_offsets(kafka, topic).values()) < 50 and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    said = json.loads(process.communicate(timeout=90)[0])
    assert process.returncode == 0
    assert said["stopped"]
    assert said["transactions"] == sum(end_offsets(kafka, topic).values())


def test_a_replayed_file_is_judged_by_the_alerts_about_it(
    kafka: str, new_topic: Callable[..., str], tmp_path: Path
) -> None:
    topic, alerts, group = new_topic(partitions=2), new_topic(), "replay-test"
    file, mapping = tmp_path / "foreign.csv", tmp_path / "mapping.toml"
    rows = [f"2026-03-0{1 + number % 3} 10:00:00,{number % 5},{number},{int(number < 4)}" for number in range(40)]
    file.write_text("WHEN,CARD,SUM,BAD\n" + "\n".join([*rows, "never,1,1,0"]) + "\n")
    mapping.write_text(
        '[columns]\nevent_time="WHEN"\ncard_id="CARD"\nmerchant_id="CARD"\namount="SUM"\n'
        '[constants]\ncurrency="EUR"\n[labels]\ntruth="BAD"\n'
    )
    producer = KafkaProducer(bootstrap_servers=kafka)
    for name in ("foreign-0", "foreign-1", "foreign-9", "foreign-9"):
        value = json.dumps({"outcome": "review", "transaction": {"transaction_id": name}}).encode()
        producer.send(alerts, value=value).get(10)
    producer.close()
    arguments = ["replay", str(file), "--mapping", str(mapping), "--bootstrap", kafka, "--topic", topic]
    arguments += ["--report", "--group", group, "--alerts-topic", alerts, "--json"]
    process = subprocess.Popen([sys.executable, "-m", "stream", *arguments], stdout=subprocess.PIPE)
    deadline = time.monotonic() + 90
    while sum(end_offsets(kafka, topic).values()) < 40 and time.monotonic() < deadline:
        time.sleep(0.1)
    with consumer(kafka, group) as member:
        ends = end_offsets(kafka, topic)
        member.commit({TopicPartition(topic, p): OffsetAndMetadata(end, "", -1) for p, end in ends.items()})
    said = json.loads(process.communicate(timeout=90)[0])
    assert (said["sent"], said["unmapped"]) == (40, 1)
    assert said["report"]["transactions"]["precision"] == pytest.approx(2 / 3, abs=1e-3)
    assert said["report"]["transactions"]["recall"] == 0.5


def test_a_group_that_stands_still_is_named(kafka: str, new_topic: Callable[..., str]) -> None:
    import threading

    topic = new_topic()
    sender = PlainSender(kafka)
    sender.send(topic, [b"card"], [b"{}"])
    sender.close()
    with pytest.raises(BrokerError, match="nobody"):
        wait_for_group(kafka, topic, "nobody", 1.0, threading.Event(), quiet=True)


def test_topics_and_brokers_that_are_not_there_are_named(kafka: str) -> None:
    with pytest.raises(SettingError, match="no-such-topic"):
        judge(kafka, "no-such-topic", [])
    for sender in (BatchSender, PlainSender):
        begin = time.monotonic()
        with pytest.raises(BrokerError, match=r"127\.0\.0\.1:1 "):
            sender("127.0.0.1:1")
        assert time.monotonic() - begin < 15
