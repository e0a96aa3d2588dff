"""Blocks come back as they were, and a damaged one says so."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stream.checkpoint import BlockError
from stream.checkpoint.block import bytes_of, encode, encode_bytes, head_of, words_of
from stream.checkpoint.keys import block_key, parse, piece_key

WORDS = arrays(np.int64, st.integers(0, 200), elements=st.sampled_from([0, 0, 0, 1, -1, 1 << 40, (1 << 32) + 1]))


@settings(max_examples=150, deadline=None)
@given(WORDS)
def test_rows_come_back_as_they_were(words: np.ndarray) -> None:
    value, crc = encode(words, 3, 99)
    head = head_of(value, "it")
    assert (head.incarnation, head.rows, head.size, head.crc) == (99, 3, words.nbytes, crc)
    assert np.array_equal(words_of(value, head, "it"), words)


def test_zeros_cost_next_to_nothing() -> None:
    words = np.zeros(8192, np.int64)
    words[::64] = 5
    value, _ = encode(words, 50, 1)
    assert len(value) < words.nbytes // 20


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_damage_is_found_and_named(data: st.DataObject) -> None:
    value, _ = encode(np.arange(40), 2, 1)
    at = data.draw(st.integers(0, len(value) - 1))
    kind = data.draw(st.sampled_from(["flip", "cut", "longer"]))
    flipped = value[:at] + bytes([value[at] ^ 0x10]) + value[at + 1 :]
    broken = {"flip": flipped, "cut": value[:at], "longer": value + b"\0"}[kind]
    with pytest.raises(BlockError, match=r"^block card/00000007 of cp\[2\] is "):
        head_of(broken, "block card/00000007 of cp[2]")


def test_pieces_of_small_states_are_kept_as_they_are() -> None:
    value, _ = encode_bytes(b"abc", 4)
    assert head_of(value, "it").incarnation == 4
    assert bytes_of(value) == b"abc"


def test_keys_say_what_they_are() -> None:
    assert parse(block_key("card", 17)) == ("card", False, 17)
    assert parse(piece_key("open", 3)) == ("open", True, 3)
    assert [parse(key) for key in (None, b"marker", b"card/x", b"a/b/1", b"card/" + b"9" * 12)] == [None] * 5
