"""An alert tells what was usual before its own transaction: neither itself, nor what followed, nor the cut matter."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from fakes import SOURCE, FakePanel, FakeRecord, message, pipeline, records

from stream.advance import new_arena
from stream.events import F32, TP, Alert, Reason
from stream.features import FEATURE_NAMES
from stream.pipeline import Chunk
from stream.scoring.panel import PanelScores

AMOUNT, COUNT = (FEATURE_NAMES.index(name) for name in ("amount", "card_tx_count_7d"))
OTHER = TP(SOURCE.topic, 1)


@dataclass
class HabitPanel(FakePanel):
    """Flags amounts above 100 with reasons that tell habits: the amount, and how many transactions there were."""

    def __post_init__(self) -> None:
        self.neutral_features[[AMOUNT, COUNT]] = 0

    def score(self, X: F32, S: F32) -> PanelScores:
        logit = 4 * (X[:, AMOUNT].astype(np.float64) - np.log(101)) + 0.1 * X[:, COUNT]
        score = 1 / (1 + np.exp(-logit))
        return PanelScores(("fake",), score[:, None].astype(np.float32), logit, score, False, self.thresholds)


def history(seed: int, cards: int = 4, count: int = 400) -> list[FakeRecord]:
    """Purchases of some cards, one in ten large, with declines, repeats and poison in between."""
    rng, values = random.Random(seed), list[bytes | None]()
    for i in range(count):
        amount = 900.0 * rng.random() if rng.random() < 0.1 else 5 + 30 * rng.random()
        code = "51" if rng.random() < 0.1 else None
        values.append(
            message(i * 60, card_id=f"card-{rng.randrange(cards)}", amount=round(amount, 2), response_code=code)
        )
        values += [b"{"] * (rng.random() < 0.05) + [values[-1]] * (rng.random() < 0.05)
    return records(values)


def own_hour(version: str, partition: int) -> int:
    """How much of its own partition a transaction saw; how much of others depends on how the partitions are read."""
    newest, _, behind = version.partition(":")
    return int(newest) - int(behind.split(".")[partition]) if behind else 0


def told(given: list[FakeRecord], sizes: list[int], ahead: int) -> list[dict[str, Any]]:
    """All alerts, but for the time of detection, when so many batches are prepared before the oldest is completed."""
    made, waiting, found, at = pipeline(HabitPanel()), deque[Any](), list[Alert](), 0
    made.open(OTHER, new_arena(capacity=64))
    for size in sizes:
        some = given[at : at + size]
        other = [FakeRecord((r.value or b"").replace(b"shop-1", b"shop-2"), r.offset) for r in some]
        waiting.append(
            made.prepare([Chunk(SOURCE, some[: size // 2]), Chunk(SOURCE, some[size // 2 :]), Chunk(OTHER, other)])
        )
        at += size
        while len(waiting) > (ahead if at < len(given) else 0):
            found += [alert for outcome in made.complete(waiting.popleft()) for alert in outcome.alerts]
    assert at >= len(given)
    plain = [{k: v for k, v in msgspec.to_builtins(alert).items() if k != "detected_at"} for alert in found]
    for alert in plain:
        alert["profile_version"] = own_hour(alert["profile_version"], alert["source"]["partition"])
    return sorted(plain, key=lambda alert: (alert["source"]["partition"], alert["source"]["offset"]))


def habits(amounts: list[float]) -> list[list[Reason]]:
    """Reasons of the alerts that these purchases of one card lead to, an hour apart, in one batch."""
    made = pipeline(HabitPanel())
    given = records([message(60 * i, amount=amount) for i, amount in enumerate(amounts)])
    (outcome,) = made.complete(made.prepare([Chunk(SOURCE, given)]))
    return [alert.reasons for alert in outcome.alerts]


def test_alerts_are_the_same_to_the_last_word_however_the_log_is_cut() -> None:
    for seed in range(3):
        given, rng = history(seed), random.Random(seed)
        whole = told(given, [len(given)], 0)
        usual = {reason["usual"] for alert in whole for reason in alert["reasons"]}
        assert len(whole) > 40 and len(usual) > 40
        assert told(given, [1] * len(given), 3) == whole
        assert told(given, [rng.randrange(1, 40) for _ in given], 3) == whole


def test_a_first_transaction_has_no_habit() -> None:
    ((reason, *_),) = habits([900.0])
    assert (reason.code, reason.usual) == ("AMOUNT_HIGH", None)
    assert reason.text == "Amount 900.00; this card's mean is no history"


def test_a_habit_holds_neither_the_transaction_nor_later_ones() -> None:
    ((alone, *_),) = habits([10.0, 30.0, 900.0])
    ((before, *_), *_) = habits([10.0, 30.0, 900.0, 500.0, 700.0])
    assert alone == before
    assert (alone.usual, alone.text) == (20.0, "Amount 900.00; this card's mean is 20.00")
