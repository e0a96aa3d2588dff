"""A stream with names of its own is read, mapped, told and counted by them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np
import pytest
from builders import START, columns_from
from fakes import SOURCE, message, records, settings

from stream.advance import Book, advance, broadcast, new_arena
from stream.codec import Codec
from stream.codec.hashing import hash_column, hash_text
from stream.codec.roles import CARD_ROLES, Roles
from stream.entities.account import read_events
from stream.entities.labels import Message, decode_label
from stream.entities.merged import Merged
from stream.errors import SettingError
from stream.events import Transaction
from stream.features import ENTITIES, FAMILIES
from stream.features.driver import Program
from stream.features.kernel import kernel
from stream.features.registry import Entity, Family, Feature
from stream.profile import CARDS, StreamProfile

OWN = Roles(dict(CARD_ROLES.names) | {"card_id": "account_id", "merchant_id": "shop"}, required=("country",))
PROFILE = StreamProfile("own", OWN, ENTITIES, FAMILIES, CARDS.rules)


def test_names_and_required_fields_are_those_of_the_profile() -> None:
    codec = Codec(settings(), OWN)
    own = {"card_id": None, "merchant_id": None, "account_id": "a-1", "shop": "s", "country": "DE"}
    good = message(**own)
    decoded = codec.decode(
        records([good, message(**(own | {"country": None})), message(), message(**(own | {"shop": ""}))]), SOURCE
    )
    assert [row.card_id for row in decoded.rows] == ["a-1"]
    assert [letter.error for letter in decoded.dead] == ["country is missing", "account_id is missing", "shop is empty"]
    assert codec._scanner is not None and codec._scanner.scan([good]).declined == []


def test_settings_map_from_the_names_of_the_profile() -> None:
    mapping = {"fields": {"account_id": "konto.nr"}, "constants": {"shop": "own shop"}}
    codec = Codec(settings(mapping=mapping), OWN)
    decoded = codec.decode(records([message(card_id=None, konto={"nr": "a-2"}, country="DE"), message()]), SOURCE)
    assert [(row.card_id, row.merchant_id) for row in decoded.rows] == [("a-2", "own shop")]
    assert decoded.dead[0].error == "account_id is read from 'konto.nr', which the message lacks"
    with pytest.raises(SettingError, match=r"mapping\.fields\.card_id: no such field; use one of .*account_id"):
        Codec(settings(mapping={"fields": {"card_id": "x"}}), OWN)


def test_messages_beside_the_stream_name_its_ids_too() -> None:
    said = json.dumps(
        {"transaction_id": "t", "event_time": 5, "account_id": "a", "shop": "s", "amount": 1, "currency": ""}
    )
    row = OWN.reader(Transaction)(said.encode())
    assert (row.card_id, row.merchant_id, row.event_time, row.terminal_id) == ("a", "s", 5, None)
    with pytest.raises(msgspec.ValidationError, match="account_id"):
        OWN.reader(Transaction)(said.replace("account_id", "card_id").encode())
    assert CARD_ROLES.reader(Transaction)(message()).card_id == "4111111111111111"


def test_a_role_may_have_words_of_its_own() -> None:
    roles = Roles(dict(OWN.names), words={"channel": ("In", "out")})
    codec = Codec(settings(), roles)
    said = [
        message(card_id=None, merchant_id=None, account_id="a", shop="s", channel=c) for c in ("in", " OUT", "up", None)
    ]
    for _ in range(2):  # the careful way first; the words learnt, the fast lane
        assert codec.decode(records(said), SOURCE).columns.channel.tolist() == [1, 2, 3, 0]
    assert codec._scanner is not None and codec._scanner.scan(said).declined == []


def test_events_and_labels_name_the_streams_own_ids() -> None:
    said = {"event_id": "e", "type": "login", "event_time": 1_700_000_000, "account_id": "a-1", "customer_id": ""}
    read = read_events([json.dumps(said).encode()], None, hash_column, 0, OWN)
    assert read.refused == {} and read.events.card_key.tolist() == [hash_text("a-1")]
    label = {"transaction_id": "t", "account_id": "a", "shop": "s", "event_time": 1_700_000_000, "verdict": "fraud"}
    label |= {"source": "analyst", "decided_at": 1_700_000_000}
    found = decode_label(json.dumps(label).encode(), 0, ("merchant",), OWN.reader(Message))
    assert found.keys == (hash_text("s"),)


@kernel
def _seen(state: Any, event: Any) -> Any:
    return state


@kernel
def _count(state: Any, event: Any, view: Any) -> float:
    return float(view[0])


def test_a_shared_entity_may_go_by_any_name() -> None:
    feature = Feature(
        "bank_count", "times", 0, 1e6, "transfers of the bank within a day", "BANK_BUSY", "{value}", _count
    )
    family = Family("banks", (feature,), None, _seen, None, entity="bank")
    program = Program((family,), (Entity("account", "card_key"), Entity("bank", "merchant_key", 7)))
    columns = columns_from(4, merchant_key=9, event_time=START + 7_200_000 * np.arange(4))
    book = Book(Merged(broadcast(program)))
    x, _ = advance(new_arena(program, capacity=16), columns, book, program=program) or ([], [])
    assert np.nan_to_num(np.asarray(x)[:, 0]).tolist() == [0, 0, 1, 2]  # by the clock before each


def test_the_schema_is_the_shipped_one_in_the_profiles_words() -> None:
    made = PROFILE.schema()
    assert {"account_id", "shop", "terminal_id"} <= made["properties"].keys() and "card_id" not in made["properties"]
    assert made["required"][2:4] == ["account_id", "shop"] and made["required"][-1] == "country"
    alert = PROFILE.schema("alert")
    assert "account_id" in alert["properties"]["transaction"]["required"]
    assert CARDS.schema()["properties"].keys() == CARD_ROLES.names.keys()
