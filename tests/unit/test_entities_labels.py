"""Labels: one stated outcome for each that is early, double, contradicting or no label at all."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import pytest
from entities_cases import BEGIN
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.codec.hashing import hash_text
from stream.entities.hours import DAY_HOURS, HOUR
from stream.entities.labels import LABEL, Label, apply_labels, decode_label
from stream.entities.partials import Partials
from stream.errors import DecodeError
from stream.state.table import Table

DAY = 24 * HOUR
CLOCK = BEGIN + 60 * DAY


def message(**fields: Any) -> bytes:
    base = {"transaction_id": "t1", "card_id": "c", "merchant_id": "m", "terminal_id": "k", "event_time": BEGIN}
    base |= {"verdict": "fraud", "source": "customer", "decided_at": BEGIN + 20 * DAY}
    return json.dumps({name: value for name, value in (base | fields).items() if value is not None}).encode()


def label(offset: int = 0, **fields: Any) -> Label:
    return decode_label(message(**fields), offset)


def outcomes(*labels: Label, clock: int = CLOCK) -> tuple[dict[str, int], list[tuple[int, int]]]:
    """Outcomes, and the changes to the merchant's frauds as (hour, delta)."""
    applied = apply_labels(Table(LABEL, 1024), labels, clock)
    merchant = [(hour, delta) for hour, kind, _, _, delta in applied.deltas if kind == 0]
    return {name: n for name, n in applied.outcomes.items() if n}, merchant


def test_the_first_label_counts_when_it_may_be_known() -> None:
    late = (BEGIN + 20 * DAY) // HOUR
    assert outcomes(label()) == ({"applied": 1}, [(late, 1)])
    assert outcomes(label(decided_at=BEGIN)) == ({"applied": 1}, [((BEGIN + 7 * DAY) // HOUR, 1)])
    assert outcomes(label(verdict="genuine")) == ({"applied": 1}, [])
    assert label().keys == (hash_text("m"), hash_text("k")) and label(terminal_id=None).keys[1] == 0


def test_an_early_label_counts_like_any_other_and_is_told() -> None:
    found, changes = outcomes(label(), clock=BEGIN - HOUR)
    assert found == {"applied": 1, "early": 1} and changes == outcomes(label())[1]


def test_a_double_label_changes_nothing() -> None:
    assert outcomes(label(), label(1), label(2)) == ({"applied": 1, "double": 2}, outcomes(label())[1])
    assert outcomes(label(), label(1, source="analyst"))[0] == {"applied": 1, "confirming": 1}


def test_a_contradicting_label_counts_by_trust_then_revision_then_time() -> None:
    hour = (BEGIN + 20 * DAY) // HOUR
    genuine = {"verdict": "genuine", "decided_at": BEGIN + 21 * DAY}
    won = ({"applied": 1, "contradicting": 1}, [(hour, 1), (hour + DAY_HOURS, -1)])
    assert outcomes(label(), label(1, source="chargeback", **genuine)) == won
    assert outcomes(label(), label(1, revision=1, **genuine)) == won
    assert outcomes(label(), label(1, **genuine)) == won
    lost = ({"applied": 1, "contradicting": 1}, [(hour, 1)])
    assert outcomes(label(), label(1, source="rule", revision=9, **genuine)) == lost
    assert outcomes(label(revision=2), label(1, revision=1, **genuine)) == lost


def test_the_verdict_does_not_depend_on_the_order_of_arrival() -> None:
    told = [
        label(),
        label(1, source="analyst", verdict="genuine"),
        label(2, source="analyst", revision=1),
        label(3, source="rule", verdict="genuine", revision=7),
    ]
    assert {sum(delta for _, delta in outcomes(*order)[1]) for order in permutations(told)} == {1}


@pytest.mark.parametrize(
    "value",
    [None, b"", b"{", b"[]", b"\xff", b"[" * 100_000, message(verdict="maybe"), message(source="me"),
     message(card_id=""), message(event_time="soon"), message(decided_at=None),
     message(revision=-1), message(transaction_id=None),
     message(event_time=1e300)],
)  # fmt: skip
def test_what_is_no_label_is_refused(value: bytes | None) -> None:
    with pytest.raises(DecodeError) as refused:
        decode_label(value, 0)
    assert refused.value.stage == "feedback"


@given(st.lists(st.integers(0, 3 * 24), min_size=1, max_size=8))
@settings(max_examples=30, deadline=None)
def test_the_speed_of_the_two_topics_makes_no_difference(reads: list[int]) -> None:
    """Labels may be read any time before the hour closes in which they become visible."""
    labels = [
        label(i, transaction_id=f"t{i}", decided_at=BEGIN + (3 + i) * DAY, event_time=BEGIN - 9 * DAY) for i in range(8)
    ]
    rows = []
    for at in ([0] * 8, reads * 8):
        partials, table = Partials(), Table(LABEL, 1024)
        for hour in range(12 * 24):
            now = BEGIN + hour * HOUR
            due = [one for one, when in zip(labels, at, strict=False) if when == hour]
            partials.add_labels(apply_labels(table, due, now).deltas, now)
            partials.close(now)
        rows.append([(b.hour, b.keys.tolist(), b.counts.tolist()) for b in partials.rows() if len(b)])
    assert rows[0] == rows[1] and len(rows[0]) == 8


def test_a_label_read_again_after_a_crash_keeps_clear_of_hours_that_were_told_without_it() -> None:
    told = int((BEGIN + 22 * DAY) // HOUR)
    applied = apply_labels(Table(LABEL, 1024), [label(5)], CLOCK, floor=lambda offset: told + (offset > 4))
    assert {hour for hour, *_ in applied.deltas} == {told + 1}
