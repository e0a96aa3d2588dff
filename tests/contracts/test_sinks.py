"""Every sink keeps the rules of `stream.sinks.base`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import msgspec
import pytest
from fakes import SOURCE, message, pipeline, records, run

from stream.codec import dead_letter
from stream.events import Alert, DeadLetter, Source
from stream.sinks.alerts import AlertLog
from stream.sinks.base import Sink
from stream.sinks.chain import Tip, tip_of, verify
from stream.sinks.dead_letters import DeadLetterLog
from stream.sinks.memory import MemorySink


class TopicSink:
    """The topics' two logs, written into lists instead of a broker."""

    def __init__(self) -> None:
        self.messages: list[tuple[int, int, bytes]] = []
        self.told: list[int] = []
        self._alerts = AlertLog("fraud.alerts", "id")
        self._dead = DeadLetterLog("fraud.dead_letters", "id")

    def take_over(self, partition: int, tip: Tip, told_until: int) -> None:
        self._alerts.take_over(partition, tip)
        self._dead.take_over(partition, told_until)

    def write(self, partition: int, alerts: Sequence[Alert], dead: Sequence[DeadLetter]) -> None:
        sealed = self._alerts.seal(partition, alerts)
        self.messages += [(partition, len(self.messages) + i, row.value) for i, row in enumerate(sealed.rows)]
        self._alerts.settle(partition, sealed)
        pending = self._dead.pending(partition, dead)
        self.told += [json.loads(row.value)["offset"] for row in self._dead.rows(pending)]
        self._dead.settle(partition, pending)

    def close(self) -> None:
        self._alerts.release()


def offsets_told(sink: Sink) -> list[int]:
    return [dead.offset for dead in sink.dead] if isinstance(sink, MemorySink) else sink.told  # type: ignore[attr-defined]


def alerts(*offsets: int) -> list[Alert]:
    (outcome,) = run(pipeline(), records([*(message(i) for i in range(10)), message(10, amount=900.0)]))
    one = outcome.alerts[0]
    return [msgspec.structs.replace(one, alert_id=str(at), source=Source("t", 0, at)) for at in offsets]


def dead(*offsets: int) -> list[DeadLetter]:
    return [dead_letter(record, SOURCE, "decode", "x") for at in offsets for record in records([b"{"], at)]


@pytest.fixture(params=[MemorySink, TopicSink])
def sink(request: pytest.FixtureRequest) -> Sink:
    make: Callable[[], Sink] = request.param
    made = make()
    made.take_over(0, Tip(epoch=1), -1)
    return made


def messages(sink: Sink) -> list[tuple[int, int, bytes]]:
    return list(sink.messages)  # type: ignore[attr-defined]


def test_batches_continue_one_chain(sink: Sink) -> None:
    sink.write(0, alerts(1, 2), [])
    sink.write(0, [], dead(3))
    sink.write(0, alerts(4), [])
    report = verify(messages(sink))
    assert (report.ok, report.alerts, offsets_told(sink)) == (True, 3, [3])


def test_what_was_decided_is_not_written_again(sink: Sink) -> None:
    sink.write(0, alerts(1, 2), dead(3))
    sink.write(0, alerts(1, 2, 4), dead(3, 5))
    assert [json.loads(text)["source"]["offset"] for _, _, text in messages(sink)] == [1, 2, 4]
    assert offsets_told(sink) == [3, 5]


def test_a_take_over_continues_under_the_next_epoch(sink: Sink) -> None:
    sink.write(0, alerts(1, 2), dead(3))
    tip = tip_of(json.loads(messages(sink)[-1][2]))
    sink.take_over(0, Tip(tip.epoch + 1, tip.sequence, tip.hash, tip.decided_until), 3)
    sink.write(0, alerts(2, 6), dead(3, 7))
    found = [json.loads(text) for _, _, text in messages(sink)]
    assert [(alert["epoch"], alert["sequence"]) for alert in found] == [(1, 1), (1, 2), (2, 3)]
    assert verify(messages(sink)).ok and offsets_told(sink) == [3, 7]
    sink.close()
