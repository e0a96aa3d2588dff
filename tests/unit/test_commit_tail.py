"""The tail of the alerts log says what was decided, whoever wrote it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from stream.sinks.alerts import AlertLog
from stream.sinks.chain import Tip, verify
from stream.tail import Tail
from tests.unit.engine_fakes import alert


def _log(topic_id: str, tip: Tip, *offsets: int) -> tuple[list[Any], Tip]:
    log = AlertLog("alerts", topic_id)
    log.take_over(0, tip)
    sealed = log.seal(0, [alert(offset) for offset in offsets])
    return [SimpleNamespace(headers=tuple(row.headers), value=row.value) for row in sealed.rows], sealed.tip


def test_an_empty_log_begins_the_chain() -> None:
    assert Tail([], "id").tip() == Tip(epoch=1, sequence=0, hash="", decided_until=-1)


def test_the_next_epoch_continues_after_the_last_alert() -> None:
    records, last = _log("id", Tip(1, 0, "", -1), 3, 8)
    tip = Tail(records, "id").tip()
    assert tip == Tip(epoch=2, sequence=2, hash=last.hash, decided_until=8)


def test_a_zombies_late_alerts_are_passed_over_and_counted() -> None:
    first, old = _log("id", Tip(1, 0, "", -1), 3)
    second, new = _log("id", Tip(2, old.sequence, old.hash, 3), 5, 9)
    zombie, _ = _log("id", old, 5, 7)
    tail = Tail(first + second + zombie, "id")
    assert tail.tip() == Tip(epoch=3, sequence=3, hash=new.hash, decided_until=9)
    assert tail.superseded() == 2


def test_a_topic_made_anew_begins_to_decide_again_on_the_same_chain() -> None:
    records, last = _log("old", Tip(1, 0, "", -1), 500)
    assert Tail(records, "new").tip() == Tip(epoch=2, sequence=1, hash=last.hash, decided_until=-1)


def test_foreign_records_are_passed_over() -> None:
    records, last = _log("id", Tip(1, 0, "", -1), 3)
    foreign = SimpleNamespace(headers=(), value=b"hello")
    assert Tail([foreign, *records, foreign], "id").tip().hash == last.hash


def test_the_sealed_log_is_one_chain() -> None:
    first, last = _log("id", Tip(1, 0, "", -1), 1, 2)
    second, _ = _log("id", Tip(2, last.sequence, last.hash, 2), 2, 4)
    report = verify((0, i, record.value) for i, record in enumerate(first + second))
    assert report.ok and report.alerts == 3


def test_records_that_only_pretend_to_be_alerts_are_passed_over() -> None:
    records, last = _log("id", Tip(1, 0, "", -1), 3)
    headers = (
        ("sequence", b"99"),
        ("epoch", b"\xff"),
        ("topic_id", b"id"),
        ("source_offset", b"9" * 5000),
        ("x", None),
    )
    pretended = [SimpleNamespace(headers=headers, value=value) for value in (b"hello", b"{}", b"[" * 9999, None)]
    assert Tail([*records, *pretended], "id").tip() == Tip(epoch=2, sequence=1, hash=last.hash, decided_until=3)
    assert Tail(pretended, "id").tip() == Tip(epoch=1, sequence=0, hash="", decided_until=-1)
