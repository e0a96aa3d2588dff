"""Card numbers never get past the codec."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from fakes import SOURCE, message, records, settings

from stream.codec import Codec, Tokens, mask_text
from stream.codec.masking import luhn, mask_bytes, mask_payload
from stream.codec.tokens import token_key
from stream.errors import SettingError
from stream.settings import load

PAN = "4111111111111111"


def test_a_token_is_keyed_stable_and_bounded() -> None:
    tokens, again, other = Tokens(b"k" * 16), Tokens(b"k" * 16), Tokens(b"o" * 16)
    assert tokens.of(PAN) == again.of(PAN) != other.of(PAN)
    assert tokens.of(PAN).startswith("tok_") and len(tokens.of(PAN)) == 36
    first = tokens.of("card-0")
    for number in range(135_000):
        tokens.of(f"card-{number}")
    assert len(tokens) <= 131_072 and tokens.of("card-0") == first


@pytest.mark.parametrize("written", ["4111 1111 1111 1111", "4111-1111-1111-1111", f" {PAN} "])
def test_one_card_has_one_token_however_it_is_written(written: str) -> None:
    tokens = Tokens(b"k" * 16)
    assert tokens.of(written) == tokens.of(PAN)


@pytest.mark.parametrize(
    "text",
    [PAN, f"card {PAN}.", "4111 1111 1111 1111", "4111-1111-1111-1111 2028", "paid with 3782 822463 10005 today",
     f"x{PAN}y", f"00{PAN}0000", "12 4111111111111111", "6011111111111117"],
)  # fmt: skip
def test_a_card_number_in_a_text_is_masked_but_for_the_last_four(text: str) -> None:
    masked = mask_text(text)
    digits = "".join(c for c in masked if c.isdigit())
    assert "*" in masked and len(masked) == len(text)
    assert PAN not in digits and "378282246310005" not in digits and "6011111111111117" not in digits


@pytest.mark.parametrize("text", ["4111111111111112", "2026-11-01T00:06:46.886Z", "123456789012", "shop 12 of 24", ""])
def test_other_numbers_stay(text: str) -> None:
    assert mask_text(text) == text


def test_masking_hostile_digits_is_quick_and_keeps_the_length() -> None:
    rng = random.Random(1)
    for blob in (b"1" * 65_000, b"4 1 1 " * 11_000, bytes(rng.choices(b"0123456789 -", k=65_000))):
        assert len(mask_bytes(blob)) == len(blob)


def test_a_card_number_cut_by_the_limit_of_a_payload_is_masked_too() -> None:
    payload = mask_payload(b"x" * 65_530 + PAN.encode())
    assert len(payload) == 65_536 and b"4111" not in payload


def test_dead_letters_hold_no_card_number() -> None:
    value = message(currency=f"{PAN}", merchant_id="pay 4111 1111 1111 1111")
    (dead,) = Codec(settings()).decode(records([value]), SOURCE).dead
    assert PAN.encode() not in dead.payload.replace(b" ", b"") and PAN not in dead.error
    assert luhn(PAN.encode()) and b"1111" in dead.payload


def test_the_key_comes_from_a_file_and_a_weak_one_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("a key of more than sixteen characters\n")
    assert token_key(load(None, {"security": {"token_key_file": file}}).security)[0].endswith(b"characters")
    file.write_text("short")
    with pytest.raises(SettingError, match=r"security\.token_key_file"):
        token_key(load(None, {"security": {"token_key_file": file}}).security)
    assert token_key(load().security)[1] is True
