"""A stream of another kind runs through the real worker by naming its profile: nothing of the engine is touched."""

from __future__ import annotations

import json
import random
import uuid
from collections import Counter

import pytest

from stream.broker import TopicSpec, ensure_topics
from stream.codec import Tokens
from tests.contracts.schema_check import problems
from tests.kafka.transfers import TRANSFERS
from tests.kafka.worker_rig import KEY, Topics, WorkerProcess, read_topic, with_checkpoints

START = 1_767_225_600_000  # ms
MINUTE, DAY = 60_000, 86_400_000
MULE = "DE02-MULE-0001"
TOKENS = Tokens(KEY.encode())


def transfer(number: int, account: str, other: str, amount: float, at: int, direction: str) -> tuple[bytes, bytes]:
    body = {
        "transfer_id": f"t{number}",
        "booked_at": at,
        "account_id": account,
        "counterparty_id": other,
        "direction": direction,
        "amount": amount,
        "currency": "EUR",
        "customer_id": f"c-{number % 50}",
        "counterparty_country": "DE",
    }
    return account.encode(), json.dumps(body).encode()


def transfers() -> list[tuple[bytes, bytes]]:
    """Three days: salaries, a shop with many small payers, rents from few, an employer who pays many at once.

    And an account that 14 pay into within 4 hours.
    """
    rng = random.Random(8)
    given = [(f"acc-{k % 40}", f"employer-{k % 7}", 2500.0, rng.randrange(3 * DAY)) for k in range(400)]
    given += [("shop", f"buyer-{rng.randrange(400)}", 19.9, rng.randrange(3 * DAY)) for _ in range(500)]
    given += [("landlord", f"tenant-{k % 9}", 900.0, rng.randrange(3 * DAY)) for k in range(60)]
    given += [("slow", f"payer-{k}", 800.0, k * 9 * 60 * MINUTE) for k in range(8)]
    given += [(MULE, f"victim-{k}", 640.0, 2 * DAY + k * 17 * MINUTE) for k in range(14)]
    both = [(*row, "in") for row in given]
    both += [("employer", f"staff-{k}", 2500.0, DAY + k * MINUTE, "OUT") for k in range(30)]
    both.sort(key=lambda row: row[3])
    return [transfer(i, whose, other, sum_, START + at, way) for i, (whose, other, sum_, at, way) in enumerate(both)]


@pytest.fixture(scope="module")
def topics(kafka: str) -> Topics:
    """Topics through which workers of this profile have gone: one to the middle of the fan-in, another to the end."""
    names = [f"{stem}.{uuid.uuid4().hex[:12]}" for stem in ("transfers", "alerts", "dead")]
    ensure_topics(kafka, {name: TopicSpec(2, {}) for name in names})
    made = with_checkpoints(Topics(kafka, *names, 2))
    lost = {"transfer_id": "x", "booked_at": START, "counterparty_id": "p", "amount": 1, "currency": "EUR"}
    anonymous = lost | {"account_id": "acc-1", "direction": "in"}
    aimless = lost | {"account_id": "acc-1", "customer_id": "c"}
    poison = [(b"key", json.dumps(value).encode()) for value in (lost, anonymous, aimless)]
    rows = transfers()
    middle = [key for key, _ in rows].index(MULE.encode()) + 40
    assert 3 < sum(key == MULE.encode() for key, _ in rows[:middle]) < 9
    for some in (rows[:middle], [*rows[middle:], *poison]):
        made.produce(some)
        settings = {"ENGINE__PROFILE": "tests.kafka.transfers:TRANSFERS", "ENGINE__CHECKPOINT_S": "1"}
        worker = WorkerProcess(made, "--exit-when-idle", "2.5", command=("stream", "worker"), **settings)
        assert worker.wait(240) == 0, worker.output()
        assert "rules alone decide" in worker.output()
    return made


def test_only_the_account_that_many_pay_into_is_told(topics: Topics) -> None:
    records = read_topic(topics.bootstrap, topics.alerts)
    alerts = [json.loads(record.value) for record in records]
    assert Counter(alert["transaction"]["account_id"] for alert in alerts) == {TOKENS.of(MULE): 5}
    assert {record.key for record in records} == {TOKENS.of(MULE).encode()}
    assert {alert["transaction"]["counterparty_id"] for alert in alerts} == {f"victim-{k}" for k in range(9, 14)}
    assert [problem for alert in alerts for problem in problems(alert, TRANSFERS.schema("alert"))] == []


def test_an_alert_speaks_the_streams_own_words(topics: Topics) -> None:
    alert = json.loads(read_topic(topics.bootstrap, topics.alerts)[-1].value)
    (reason,) = alert["reasons"]
    assert (reason["code"], reason["feature"], reason["value"]) == ("RULE_FAN_IN", "payers_24h", 14.0)
    assert set(alert["features"]) == {"payers_24h", "received_24h"}
    assert (alert["rules"], alert["outcome"], alert["score"], alert["degraded"]) == (
        ["RULE_FAN_IN"],
        "review",
        None,
        False,
    )
    said = json.dumps(alert)
    assert MULE not in said and "card_id" not in said and "merchant" not in said and "terminal" not in said


def test_dead_letters_name_the_streams_own_fields(topics: Topics) -> None:
    letters = [json.loads(record.value) for record in read_topic(topics.bootstrap, topics.dead_letters)]
    assert {(letter["stage"], letter["error"]) for letter in letters} == {
        ("validate", "account_id is missing"),
        ("validate", "customer_id is missing"),
        ("validate", "direction is missing"),
    }
