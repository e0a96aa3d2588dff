"""The fast lane learns a feed's words and names."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import SOURCE, message, records
from scan_pairs import Pair

from stream.codec.lexing import SLOTS


def test_a_new_word_is_declined_once() -> None:
    pair = Pair()
    values: list[bytes | None] = [message(channel="moto"), message(channel="kiosk", currency="chf")]
    assert pair.fast._scanner is not None
    assert pair.fast._scanner.scan(values).new_words == [0, 1]
    assert pair.declined(values) == []
    pair.same(values)


def test_a_word_means_what_its_field_says() -> None:
    pair = Pair()
    pair.same([message(three_ds="match", cvv_result="match", avs_result="match", country="NO", ip_country="NO")])
    pair.same([message(three_ds="y", cvv_result="y", avs_result="y", response_code="NO", channel="NO")])


def test_hostile_words_do_not_keep_the_others_out() -> None:
    pair = Pair()
    usual: list[bytes | None] = [message(channel="pos", country="FR")]
    for start in range(0, 2 * SLOTS, 512):
        pair.same([message(channel=f"hostile {number}") for number in range(start, start + 512)])
        assert pair.declined(usual) == []
    pair.same(usual)


def test_more_new_words_in_one_batch_than_the_table_holds() -> None:
    pair = Pair()
    pair.same([message(channel=f"hostile {number}") for number in range(SLOTS)])
    assert pair.declined([message(channel="pos")]) == []


def test_renamed_fields_take_the_fast_lane() -> None:
    pair = Pair(mapping={"fields": {"card_id": "pan", "merchant_id": "shop.id"}})
    renamed: list[bytes | None] = [message(card_id=None, merchant_id=None, pan="4111", **{"shop.id": "s1"})]
    assert pair.declined(renamed) == []
    pair.same(renamed)
    nested: list[bytes | None] = [message(card_id=None, merchant_id=None, pan="4111", shop={"id": "s1"})]
    assert pair.declined(nested) == [0]
    pair.same([*renamed, *nested, message(), message(pan="x")])


@pytest.mark.parametrize(
    "mapping",
    [
        {"constants": {"currency": "EUR"}},
        {"amount_unit": "minor"},
        {"fields": {"customer_id": "card_id"}},
        {"fields": {"customer_id": "a name of more than 24 bytes"}},
    ],
    ids=str,
)
def test_mappings_that_do_more_take_the_careful_way(mapping: dict[str, Any]) -> None:
    assert Pair(mapping=mapping).fast._scanner is None


def test_rows_are_decoded_on_access() -> None:
    values: list[bytes | None] = [message(0), b"{", message(2), message(3, amount=-1), message(4)]
    rows = Pair().fast.decode(records(values), SOURCE).rows
    assert [row.transaction_id for row in rows] == ["t0", "t2", "t4"]
    assert rows[-1] == rows[2] and [row.transaction_id for row in rows[1:]] == ["t2", "t4"]
    with pytest.raises(IndexError):
        rows[3]
