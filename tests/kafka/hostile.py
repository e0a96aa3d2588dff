"""Messages that no honest feed would send: wrong in their bytes, their JSON, their types, their values or their card.

All of them name cards of their own (``evil-…``), so that they must not change how any other card is decided.
"""

from __future__ import annotations

import gzip
import json
import random
import struct
import time
from typing import Any

OPTIONAL = ("customer_id", "terminal_id", "type", "amount_base", "response_code", "mcc", "bin", "country", "channel")
OPTIONAL += ("entry_mode", "three_ds", "cvv_result", "avs_result", "device_id", "ip", "ip_country", "latitude")
OPTIONAL += ("longitude", "card_opened_at", "account_opened_at")
REQUIRED = ("transaction_id", "event_time", "card_id", "merchant_id", "amount", "currency")
PANS = ("4111111111111111", "378282246310005", "5555 5555 5555 4444", "6011-1111-1111-1117", "30569309025904")
TIMES: tuple[Any, ...] = (
    "1970-01-01T00:00:00Z", "2100-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z", "0000-01-01",
    "2016-12-31T23:59:60Z", "2026-02-30T00:00:00Z", "2026-01-01T00:00:00+14:00", "2026-01-01T00:00:00-23:59",
    "2026-01-01T00:00:00+99:99", "2026-01-01", "yesterday", "", 0, -1, 1e300, 10**30, 4111111111111111, True, [], {},
)  # fmt: skip
ODD: tuple[Any, ...] = (
    None, True, False, -1, 0, 1e300, 10**25, -(2**63), 2**64, "", " ", "NaN", "1e999", "0x10", "\x00", "a\x00b",
    "é" * 40, "٣", "x" * 256, "x" * 257, "\ud800", "a\tb", "\u202e", [], {}, [[1]], {"a": {}}, *PANS, 4111111111111111,
)  # fmt: skip
LITERALS = (
    b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"01", b"1.", b".5", b"+1", b"-0.0", b"nul", b"'x'", b"[",
    b"{", b'"', b'"\\ud800"', b'"\xff"', b'"a\nb"', b'"\\x"', b'"\xed\xa0\x80"', b"1e-400", b"9" * 400, b"9" * 5000,
)  # fmt: skip
SIZES = 1 << 20


def body(rng: random.Random, number: int) -> dict[str, Any]:
    """One plain transaction of a hostile card."""
    return {
        "transaction_id": f"evil-{number}",
        "event_time": int(time.time() * 1000) - rng.randrange(7_200_000),
        "card_id": f"evil-{rng.randrange(40)}",
        "merchant_id": f"m{rng.randrange(20)}",
        "amount": round(rng.lognormvariate(3, 2), 2),
        "currency": "EUR",
    }


def encoded(message: Any) -> bytes:
    return json.dumps(message, ensure_ascii=False).encode("utf-8", "surrogatepass")


def wrong_values(rng: random.Random, message: dict[str, Any]) -> bytes:
    """Fields of wrong types, texts and ranges."""
    for name in rng.sample(REQUIRED + OPTIONAL, rng.randrange(1, 5)):
        if name == "card_id":
            message[name] = rng.choice(
                (rng.randrange(9), "e", " evil card ", "", None, [], {}, 1.5, True, "evil\x00", "\ud800")
            )
        else:
            message[name] = rng.choice(TIMES if name.endswith(("_time", "_at")) else ODD)
    return encoded(message)


def wrong_literals(rng: random.Random, message: dict[str, Any]) -> bytes:
    """Values that are no JSON, or only somebody's."""
    value, name = encoded(message), rng.choice((*REQUIRED, "mcc", "note"))
    message.pop(name, None)
    return encoded(message)[:-1] + b',"%b":%b}' % (name.encode(), rng.choice(LITERALS)) if rng.random() < 0.9 else value


def wrong_form(rng: random.Random, message: dict[str, Any]) -> bytes:
    """JSON that is no object, or an object and more."""
    value = encoded(message)
    return rng.choice((
        b"[" + value + b"," + value + b"]", encoded(value.decode()), b"42", b"null", b"true", b"\xef\xbb\xbf" + value,
        value + value, value + b"\x00", b"\x00" + value, value[:-1] + b',"amount":-5}',
        value[:-1] + b',"card_id":"evil-dup"}',
        b'{"a":' * 10_000 + value + b"}" * 10_000, b"[" * 20_000, value[:-1] + b',"x":' + b"[" * 10_000 + b"NaN}",
        b"{}", b"", b" ", b"\n", value.upper(), value.replace(b'"', b"'"), value.decode().encode("utf-16"),
    ))  # fmt: skip


def wrong_bytes(rng: random.Random, message: dict[str, Any]) -> bytes:
    """No JSON at all, or JSON that was damaged on its way."""
    value = encoded(message)
    kind = rng.randrange(5)
    if kind == 0:
        return rng.randbytes(rng.randrange(1, 300))
    if kind == 1:
        return value[: rng.randrange(len(value))]
    if kind == 2:
        return gzip.compress(value)
    if kind == 3:
        return b"\x00" + struct.pack(">i", 7) + b"\x20" + b"evil-avro" + rng.choice(PANS).encode()
    damaged = bytearray(value)
    for _ in range(rng.choice((1, 2, 5))):
        damaged[rng.randrange(len(damaged))] = rng.choice((rng.randrange(256), 34, 44, 123, 125, 0))
    return bytes(damaged)


def telling(rng: random.Random, message: dict[str, Any]) -> bytes:
    """Card numbers where none belong."""
    name = rng.choice(("merchant_id", "customer_id", "device_id", "ip", "transaction_id", "mcc", "currency", "note"))
    message[name] = rng.choice((*PANS, 4111111111111111, f"ref {rng.choice(PANS)}!", f"{rng.choice(PANS)}\n"))
    message["amount"] = rng.choice((message["amount"], 99_000.0, "many", rng.choice(PANS)))
    return encoded(message)


def repeated(rng: random.Random, message: dict[str, Any]) -> bytes:
    """Ids again, on the same card and on others; money that goes back; currencies that nobody has."""
    message["transaction_id"] = f"again-{rng.randrange(30)}"
    message["type"] = rng.choice(("purchase", "reversal", "refund", "REFUND", "?"))
    message["amount"] *= rng.choice((1, 1, -1))
    message["currency"] = rng.choice(("EUR", "eur", "XXX", "€", ""))
    return encoded(message)


def large(rng: random.Random, message: dict[str, Any]) -> bytes:
    """Large where nothing large belongs."""
    name = rng.choice(("transaction_id", "merchant_id", "card_id", "note"))
    return encoded({**message, name: rng.choice(("evil", "4111111111111111 ")) * rng.choice((2_000, 20_000, 60_000))})


KINDS = (wrong_values, wrong_literals, wrong_form, wrong_bytes, telling, repeated)


def hostile(count: int, seed: int) -> list[bytes | None]:
    """A seeded mix; one in 200 is a tombstone, one in 400 large."""
    rng = random.Random(seed)
    values: list[bytes | None] = []
    for number in range(count):
        message = body(rng, number)
        if number % 200 == 7:
            values.append(None)
        else:
            values.append((large if number % 400 == 9 else rng.choice(KINDS))(rng, message))
    return values


def huge() -> list[bytes]:
    """Ten megabytes each, and a million brackets."""
    card = encoded({**body(random.Random(0), 0), "note": "4111111111111111 " * (10 * SIZES // 17)})
    return [card, card[: 10 * SIZES - 1], b"[" * SIZES, b'{"a":' * (SIZES // 6), b"\x00" * (3 * SIZES), b"1" * SIZES]
