"""Transactions in, alerts out: poison costs only itself, and the cut of the stream changes nothing."""

from __future__ import annotations

import random
from typing import Any

import msgspec
from fakes import SOURCE, START, FakePanel, FakeRecord, message, pipeline, records, run

from stream.advance import new_arena
from stream.events import TP, Alert
from stream.pipeline import Chunk, Outcome

DAY = 86_400_000


def history(cards: int = 3, count: int = 30) -> list[bytes | None]:
    """Everyday purchases of some cards, then one that is large for each, with poison in between."""
    values: list[bytes | None] = [
        message(i, card_id=f"card-{i % cards}", amount=20.0 + i % 7) for i in range(count * cards)
    ]
    values[10:10] = [b"{", None]
    for i in range(cards):
        values.append(message(count * cards + i, card_id=f"card-{i}", amount=900.0, merchant_id="jeweller"))
        values.append(message(0, currency="???"))
    return values


def alerts(outcomes: list[Outcome]) -> list[Alert]:
    return [alert for outcome in outcomes for alert in outcome.alerts]


def told(outcomes: list[Outcome]) -> list[dict[str, Any]]:
    """All that an alert tells but the time of its detection."""
    found = [msgspec.to_builtins(alert) for alert in alerts(outcomes)]
    for alert in found:
        del alert["detected_at"]
    return found


def test_each_large_purchase_is_one_explained_alert_and_poison_one_dead_letter() -> None:
    outcomes = run(pipeline(), records(history()), 25)
    assert [alert.source.offset for alert in alerts(outcomes)] == [92, 94, 96]
    assert [alert.reasons[0].code for alert in alerts(outcomes)] == ["AMOUNT_VS_MEAN"] * 3
    assert [(dead.offset, dead.stage) for o in outcomes for dead in o.dead] == [
        (10, "decode"), (11, "decode"), (93, "validate"), (95, "validate"), (97, "validate"),
    ]  # fmt: skip
    assert sum(outcome.transactions for outcome in outcomes) == 93
    assert [(o.first_offset, o.next_offset) for o in outcomes] == [(0, 25), (25, 50), (50, 75), (75, 98)]


def test_the_cut_of_the_stream_changes_nothing() -> None:
    given = records(history())
    whole = told(run(pipeline(), given, 1000))
    rng = random.Random(3)
    made, cut, at = pipeline(), [], 0
    while at < len(given):
        size = rng.randrange(1, 12)
        cut += made.complete(made.prepare([Chunk(SOURCE, given[at : at + size])]))
        at += size
    assert told(cut) == whole and len(whole) == 3


def test_partitions_of_one_batch_do_not_touch_each_other() -> None:
    other, given = TP("fraud.transactions", 1), records(history())
    made = pipeline()
    made.open(other, new_arena(capacity=64))
    both = made.complete(made.prepare([Chunk(SOURCE, given), Chunk(other, given)]))
    assert [outcome.tp for outcome in both] == [SOURCE, other]
    mine, theirs = ([(a.source.offset, a.score) for a in outcome.alerts] for outcome in both)
    assert mine == theirs and len({a.alert_id for a in alerts(both)}) == 6
    assert [len(outcome.dead) for outcome in both] == [5, 5]


def test_an_empty_chunk_moves_nothing() -> None:
    (outcome,) = run(pipeline(), [FakeRecord(b"{")])
    assert (outcome.next_offset, len(outcome.dead), outcome.transactions) == (1, 1, 0)
    made = pipeline()
    (nothing,) = made.complete(made.prepare([Chunk(SOURCE, [])]))
    assert (nothing.first_offset, nothing.next_offset, nothing.alerts) == (0, 0, [])


def test_a_duplicate_alerts_nothing_and_is_counted() -> None:
    values: list[bytes | None] = [message(i) for i in range(12)]
    big = message(12, amount=900.0)
    outcomes = run(pipeline(), records([*values, big, big, big]), 14)
    assert (len(alerts(outcomes)), sum(o.duplicates for o in outcomes)) == (1, 2)


def test_late_and_future_events_are_scored_flagged_and_counted() -> None:
    values: list[bytes | None] = [message(i) for i in range(12)]
    late = message(13, event_time="1970-01-01T00:00:00Z", amount=900.0, merchant_id="x")
    future = message(14, event_time="2100-01-01T00:00:00Z", amount=900.0, merchant_id="y")
    given = [FakeRecord(v, i, START + DAY) for i, v in enumerate([*values, late, future])]
    (outcome,) = run(pipeline(), given)
    assert (outcome.late, outcome.clock_skew, outcome.dead) == (1, 1, [])
    flags = [(alert.source.offset, alert.late, alert.clock_skew, alert.event_time) for alert in outcome.alerts]
    assert flags == [(12, True, False, "1970-01-01T00:00:00.000Z"), (13, False, True, "2026-01-02T00:00:00.000Z")]


def test_lower_thresholds_give_more_alerts_and_another_panel_hash() -> None:
    given = records(history())
    usual, eager = pipeline(), pipeline(decision={"review_threshold": 1e-4})
    assert len(alerts(run(usual, given))) < len(alerts(run(eager, given)))
    assert usual.panel_hash != eager.panel_hash


def test_alerts_are_explained_in_two_batches_whatever_their_number() -> None:
    panel = FakePanel()
    (outcome,) = run(pipeline(panel), records(history()))
    assert len(outcome.alerts) == 3 and len(panel.calls) == 3
