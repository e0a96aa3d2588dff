"""What a transaction's fields become as columns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from fakes import START

from stream.codec import Tokens, columns_of
from stream.codec.hashing import hash_column, hash_text
from stream.codec.times import INVALID, NO_OFFSET, time_column
from stream.errors import DecodeError
from stream.events import CHANNELS, Columns, Flag, Transaction


def columns(append: int | None = None, **fields: Any) -> Columns:
    base: dict[str, Any] = {"transaction_id": "t", "event_time": START, "card_id": "c", "merchant_id": "m"}
    row = Transaction(**(base | {"amount": 1.0, "currency": "EUR"} | fields))
    return columns_of([row], None if append is None else np.array([append]))


def test_hash_is_the_same_for_a_column_and_one_by_one() -> None:
    ids = ["", "a", "Zürich", "x" * 300, None, "4111"]
    assert hash_column(ids).tolist() == [hash_text(text or "") for text in ids]


def test_hash_of_ids_with_nul_or_surrogates_stays_per_item() -> None:
    ids = ["a\0b", "a", "b", "\ud800"]
    hashes = hash_column(ids).tolist()
    assert hashes == [hash_text(text) for text in ids] and len(set(hashes)) == 4


def test_hash_is_pinned_for_ever() -> None:
    assert [hash_text("t1"), hash_text("")] == [0x3C3AFE6A16D37A2, 0]


@pytest.mark.parametrize(
    "text",
    ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.678+02:00", "2024-02-29 23:59:59.1-0330", "1970-01-01", "0001-01-01",
     "2026-12-31t23:59:59,999z", "9999-12-31T23:59:59.999Z", "2026-01-02T03:04+01"],
)  # fmt: skip
def test_iso_times_equal_those_of_datetime(text: str) -> None:
    moment = datetime.fromisoformat(text.upper().replace(",", "."))
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    assert time_column([text])[0].tolist() == [since // timedelta(milliseconds=1)]


@pytest.mark.parametrize("text", ["2026-02-29", "2026-13-01", "2026-01-02T25:00Z", "2026-1-2", "soon", "", "12:30"])
def test_what_is_no_time_is_invalid(text: str) -> None:
    assert time_column([text])[0].tolist() == [INVALID]


@pytest.mark.parametrize("number", [1_767_225_600, 1_767_225_600_000, 1_767_225_600_000_000, "1767225600", 1.7672256e9])
def test_epochs_in_any_unit(number: Any) -> None:
    assert time_column([number, None])[0].tolist() == [START, INVALID]


def test_local_time_comes_from_the_offset_then_the_country_then_the_longitude() -> None:
    hours = lambda c: (c.local_time - c.event_time).tolist()[0] / 3_600_000  # noqa: E731
    assert hours(columns(event_time="2026-01-01T00:00:00+05:30", country="JP")) == 5.5
    assert hours(columns(event_time="2026-01-01T00:00:00Z", country=" jp ")) == 9
    assert hours(columns(longitude=-74.0)) == -5
    assert hours(columns()) == 0
    assert time_column(["2026-01-01T00:00:00+00:00"])[1].tolist() == [NO_OFFSET]


def test_amounts_are_compared_in_the_base_currency() -> None:
    assert columns(amount="12.50").amount_minor.tolist() == [1250]
    assert columns(amount=163.0, currency="jpy").amount_minor.tolist() == [100]
    assert columns(amount=5, currency="XXX", amount_base=7.25).amount_minor.tolist() == [725]
    assert columns(amount=-30.0, type="refund").amount_minor.tolist() == [3000]


@pytest.mark.parametrize(
    ("fields", "error"),
    [({"amount": float("nan")}, "not a number"), ({"amount": "1e999"}, "not between"),
     ({"amount": -1.0}, "negative"), ({"amount": 2e12}, "between"), ({"amount": "1_000"}, "not a number"),
     ({"currency": "XXX"}, "unknown"), ({"event_time": "soon"}, "event_time"), ({"merchant_id": ""}, "merchant_id")],
)  # fmt: skip
def test_what_cannot_be_scored_is_named(fields: dict[str, Any], error: str) -> None:
    with pytest.raises(DecodeError, match=f"row 0: .*{error}"):
        columns(**fields)


def test_words_are_normalised_and_unknown_ones_are_other() -> None:
    assert columns(channel=" E-Commerce ").channel.tolist() == [CHANNELS.index("ecom")]
    assert columns(channel="carrier pigeon").channel.tolist() == [CHANNELS.index("?")]
    assert columns().channel.tolist() == [0]
    assert [columns(mcc=value).mcc.tolist()[0] for value in ("5411", 5411, "54x", None)] == [5411, 5411, -1, -1]


def test_flags_of_skew_decline_and_reversal() -> None:
    ahead = columns(append=START - 301_000)
    assert (ahead.flags.tolist(), ahead.event_time.tolist()) == ([Flag.CLOCK_SKEW], [START - 301_000])
    assert columns(append=START - 299_000).flags.tolist() == [0]
    assert columns(response_code="51").flags.tolist() == [Flag.DECLINED]
    assert columns(response_code=" 00 ", type="Reversal").flags.tolist() == [Flag.REVERSAL]


def test_ids_become_keys_and_a_card_the_key_of_its_token() -> None:
    keys = columns(customer_id="k", ip="10.0.0.1", device_id="d")
    assert (keys.customer_key[0], keys.ip_key[0]) == (hash_text("k"), hash_text("10.0.0.1"))
    assert (columns().customer_key[0], columns().ip_key[0]) == (0, 0)
    tokens = Tokens(b"k" * 16)
    row = Transaction("t", START, " 4111 1111-1111 1111", "m", 1.0, "EUR")
    assert columns_of([row], tokens=tokens).card_key[0] == int(tokens.of("4111111111111111")[4:20], 16)
    assert columns_of([row], tokens=Tokens(b"o" * 16)).card_key[0] != columns_of([row], tokens=tokens).card_key[0]


def test_ages_are_missing_when_they_make_no_sense() -> None:
    ages = [columns(card_opened_at=value).card_age_days[0] for value in ("2025-12-31", "2027-01-01", "?", None)]
    assert ages[0] == 1 and np.isnan(ages[1:]).all()
