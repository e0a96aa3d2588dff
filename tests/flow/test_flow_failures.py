"""What fails costs only itself: a panel, an explanation, one record's features, one alert."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
from fakes import SOURCE, START, FakePanel, message, pipeline, records, run

import stream.judge
import stream.pipeline
from stream.advance import advance
from stream.errors import FraudstreamError
from stream.events import F32
from stream.pipeline import Chunk
from stream.scoring.panel import PanelScores

PAN = "4111111111111111"
POISON = b'{"transaction_id":'


def burst() -> list[bytes | None]:
    """Ten purchases, poison, then nine declined tiny ones ten seconds apart: a shipped rule fires."""
    start = START + 1000 * 60_000
    tries = [
        message(1, transaction_id=f"b{i}", event_time=start + 10_000 * i, amount=1, response_code="51")
        for i in range(9)
    ]
    return [*(message(i * 60) for i in range(10)), POISON, *tries]


def test_without_any_model_the_rules_decide_and_say_so() -> None:
    (outcome,) = run(pipeline(FakePanel(broken=True)), records(burst()))
    assert outcome.transactions == 19 and [dead.stage for dead in outcome.dead] == ["decode"]
    assert outcome.alerts and {tuple(alert.rules) for alert in outcome.alerts} == {("RULE_CARD_TESTING",)}
    alert = outcome.alerts[0]
    assert (alert.score, alert.scores, alert.models, alert.degraded) == (None, {}, [], True)
    assert [reason.code for reason in alert.reasons] == ["RULE_CARD_TESTING"]


def test_a_rule_that_alone_raised_an_outcome_is_named_first() -> None:
    (outcome,) = run(pipeline(), records(burst()))
    assert [alert.outcome for alert in outcome.alerts] == ["review"] * len(outcome.alerts)
    assert {alert.reasons[0].code for alert in outcome.alerts} == {"RULE_CARD_TESTING"}
    assert all(len(alert.reasons) > 1 and not alert.degraded for alert in outcome.alerts)


class Mute(FakePanel):
    """Scores, but fails when it is asked to explain."""

    def score(self, X: F32, S: F32) -> PanelScores:
        if self.calls:
            raise RuntimeError("no explanation today")
        return super().score(X, S)


def big(first: int = 0, last: float = 900.0) -> list[bytes | None]:
    return [*(message(first + i) for i in range(10)), POISON, message(first + 10, amount=last)]


def test_an_alert_without_its_reasons_is_still_an_alert() -> None:
    (outcome,) = run(pipeline(Mute()), records(big()))
    (alert,) = outcome.alerts
    assert [reason.code for reason in alert.reasons] == ["SCORE_HIGH"]


def test_a_record_whose_features_fail_is_a_dead_letter_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(arena: Any, columns: Any, *args: Any, **kwargs: Any) -> Any:
        if (columns.amount_minor == 6600).any():
            raise RuntimeError(f"a kernel broke on {PAN}")
        return advance(arena, columns, *args, **kwargs)

    monkeypatch.setattr(stream.pipeline, "advance", failing)
    values = [*big(), message(50, amount=66.0), message(51, amount=20.0)]
    (outcome,) = run(pipeline(), records(values))
    assert [(dead.offset, dead.stage) for dead in outcome.dead] == [(10, "decode"), (12, "features")]
    assert PAN not in outcome.dead[1].error
    assert (outcome.transactions, [alert.source.offset for alert in outcome.alerts]) == (12, [11])


def test_an_alert_that_cannot_be_written_is_a_dead_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    write = stream.judge.AlertWriter.write

    def failing(self: Any, decision: Any, *args: Any) -> Any:
        if decision.offset == 11:
            raise ValueError("cannot")
        return write(self, decision, *args)

    monkeypatch.setattr(stream.judge.AlertWriter, "write", failing)
    (outcome,) = run(pipeline(), records([*big(), message(11, amount=5000.0)]))
    assert [(dead.offset, dead.stage) for dead in outcome.dead] == [(10, "decode"), (11, "score")]
    assert [alert.source.offset for alert in outcome.alerts] == [12]


def test_no_card_number_is_told_anywhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    values = [
        *(message(i, card_id=PAN) for i in range(10)),
        message(10, card_id=PAN, amount=900.0, merchant_id=f"shop {PAN}", customer_id=f"c-{PAN}", device_id=PAN),
        message(11, card_id=PAN, currency=PAN),
        b'{"card_id":"' + PAN.encode() + b'","x',
    ]
    (outcome,) = run(pipeline(FakePanel(broken=False)), records(values))
    assert len(outcome.alerts) == 1 and len(outcome.dead) == 2
    everything = repr(outcome) + caplog.text
    assert PAN not in everything and outcome.alerts[0].transaction["bin"] == PAN[:6]
    assert outcome.alerts[0].transaction["card_id"].startswith("tok_")


def test_a_partition_that_is_not_open_is_refused() -> None:
    made = pipeline()
    made.close(SOURCE)
    with pytest.raises(FraudstreamError, match="not open"):
        made.prepare([Chunk(SOURCE, records([message()]))])


def test_scores_that_are_no_number_become_no_alert() -> None:
    class Nan(FakePanel):
        def score(self, X: F32, S: F32) -> PanelScores:
            nothing = np.full(len(X), np.nan)
            return PanelScores((), np.empty((len(X), 0), np.float32), nothing, nothing, True, self.thresholds)

    (outcome,) = run(pipeline(Nan()), records(big()))
    assert (outcome.alerts, outcome.transactions) == ([], 11)
