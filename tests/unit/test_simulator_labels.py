"""What becomes known, when, and how much of it is true."""

import datetime as dt
from functools import cache

import msgspec
import numpy as np

from training.data.simulator import Encoder, History, generate

DAY = 86_400_000


@cache
def history() -> History:
    return generate(bank_seed=6, seed=2, cards=1500, days=60, start=dt.datetime(2026, 1, 1), prevalence_bp=80)


def test_five_to_ten_percent_of_the_cases_are_never_reported() -> None:
    truth = history()
    cases = np.unique(truth.case[truth.fraud])
    silent = [case for case in cases if not truth.reported[truth.case == case].any()]
    assert 0.02 < len(silent) / len(cases) < 0.14
    assert not truth.reported[~truth.fraud].any()


def test_labels_arrive_after_the_transaction_in_order_of_arrival() -> None:
    labels = history().labels
    event = labels["event_time"].cast("int64").to_numpy()
    decided = labels["decided_at"].cast("int64").to_numpy()
    assert (decided > event).all()
    assert (np.diff(decided) >= 0).all()


def test_chargebacks_take_weeks_and_analysts_hours() -> None:
    labels = history().labels
    delay = (labels["decided_at"].cast("int64").to_numpy() - labels["event_time"].cast("int64").to_numpy()) / DAY
    source = np.array(labels["source"].to_pylist())
    assert 10 < np.median(delay[source == "chargeback"]) < 60
    assert delay[source == "chargeback"].max() <= 145
    assert np.median(delay[source == "analyst"]) < 5


def test_some_fraud_labels_are_friendly_fraud_and_some_are_revised() -> None:
    labels, fraud = history().labels, history().fraud
    said = np.array(labels["verdict"].to_pylist()) == "fraud"
    rows = history().decisions["row"]
    untrue = (said & ~fraud[rows]).sum() / said.sum()
    assert 0.005 < untrue < 0.15
    revised = labels.filter(np.array(labels["revision"].to_pylist()) == 1)
    assert set(revised["verdict"].to_pylist()) == {"genuine"}


def test_feedback_messages_carry_the_key_of_their_card() -> None:
    index = np.arange(20)
    keys, values = Encoder(history()).feedback(index)
    cards = history().labels["card_id"].to_pylist()[:20]
    assert keys == [card.encode() for card in cards]
    assert all(b'"decided_at":"2026-' in value for value in values)


def test_labels_name_whom_they_concern() -> None:
    labels = history().labels
    rows = history().table().take(history().decisions["row"])
    for name in ("transaction_id", "card_id", "merchant_id", "terminal_id", "device_id", "event_time"):
        assert labels[name].to_pylist() == rows[name].to_pylist(), name
    _, values = Encoder(history()).feedback(np.arange(len(labels)))
    said = msgspec.json.decode(values[-1])
    last = labels.slice(len(labels) - 1).to_pylist()[0]
    assert {name: said.get(name) for name in ("merchant_id", "terminal_id", "device_id")} == {
        name: last[name] for name in ("merchant_id", "terminal_id", "device_id")
    }
