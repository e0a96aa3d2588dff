"""`alerts` and `dlq` on a real broker."""

from __future__ import annotations

import json
from collections.abc import Callable

import msgspec
import pytest
from fakes import SOURCE, message, pipeline, records, run
from kafka import KafkaProducer
from typer.testing import CliRunner, Result

from stream.cli.alerts import app as alerts_app
from stream.cli.dlq import app as dlq_app
from stream.codec import dead_letter
from stream.errors import BrokerError, SettingError
from stream.events import Source
from stream.sinks.chain import Tip, seal
from stream.sinks.dead_letters import encode


def chain(count: int) -> list[bytes]:
    """A sealed chain of real alerts."""
    (outcome,) = run(pipeline(), records([*(message(i) for i in range(10)), message(10, amount=900.0)]))
    tip, out = Tip(epoch=1), []
    for at in range(count):
        alert = msgspec.structs.replace(outcome.alerts[0], alert_id=f"id-{at}", source=Source("t", 0, at))
        text, tip = seal(alert, tip)
        out.append(text)
    return out


def write(kafka: str, topic: str, values: list[bytes], partition: int = 0) -> None:
    producer = KafkaProducer(bootstrap_servers=kafka, acks="all")
    for value in values:
        producer.send(topic, value, partition=partition)
    producer.flush()
    producer.close()


def call(app: object, *args: str) -> Result:
    return CliRunner().invoke(app, list(args), catch_exceptions=True)  # type: ignore[arg-type]


def test_verify_finds_the_first_problem_and_exits_1(kafka: str, new_topic: Callable[..., str]) -> None:
    topic, messages = new_topic("alerts", partitions=2), chain(6)
    write(kafka, topic, messages[:3])
    options = ("verify", "--bootstrap", kafka, "--topic", topic)
    whole = call(alerts_app, *options)
    assert (whole.exit_code, "alerts 3, breaks 0" in whole.stdout) == (0, True), whole.output
    write(kafka, topic, messages[4:5])
    broken = call(alerts_app, *options, "--json")
    found = json.loads(broken.stdout)
    assert (broken.exit_code, found["alerts"], found["breaks"], found["ok"]) == (1, 4, 1, False)
    assert "partition 0 offset 3" in found["first_problem"]
    assert call(alerts_app, *options, "--partition", "1").exit_code == 0
    assert call(alerts_app, *options, "--from-offset", "3").exit_code == 0


def test_tail_prints_alerts_for_people_and_machines(kafka: str, new_topic: Callable[..., str]) -> None:
    topic, messages = new_topic("alerts"), chain(3)
    hostile = json.loads(messages[0])
    hostile["transaction"]["merchant_id"] = "\x1b[2J shop"
    write(kafka, topic, [*messages, json.dumps(hostile).encode(), b"not an alert"])
    options = ("tail", "-b", kafka, "-t", topic, "--from-beginning", "--limit")
    shown = call(alerts_app, *options, "5").stdout
    assert shown.count("decline_recommended") == 4 and "AMOUNT_VS_MEAN: Amount is" in shown
    assert "\x1b" not in shown and "a message that is no alert (12 bytes)" in shown
    assert call(alerts_app, *options, "2", "--json").stdout.encode().splitlines() == messages[:2]
    assert call(alerts_app, "tail", "-b", kafka, "-t", topic, "--idle", "0.2").stdout == ""


def test_dlq_lists_and_shows(kafka: str, new_topic: Callable[..., str]) -> None:
    topic = new_topic("dead")
    given = records([b"\xff\x00", b'{"card_id":"4111111111111111"}'], 7)
    letters = [
        dead_letter(record, SOURCE, stage, "no good")
        for record, stage in zip(given, ("decode", "validate"), strict=True)
    ]
    write(kafka, topic, [encode(letter) for letter in letters])
    listed = call(dlq_app, "ls", "-b", kafka, "-t", topic, "--json")
    found = json.loads(listed.stdout)
    assert (found["total"], found["stages"]) == (2, {"decode": 1, "validate": 1})
    assert [letter["offset"] for letter in found["newest"]] == [7, 8]
    text = call(dlq_app, "ls", "-b", kafka, "-t", topic, "--stage", "validate").stdout
    assert "1 dead letters" in text and "[0] 8" in text and "[0] 7" not in text
    shown = call(dlq_app, "show", "0", "8", "-b", kafka, "-t", topic).stdout
    assert "************1111" in shown and "4111111111111111" not in shown
    assert "\\xff" in call(dlq_app, "show", "0", "7", "-b", kafka, "-t", topic).stdout
    assert isinstance(call(dlq_app, "show", "0", "9", "-b", kafka, "-t", topic).exception, SettingError)


def test_a_wrong_topic_partition_or_address_is_one_sentence(kafka: str, new_topic: Callable[..., str]) -> None:
    absent = call(alerts_app, "verify", "-b", kafka, "-t", "no.such.topic").exception
    assert isinstance(absent, SettingError) and "no.such.topic does not exist" in str(absent)
    beyond = call(alerts_app, "verify", "-b", kafka, "-t", new_topic("alerts"), "-p", "4").exception
    assert isinstance(beyond, SettingError) and "no partition 4" in str(beyond)
    with pytest.raises(BrokerError, match="no Kafka answers"):
        raise call(alerts_app, "verify", "-b", "127.0.0.1:1").exception or AssertionError
