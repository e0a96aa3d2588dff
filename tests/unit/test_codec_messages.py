"""Single messages: scored where they can be, else a dead letter, and never at the cost of a neighbour."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from fakes import SOURCE, FakeRecord, message, records, settings

from stream.codec import Codec, Decoded
from stream.codec.codec import MESSAGE_MAX


def decode(*values: bytes | None, **overrides: Any) -> Decoded:
    return Codec(settings(**overrides)).decode(records(list(values)), SOURCE)


POISON: dict[str, tuple[bytes | None, str, str]] = {
    "empty": (b"", "decode", "empty value"),
    "tombstone": (None, "decode", "empty value"),
    "not JSON": (b"hello", "decode", "malformed"),
    "truncated": (message()[:-5], "decode", "truncated"),
    "not UTF-8": (message().replace(b"shop-1", b"\xff\xfe"), "decode", "utf-8"),
    "a list": (b"[" + message() + b"]", "decode", "not an object"),
    "null": (b"null", "decode", "not an object"),
    "deep nesting": (b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "decode", "deep"),
    "10 MB": (message(note="x" * 10_000_000), "decode", "larger than"),
    "lone surrogate": (message().replace(b"shop-1", b"\\ud800"), "decode", "surrogate"),
    "no card": (message(card_id=None), "validate", "card_id is missing"),
    "blank card": (message(card_id="  "), "validate", "card_id is empty"),
    "card is a list": (message(card_id=[1]), "validate", "card_id"),
    "huge id": (message(transaction_id="x" * 9000), "validate", "transaction_id"),
    "amount is true": (message(amount=True), "validate", "amount"),
    "amount overflows": (message(amount="1e999"), "validate", "amount"),
    "amount is NaN": (message(amount=float("nan")), "validate", "amount"),
    "amount has 400 digits": (message().replace(b"20.0", b"1" + b"0" * 400), "validate", "amount"),
    "time is a word": (message(event_time="soon"), "validate", "event_time"),
    "time is 1e30": (message(event_time=10**30), "validate", "event_time"),
    "unknown currency": (message(currency="XXX"), "validate", "currency 'XXX' is unknown"),
}


@pytest.mark.parametrize("name", POISON)
def test_poison_becomes_a_dead_letter_and_costs_only_itself(name: str) -> None:
    value, stage, error = POISON[name]
    decoded = decode(message(1), value, message(2))
    assert [row.transaction_id for row in decoded.rows] == ["t1", "t2"]
    assert decoded.index.tolist() == [0, 2] and len(decoded.columns) == 2
    (dead,) = decoded.dead
    assert (dead.stage, dead.offset, dead.payload_size) == (stage, 1, len(value or b""))
    assert error in dead.error and len(dead.error) <= 300 and len(dead.payload) <= 65_536
    assert dead.payload_sha256 == hashlib.sha256(value or b"").hexdigest()


SCORED: dict[str, bytes] = {
    "numeric ids": message(card_id=4111111111111111, merchant_id=7, transaction_id=12),
    "wrong optional types": message(mcc=[1], latitude="north", device_id={"a": 1}, country=5, card_opened_at=True),
    "NaN where optional": message(latitude=float("nan")),
    "a text as amount": message(amount="20.00"),
    "year 1970": message(event_time="1970-01-01T00:00:00Z"),
    "year 2100": message(event_time="2100-01-01T00:00:00Z"),
    "a reversal": message(type="reversal", amount=-20),
    "unknown fields, nested": message(extra={"a": [[[]]]}),
    "duplicate keys": message()[:-1] + b',"amount":20.0,"amount":20.0}',
    "a long note": message(note="x" * 100_000),
    "a long optional field": message(ip="1" * 9000),
}


@pytest.mark.parametrize("name", SCORED)
def test_what_can_be_scored_is_scored(name: str) -> None:
    decoded = decode(SCORED[name])
    assert not decoded.dead
    assert decoded.columns.amount_minor.tolist() == [2000]


def test_a_message_at_the_limit_is_read() -> None:
    value = message(note="x" * (MESSAGE_MAX - len(message(note=""))))
    assert len(value) == MESSAGE_MAX and len(decode(value).rows) == 1


def test_a_record_without_a_timestamp_is_not_judged_by_it() -> None:
    record = FakeRecord(message(event_time="2100-01-01"), timestamp=-1)
    assert Codec(settings()).decode([record], SOURCE).columns.flags.tolist() == [0]


def test_foreign_names_are_mapped() -> None:
    theirs = {"Id": "t9", "When": 1_767_225_600, "Card": {"Number": "c"}, "Shops": [{"Id": 5}], "Cents": 1250}
    fields = {"transaction_id": "Id", "event_time": "When", "card_id": "Card.Number", "merchant_id": "Shops.0.Id"}
    mapping = {"fields": fields | {"amount": "Cents"}, "constants": {"currency": "USD"}, "amount_unit": "minor"}
    decoded = decode(json.dumps(theirs).encode(), b'{"Id":"t"}', mapping=mapping)
    assert (decoded.rows[0].merchant_id, decoded.rows[0].amount) == ("5", 12.5)
    assert decoded.columns.amount_minor.tolist() == [1147]
    assert (decoded.dead[0].stage, "'When'" in decoded.dead[0].error) == ("mapping", True)
