"""The fast lane takes what is plain, leaves what is not, and never says anything else than the careful way."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fakes import message
from scan_pairs import Pair

PAIR = Pair()
FULL: dict[str, Any] = {
    "transaction_id": "t-1", "event_time": "2026-03-01T23:59:59.123+05:30", "card_id": "4111111111111111",
    "merchant_id": "shop-1", "amount": 12.34, "currency": "USD", "customer_id": "c-1", "terminal_id": "T1",
    "type": "purchase", "amount_base": 11.9, "response_code": "05", "mcc": "5812", "bin": "411111", "country": "JP",
    "channel": "ecom", "entry_mode": "keyed", "three_ds": "authenticated", "cvv_result": "match",
    "avs_result": "not_provided", "device_id": "d-1", "ip": "10.0.0.1", "ip_country": "BR", "latitude": -35.5,
    "longitude": 139.25, "card_opened_at": "2020-01-01T00:00:00Z", "account_opened_at": 1_500_000_000,
}  # fmt: skip
COMPACT = json.dumps(FULL, separators=(",", ":")).encode()


def changed(**fields: Any) -> bytes:
    return json.dumps(FULL | fields).encode()


def written(name: str, literal: str) -> bytes:
    """The message with a field's value written exactly so."""
    return changed(**{name: "@"}).replace(b'"@"', literal.encode())


TAKEN = {
    "compact": COMPACT,
    "spaced": changed(),
    "indented": json.dumps(FULL, indent="\t").encode() + b" \r\n",
    "other order": json.dumps(dict(reversed(FULL.items()))).encode(),
    "required only": message(),
    "nulls": changed(**dict.fromkeys(list(FULL)[6:])),
    "unknown plain fields": changed(note="hello", weight=-1.5e3, flag=True, gone=None, other=False, n=0),
    "amount as a text": changed(amount="12.34"),
    "refund": changed(type="refund", amount=-5),
    "negative amount": changed(amount=-5),
    "amount too large": changed(amount=2e12, amount_base=None),
    "unknown currency": changed(currency="XXX", amount_base=None),
    "blank words": changed(type="", channel="", country="", response_code="", mcc=""),
    "odd words": changed(type="SALE", channel=" Web", country="de", mcc="58x", entry_mode="by carrier pigeon"),
    "blank ids": changed(transaction_id="", terminal_id="", device_id=""),
    "blank card": changed(card_id=""),
    "grouped card": changed(card_id="4111 1111-1111 1111"),
    "mcc as a number": changed(mcc=742),
    "seconds": changed(event_time=1_770_000_000, card_opened_at=0),
    "milliseconds": changed(event_time=1_770_000_000_123),
    "microseconds": changed(event_time=1_770_000_000_123_456),
    "no offset": changed(event_time="2026-03-01 23:59"),
    "only a date": changed(event_time="2026-03-01", account_opened_at="2026-03-02"),
    "latitude off the globe": changed(latitude=91, longitude=-180.5),
    "exponents": written("amount", "1.25E+2").replace(b"139.25", b"1e-22"),
    "small": written("amount", "0.0001"),
}
DECLINED = {
    "escape": written("merchant_id", '"a\\u0041"'),
    "escaped name": COMPACT.replace(b'"amount"', b'"\\u0061mount"'),
    "not ASCII": changed(merchant_id="x").replace(b'"x"', '"café"'.encode()),
    "control character": written("merchant_id", '"a\tb"'),
    "nested": changed(extra={"a": 1}),
    "list": changed(extra=[1]),
    "field twice": COMPACT[:-1] + b',"amount":1}',
    "required field missing": changed(currency=None).replace(b'"currency": null, ', b""),
    "required field null": changed(currency=None),
    "number as id": changed(merchant_id=12),
    "text as number": changed(latitude="12"),
    "true as amount": changed(amount=True),
    "float as time": changed(event_time=1_770_000_000.5),
    "float as mcc": changed(mcc=58.5),
    "negative mcc": changed(mcc=-5),
    "54 bits": written("amount", "9007199254740993"),
    "19 digits": written("amount", "1.000000000000000001"),
    "scale of 23": written("amount", "1e-23"),
    "overflow": written("amount", "1e999"),
    "leading zero": written("amount", "012"),
    "bare point": written("amount", "1."),
    "plus": written("amount", "+1"),
    "negative zero": written("latitude", "-0.0"),
    "text with a blank": changed(amount=" 1"),
    "time in words": changed(event_time="soon"),
    "30 February": changed(event_time="2026-02-30T00:00:00Z"),
    "long card": changed(card_id="7" * 65),
    "long word": changed(channel="x" * 25),
    "trailing comma": COMPACT[:-1] + b",}",
    "trailing data": COMPACT + b"1",
    "two objects": COMPACT + COMPACT,
    "byte order mark": b"\xef\xbb\xbf" + COMPACT,
    "empty object": b"{}",
    "empty": b"",
    "nothing": None,
    "large": changed(note="x" * 8192),
}  # fmt: skip


@pytest.mark.parametrize("name", TAKEN)
def test_plain_messages_are_taken(name: str) -> None:
    assert PAIR.declined([COMPACT, TAKEN[name]]) == []
    PAIR.same([COMPACT, TAKEN[name], COMPACT])


@pytest.mark.parametrize("name", DECLINED)
def test_other_messages_are_left_to_the_careful_way(name: str) -> None:
    assert PAIR.declined([COMPACT, DECLINED[name], COMPACT]) == [1]
    PAIR.same([COMPACT, DECLINED[name], COMPACT])


def test_nothing_is_taken_from_the_next_message() -> None:
    values: list[bytes | None] = []
    for cut in range(1, len(COMPACT)):
        values += [COMPACT[:cut], COMPACT[cut:]]
    assert PAIR.declined(values) == list(range(len(values)))
    PAIR.same([*values, COMPACT])


def test_an_empty_batch_is_fine() -> None:
    PAIR.same([])
