"""Card numbers never get past the codec."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import random
import re
import zlib
from collections.abc import Callable
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


def test_a_key_is_the_first_half_of_its_token_and_a_blank_card_has_none() -> None:
    tokens = Tokens(b"k" * 16)
    some = [tokens.of(f"card-{number}") for number in range(300)] + ["tok_" + "0" * 32]
    expected = [max(int(token[4:20], 16), 1) for token in some]
    assert tokens.keys_of(some).tolist() == expected
    assert tokens.keys_of([*some, ""]).tolist() == [*expected, 0] and tokens.keys_of([]).tolist() == []


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


ESCAPED = "".join(f"\\u{ord(c):04x}" for c in PAN)


@pytest.mark.parametrize(
    "payload",
    [
        f'{{"pan": "{ESCAPED}", ',
        f'{{"pan": "41{ESCAPED[12:]}"}}',
        '{"pan": "4111\\u00201111\\u00201111\\u002D1111"}',
        json.dumps({"raw": json.dumps({"pan": PAN}).replace("1", "\\u0031")}),
        "x" * 65_500 + ESCAPED,
        PAN.encode("utf-32").decode("latin-1"),
    ],
)
def test_a_card_number_in_escapes_is_masked(payload: str) -> None:
    masked = mask_payload(payload.encode("latin-1"))
    assert PAN.encode() not in plain(masked) and len(masked) <= 65_536


def plain(data: bytes) -> bytes:
    """Digits alone, those in escapes with them."""
    return re.sub(rb"[^0-9]", b"", re.sub(rb"\\+u003([0-9])", rb"\1", data))


def test_escapes_that_hide_no_card_number_stay_as_they_are() -> None:
    payload = b'{"note": "caf\\u00e9 \\u0031\\u0032", "amount": '
    assert mask_payload(payload) == payload


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress, bz2.compress, lzma.compress])
def test_a_compressed_payload_is_unpacked_and_masked(pack: Callable[[bytes], bytes]) -> None:
    said = json.dumps({"card_id": PAN, "note": "hello"}).encode()
    masked = mask_payload(pack(said))
    assert PAN.encode() not in masked and b"hello" in masked
    assert len(mask_payload(pack(b"0" * 50_000_000))) == 65_536
    assert PAN.encode() not in mask_payload(pack(said * 500)[:-9])


@pytest.mark.parametrize("magic", [b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18", b"\x1f\x8b broken", b"\x82SNAPPY\0"])
def test_what_cannot_be_looked_into_is_withheld(magic: bytes) -> None:
    payload = mask_payload(magic + PAN.encode())
    assert payload.startswith(b"withheld: ") and PAN.encode() not in payload
    assert mask_payload(b"x\x9cnothing " + PAN.encode()) == b"x\x9cnothing ************1111"


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
