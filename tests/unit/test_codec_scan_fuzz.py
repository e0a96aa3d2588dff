"""Whatever is done to a message, the fast lane says the same as the careful way."""

from __future__ import annotations

import json
import random
from datetime import datetime

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st
from scan_pairs import Pair

from stream.codec.columns import FIELDS
from training.data.simulator import Encoder, generate

PAIR = Pair()
SYMBOLS = b'0123456789"\\{}[],:.-+eE \n\ttfnuZ\x00\x1f\x7f\xc3'

DIGITS = st.text("0123456789", min_size=1, max_size=20)
NUMBERS = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["", "", "", "-", "+"]), DIGITS, st.one_of(st.just(""), DIGITS.map(".".__add__)),
        st.one_of(st.just(""), st.just(""), st.builds("{}{}".format, st.sampled_from(["e", "E", "e-", "e+"]), DIGITS)),
    ),
)  # fmt: skip
TIMES = st.one_of(
    st.datetimes().map(str),
    st.builds(
        "{}{:+03d}:{:02d}".format, st.datetimes().map(datetime.isoformat), st.integers(-25, 25), st.integers(0, 61)
    ),
    st.datetimes().map(lambda moment: moment.isoformat(timespec="milliseconds") + "Z"),
    st.text("0123456789-:T.Z+ ", max_size=30),
).map(json.dumps)
WORDS = st.sampled_from(
    ["", "EUR", "usd ", "JPY", "refund", "Cash", "pos", "GB", "zz", "00", "05", "5812", "y", "match"]
)
LITERALS = st.one_of(
    NUMBERS, NUMBERS.map('"{}"'.format), TIMES, WORDS.map(json.dumps), st.text(max_size=30).map(json.dumps),
    st.sampled_from(["null", "true", "nul", "{}", "[]", '""', "1e5", "0", "-0", '"\x7f"']),
)  # fmt: skip
BASE = {"transaction_id": '"t"', "event_time": "1700000000", "card_id": '"c"', "merchant_id": '"m"', "amount": "1"}
MESSAGES = st.builds(
    lambda changes, gap: ("{" + f",{gap}".join(f'"{k}":{gap}{v}' for k, v in (BASE | changes).items()) + "}").encode(),
    st.dictionaries(st.sampled_from([*FIELDS, "note"]), LITERALS, max_size=6).map(lambda c: {"currency": '"EUR"'} | c),
    st.sampled_from(["", " ", "\n"]),
)


@pytest.fixture(scope="module")
def simulated() -> list[bytes]:
    history = generate(bank_seed=5, seed=1, cards=300, days=12)
    messages: list[bytes] = Encoder(history).values(np.arange(min(4000, len(history))))
    return messages


def test_simulated_messages_are_all_taken(simulated: list[bytes]) -> None:
    assert len(simulated) > 1000 and PAIR.declined([*simulated]) == []
    PAIR.same([*simulated])


def test_damaged_messages(simulated: list[bytes]) -> None:
    rng = random.Random(11)
    damaged: list[bytes | None] = []
    for value in simulated * 2:
        body = bytearray(value)
        for _ in range(rng.choice((1, 1, 2, 4))):
            at, kind = rng.randrange(len(body)), rng.random()
            if kind < 0.5:
                body[at] = rng.choice(SYMBOLS)
            elif kind < 0.65:
                del body[at : at + rng.randint(1, 4)]
            elif kind < 0.8:
                body[at:at] = rng.choices(SYMBOLS, k=rng.randint(1, 3))
            else:
                body[at:at] = body[-rng.randint(1, len(body)) :][: rng.randint(1, 30)]
        damaged.append(bytes(body))
    declined = PAIR.declined(damaged)
    assert 0.2 < len(declined) / len(damaged) < 0.9
    for start in range(0, len(damaged), 500):
        PAIR.same(damaged[start : start + 500])


@limits(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(MESSAGES, min_size=1, max_size=12))
def test_generated_messages(values: list[bytes]) -> None:
    PAIR.declined([*values])
    PAIR.same([*values])
