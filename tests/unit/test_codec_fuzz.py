"""Whatever comes in, every record ends as one row or one dead letter."""

from __future__ import annotations

import json
import random

from fakes import SOURCE, message, records, settings
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from stream.codec import Codec
from stream.codec.columns import FIELDS
from stream.events import Transaction

CODEC = Codec(settings())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.sampled_from(["EUR", "refund"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
TRANSACTIONS = st.builds(
    lambda changes: {**json.loads(message()), **changes},
    st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=8),
).map(lambda body: json.dumps(body).encode())
DAMAGED = st.builds(
    lambda value, at, junk: value[: at % len(value)] + junk + value[at % len(value) :],
    TRANSACTIONS, st.integers(0, 10_000), st.binary(max_size=6),
)  # fmt: skip
VALUES = st.one_of(st.none(), st.binary(max_size=40), TRANSACTIONS, TRANSACTIONS, DAMAGED)


def test_thousands_of_damaged_messages_end_as_rows_or_dead_letters() -> None:
    rng = random.Random(7)
    odd = [
        None,
        True,
        -1,
        0,
        1e300,
        -1e-300,
        10**25,
        "",
        " ",
        "NaN",
        "1e999",
        "\x00",
        "é" * 40,
        [],
        {},
        [[1]],
        {"a": {}},
    ]
    damaged: list[bytes | None] = []
    for number in range(4000):
        body = json.loads(message(number))
        for name in rng.sample(FIELDS, rng.randrange(4)):
            body[name] = rng.choice(odd)
        value = bytearray(json.dumps(body).encode())
        for _ in range(rng.choice([0, 0, 1, 3])):
            value[rng.randrange(len(value))] = rng.randrange(256)
        damaged.append(bytes(value[: rng.choice([len(value)] * 4 + [rng.randrange(len(value))])]))
    for start in range(0, len(damaged), 100):
        check(damaged[start : start + 100])


@limits(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(VALUES, min_size=4, max_size=10))
def test_every_record_is_a_row_or_a_dead_letter(values: list[bytes | None]) -> None:
    check(values)


def check(values: list[bytes | None]) -> None:
    decoded = CODEC.decode(records([message(1), *values, message(2)]), SOURCE)
    places = sorted([*decoded.index.tolist(), *(dead.offset for dead in decoded.dead)])
    assert places == list(range(len(values) + 2))
    assert decoded.rows[0].transaction_id == "t1" and decoded.rows[-1].transaction_id == "t2"
    assert len(decoded.rows) == len(decoded.cards) == len(decoded.columns)
    assert all(isinstance(row, Transaction) for row in decoded.rows)
    assert (decoded.columns.amount_minor >= 0).all()
