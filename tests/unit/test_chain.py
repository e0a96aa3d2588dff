"""The chain of alerts shows every gap, change, second writer and repeat."""

from __future__ import annotations

import hashlib
import json

import msgspec
from fakes import message, pipeline, records, run

from stream.events import Alert, Source
from stream.sinks.chain import Tip, seal, tip_of, verify


def alerts(count: int) -> list[Alert]:
    """Real alerts of one pipeline run."""
    values: list[bytes | None] = [message(i, transaction_id=f"h{i}") for i in range(10)]
    (outcome,) = run(pipeline(), records([*values, message(11, amount=900.0)]))
    (alert,) = outcome.alerts
    return [msgspec.structs.replace(alert, alert_id=f"id-{i}", source=Source("t", 0, 10 * i)) for i in range(count)]


ALERTS = alerts(8)


def sealed(some: list[Alert], tip: Tip) -> tuple[list[bytes], Tip]:
    out = []
    for alert in some:
        text, tip = seal(alert, tip)
        out.append(text)
    return out, tip


def feed(messages: list[bytes]) -> list[tuple[int, int, bytes]]:
    return [(0, offset, text) for offset, text in enumerate(messages)]


def test_an_independent_client_can_recompute_the_hash() -> None:
    (text, tip) = seal(ALERTS[0], Tip(epoch=3))
    body = json.loads(text)
    digest = body.pop("hash")
    without = text[: text.rindex(b',"hash":')] + b"}"
    assert json.loads(without) == body
    assert hashlib.sha256(without).hexdigest() == digest == tip.hash
    assert (body["epoch"], body["sequence"], body["previous_hash"]) == (3, 1, "")


def test_a_chain_goes_on_across_a_restart() -> None:
    first, tip = sealed(ALERTS[:3], Tip(epoch=1))
    read_back = tip_of(json.loads(first[-1]))
    assert read_back == tip == Tip(1, 3, tip.hash, 20)
    second, _ = sealed(ALERTS[3:5], Tip(2, tip.sequence, tip.hash, tip.decided_until))
    report = verify(feed(first + second))
    assert (report.alerts, report.ok, report.superseded, report.first_problem) == (5, True, 0, "")


def test_a_range_can_be_verified() -> None:
    messages, _ = sealed(ALERTS, Tip(epoch=1))
    assert verify(feed(messages)[3:]).ok


def test_a_missing_changed_or_foreign_message_is_a_break() -> None:
    messages, _ = sealed(ALERTS[:4], Tip(epoch=1))
    gap = verify(feed(messages[:1] + messages[2:]))
    assert (gap.breaks, gap.ok) == (1, False) and "offset 1" in gap.first_problem
    changed = verify(feed([messages[0], messages[1].replace(b"decline_recommended", b"review"), *messages[2:]]))
    assert changed.breaks == 1 and "changed" in changed.first_problem
    assert verify(feed([messages[0], b"{}", b"\xff", b'{"a":NaN}', messages[1]])).breaks == 3


def test_a_second_successor_of_one_epoch_is_a_fork_and_an_id_again_a_repeat() -> None:
    messages, tip = sealed(ALERTS[:3], Tip(epoch=1))
    before = tip_of(json.loads(messages[1]))
    other, _ = seal(ALERTS[4], before)
    assert verify(feed([*messages, other])).forks == 1
    again, _ = seal(ALERTS[0], tip)
    report = verify(feed([*messages, again]))
    assert (report.repeats, report.breaks, report.ok) == (1, 0, False)


def test_what_a_fenced_writer_adds_is_superseded() -> None:
    messages, tip = sealed(ALERTS[:3], Tip(epoch=1))
    surplus, _ = sealed(ALERTS[3:5], tip)
    ours, _ = sealed(ALERTS[3:7], Tip(2, tip.sequence, tip.hash, tip.decided_until))
    before = verify(feed([*messages, *surplus, *ours]))
    behind = verify(feed([*messages, ours[0], surplus[0], *ours[1:], surplus[1]]))
    assert (before.superseded, before.ok) == (behind.superseded, behind.ok) == (2, True)


def test_partitions_have_chains_of_their_own() -> None:
    left, _ = sealed(ALERTS[:3], Tip(epoch=1))
    right, _ = sealed(ALERTS[3:6], Tip(epoch=1))
    mixed = [(p, i, text) for i, pair in enumerate(zip(left, right, strict=True)) for p, text in enumerate(pair)]
    assert verify(mixed).ok
