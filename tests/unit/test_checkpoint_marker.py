"""A marker says what its checkpoint belongs to; anything else is refused with one sentence and its remedy."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from stream.checkpoint import BlockError, Identity, Marker, marker
from stream.checkpoint.identity import decoding_hash, keeps_checkpoints, layout_hash
from stream.checkpoint.marker import SmallMark, TableMark, TipMark
from stream.errors import SettingError
from stream.settings import load

OURS = Identity("g", "topic-1", 8, "cards 2", "a" * 32, "b" * 32)
MARK = Marker(
    offset=500,
    committed=620,
    side_offset=7,
    watermark=1_700_000_000_000,
    alerts=TipMark(3, 41, "c" * 64, 498),
    identity=OURS,
    incarnation=1_800_000_000_000_000_000,
    tables={"card": TableMark(3, 90, 123), "device": TableMark(0, 0, 0)},
    small={"open": SmallMark(1, 900, 77)},
    written_at=1_700_000_001_000,
)
REBUILD = "--state rebuild .* or --state empty"


def test_a_marker_survives_its_bytes() -> None:
    assert marker.decode(MARK.encode(), "it") == MARK


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "is damaged"),
        (b"{}", "is damaged"),
        (b"[1]", "is damaged"),
        (b"\xff", "is damaged"),
        (MARK.encode().replace(b'"offset":500', b'"offset":400'), "its checksum is another"),
        (json.dumps({**json.loads(MARK.encode()), "format": 9}).encode(), "format that this version does not know"),
    ],
)
def test_a_damaged_marker_is_refused(value: bytes | None, words: str) -> None:
    with pytest.raises(BlockError, match=rf"^the marker of t\[3\] is .*{words}.*{REBUILD}|{words}"):
        marker.decode(value, "the marker of t[3]")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"topic_id": "topic-2"}, "belongs to a topic that was since made anew under the same name"),
        ({"partitions": 12}, "was written when the topic had 8 partitions and it has 12"),
        ({"features": "cards 3"}, "was written with features cards 2 .* and this version has cards 3"),
        ({"layout": "d" * 32}, "was written with features cards 2 .rows aaaaaaaa.*rows dddddddd"),
        (
            {"decoding": "e" * 32},
            "was written under another security.token_key, engine.base_currency or .mapping.; set it back",
        ),
    ],
)
def test_a_checkpoint_of_something_else_is_refused(change: dict[str, object], words: str) -> None:
    MARK.check(OURS, "tx", 5)
    with pytest.raises(SettingError, match=rf"^the checkpoint of tx\[5\] {words}.*{REBUILD}"):
        MARK.check(dataclasses.replace(OURS, **change), "tx", 5)  # type: ignore[arg-type]


def test_another_groups_checkpoint_is_refused() -> None:
    MARK.check_group(OURS, "cp", 5)
    with pytest.raises(SettingError, match=r"^topics.checkpoints 'cp' holds the state of kafka.group 'g' .*not of 'h'"):
        MARK.check_group(dataclasses.replace(OURS, group="h"), "cp", 5)


def test_a_log_that_does_not_lead_from_the_checkpoint_is_refused() -> None:
    MARK.check_offsets(500, 500, "tx", 5)
    with pytest.raises(SettingError, match=r"stands at offset 500 and the log begins only at 501: .*expired"):
        MARK.check_offsets(501, 620, "tx", 5)
    with pytest.raises(SettingError, match=r"stands at offset 500, after the group's offset 499, which was set back"):
        MARK.check_offsets(0, 499, "tx", 5)


def test_hashes_know_what_matters() -> None:
    row = np.dtype([("key", "u8"), ("seen", "i8"), ("a", "i4"), ("b", "i4")])
    other = np.dtype([("key", "u8"), ("seen", "i8"), ("b", "i4"), ("a", "i4")])
    assert layout_hash({"card": row}) != layout_hash({"card": other})
    assert layout_hash({"card": row, "ip": other}) == layout_hash({"ip": other, "card": row})
    one, two, dollars = (
        load(None, {"security": {"token_key": key * 16}, "engine": {"base_currency": base}})
        for key, base in (("ab", "EUR"), ("cd", "EUR"), ("ab", "USD"))
    )
    assert len({decoding_hash(s, "roles") for s in (one, two, dollars)} | {decoding_hash(one, "others")}) == 4
    assert decoding_hash(one, "roles") == decoding_hash(one, "roles")


def test_a_token_key_of_one_process_keeps_no_checkpoints() -> None:
    key = {"security": {"token_key": "ab" * 16}}
    assert keeps_checkpoints(load(None, key))
    assert not keeps_checkpoints(load(None, {}))
    assert not keeps_checkpoints(load(None, {**key, "topics": {"checkpoints": ""}}))
