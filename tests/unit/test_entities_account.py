"""Messages about accounts: what is taken, what is refused with a reason, what is passed over."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.codec.hashing import hash_text
from stream.codec.tokens import Tokens
from stream.entities.account import EVENT_TYPES, read_events
from stream.entities.kernels import CREDENTIAL, ENROLMENT

T = 1_770_000_000_000
SKEW = 300_000
TOKENS = Tokens(b"0123456789abcdef")


def keys(cards: list[str]) -> np.ndarray:
    return TOKENS.keys_of([TOKENS[card] for card in cards])


def message(**changes: object) -> bytes:
    plain = {
        "event_id": "e1",
        "customer_id": "C1",
        "type": "login",
        "event_time": T,
        "device_id": "d1",
        "ip": "10.0.0.1",
    }
    return json.dumps({name: value for name, value in (plain | changes).items() if value is not None}).encode()


def test_keys_are_those_of_transactions() -> None:
    read = read_events([message(card_id="4000 0000 0000 0002", type="pin_change")], None, keys, SKEW)
    assert read.events.customer_key.tolist() == [hash_text("C1")]
    assert read.events.device_key.tolist() == [hash_text("d1")]
    assert read.events.card_key.tolist() == keys(["4000000000000002"]).tolist() != [0]
    assert (read.events.group.tolist(), read.events.by_card.tolist()) == ([CREDENTIAL], [True])


def test_only_a_cards_own_events_are_kept_apart() -> None:
    given_ = [message(type=kind, card_id="4000000000000002") for kind in EVENT_TYPES]
    by_card = dict(zip(EVENT_TYPES, read_events(given_, None, keys, SKEW).events.by_card.tolist(), strict=True))
    assert {kind for kind, own in by_card.items() if own} == {"pin_change", "card_reissue"}
    (alone,) = read_events([message(customer_id=None, card_id="x")], None, keys, SKEW).events.by_card.tolist()
    assert alone


def test_loosely_written_messages_are_taken() -> None:
    values = [message(event_id=7, customer_id=12), message(type="Device-Enrolment", device_id=["?"]), message(extra={})]
    values.append(message(event_time="2026-02-02T02:40:00Z"))
    read = read_events(values, None, keys, SKEW)
    assert read.refused == {} and read.events.time.tolist() == [T] * 4
    assert read.events.group.tolist() == [0, ENROLMENT, 0, 0]
    assert read.events.customer_key[0] == hash_text("12") and read.events.device_key[1] == 0


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "empty"),
        (b"\xff{", "JSON"),
        (b"[1]", "object"),
        (message(event_time="soon"), "event_time"),
        (message(event_time=None), "event_time is missing"),
        (message(event_id=""), "event_id"),
        (message(customer_id=None), "neither customer_id nor card_id"),
        (message(customer_id="x" * 300), "longer than 256"),
        (b" " * (1 << 21), "larger than"),
    ],
)
def test_what_is_no_event_is_refused_with_a_reason(value: bytes | None, said: str) -> None:
    read = read_events([message(), value, message()], None, keys, SKEW)
    assert list(read.refused) == [1] and said in read.refused[1]
    assert len(read.events) == 2 and read.ahead == 0


def test_events_ahead_of_the_log_are_refused_and_unknown_types_passed_over() -> None:
    values = [message(event_time=T + SKEW), message(event_time=T + SKEW + 1), message(type="logout"), message()]
    read = read_events(values, np.array([T, T, T, 0]), keys, SKEW)
    assert (list(read.refused), read.ahead, read.ignored, len(read.events)) == ([1], 1, 1, 2)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.binary(max_size=60)
        | st.builds(
            lambda n, v: message(**{n: v}),
            st.sampled_from(["event_id", "type", "event_time", "customer_id", "card_id", "device_id"]),
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats()
            | st.text(max_size=8)
            | st.lists(st.integers(), max_size=2),
        )
    )
)
def test_no_message_raises_and_none_is_lost(values: list[bytes]) -> None:  # fmt: skip
    read = read_events(values, np.full(len(values), T), keys, SKEW)
    assert len(read.events) + len(read.refused) + read.ignored == len(values)
