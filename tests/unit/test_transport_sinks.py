"""What alerts and dead letters look like in the log."""

from __future__ import annotations

import base64
import json

from stream.events import DeadLetter
from stream.sinks.alerts import AlertLog
from stream.sinks.chain import Tip
from stream.sinks.dead_letters import DeadLetterLog, encode
from stream.sinks.outbox import RECORD_BYTES
from tests.unit.engine_fakes import alert, dead_letter


def _alerts() -> AlertLog:
    log = AlertLog("alerts", "id")
    log.take_over(0, Tip(1, 0, "", -1))
    return log


def test_the_key_is_the_cards_token_or_nothing() -> None:
    sealed = _alerts().seal(0, [alert(1), alert(2, transaction={"card_id": "4000000000000002"})])
    assert [row.key for row in sealed.rows] == [b"tok_0", None]


def test_an_alert_too_large_for_a_record_becomes_a_dead_letter_and_leaves_the_chain_whole() -> None:
    large = alert(2, transaction={"card_id": "tok_0", "merchant_id": "m" * RECORD_BYTES})
    sealed = _alerts().seal(0, [alert(1), large, alert(3)])
    assert [a.source.offset for a in sealed.alerts] == [1, 3]
    assert [(letter.offset, letter.stage) for letter in sealed.dead] == [(2, "publish")]
    assert json.loads(sealed.rows[1].value)["previous_hash"] == json.loads(sealed.rows[0].value)["hash"]


def test_the_tip_moves_only_when_alerts_are_durable() -> None:
    log = _alerts()
    sealed = log.seal(0, [alert(1)])
    assert log.seal(0, [alert(1)]).rows == sealed.rows
    log.settle(0, sealed)
    assert log.seal(0, [alert(1)]).rows == []


def test_dead_letters_are_told_once_and_in_order() -> None:
    log = DeadLetterLog("dead", "id")
    log.take_over(0, 4)
    pending = log.pending(0, [dead_letter(9), dead_letter(4), dead_letter(6)])
    assert [letter.offset for letter in pending] == [6, 9]
    log.settle(0, pending)
    assert log.pending(0, [dead_letter(9)]) == []


def test_a_dead_letter_shows_text_as_text_and_bytes_as_base64() -> None:
    text = json.loads(encode(dead_letter(1, b'{"a"')))
    assert (text["payload"], text["payload_encoding"], text["stage"], text["offset"]) == ('{"a"', "utf-8", "decode", 1)
    raw = json.loads(encode(dead_letter(1, b"\xff\x00")))
    assert base64.b64decode(raw["payload"]) == b"\xff\x00" and raw["payload_encoding"] == "base64"


def test_a_long_error_is_cut() -> None:
    letter = DeadLetter("tx", 0, 1, 0, "decode", "e" * 100_000, b"", 0, "")
    assert len(encode(letter)) < 5_000
