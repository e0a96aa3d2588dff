"""Stand-ins for tests of the flow: records, and a panel that scores by a linear rule on two features."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stream.advance import new_arena
from stream.events import F32, TP, ModelRef
from stream.features import FEATURE_NAMES, FEATURES, SEQUENCE_CHANNELS
from stream.pipeline import Chunk, Outcome, Pipeline
from stream.scoring.panel import PanelScores, Thresholds
from stream.settings import Settings, load

START = 1_767_225_600_000  # 2026-01-01T00:00:00Z
SOURCE = TP("fraud.transactions", 0)
KEY = "0123456789abcdef0123456789abcdef"


@dataclass
class FakeRecord:
    """A Kafka record."""

    value: bytes | None
    offset: int = 0
    timestamp: int = START + 10 * 365 * 86_400_000
    key: bytes | None = None
    headers: tuple[Any, ...] = ()


def message(number: int = 0, **fields: Any) -> bytes:
    """A plain purchase of 20.00, one a minute; fields given as None are left out."""
    base: dict[str, Any] = {
        "transaction_id": f"t{number}",
        "event_time": START + number * 60_000,
        "card_id": "4111111111111111",
        "merchant_id": "shop-1",
        "amount": 20.0,
        "currency": "EUR",
    }
    return json.dumps({k: v for k, v in (base | fields).items() if v is not None}).encode()


def records(values: list[bytes | None], first: int = 0) -> list[FakeRecord]:
    """Records of consecutive offsets."""
    return [FakeRecord(value, first + i) for i, value in enumerate(values)]


def settings(**overrides: Any) -> Settings:
    """Settings with a fixed token key."""
    return load(None, {"security": {"token_key": KEY}} | overrides)


@dataclass
class FakePanel:
    """Scores by ``3 * ln(amount over the card's mean) + 2 * merchant_new - 6``; a missing feature counts as 0.

    ``fail_above`` makes it throw for a batch that holds an amount at or above that many units; ``broken`` always.
    """

    fail_above: float | None = None
    broken: bool = False
    calls: list[int] = field(default_factory=list)
    models: list[ModelRef] = field(default_factory=lambda: [ModelRef("fake", "1", "0" * 64)])
    hash: str = "fake"
    simulated: bool = True
    detectors: tuple[str, ...] = ("fake",)
    device_info: dict[str, str] = field(default_factory=lambda: {"fake": "cpu"})
    thresholds: Thresholds = field(default_factory=lambda: Thresholds(0.5, 0.8, 0.95))
    neutral_features: F32 = field(default_factory=lambda: np.array([f.neutral for f in FEATURES], np.float32))
    neutral_sequence: F32 = field(default_factory=lambda: np.array([c.neutral for c in SEQUENCE_CHANNELS], np.float32))

    def score(self, X: F32, S: F32) -> PanelScores:
        """Score a batch as the real panel does."""
        self.calls.append(len(X))
        amount = np.expm1(X[:, FEATURE_NAMES.index("amount")])
        if self.broken or (self.fail_above is not None and (amount >= self.fail_above).any()):
            raise RuntimeError("the fake panel was told to fail")
        vs_mean = np.nan_to_num(X[:, FEATURE_NAMES.index("amount_vs_mean")]).astype(np.float64)
        new = np.nan_to_num(X[:, FEATURE_NAMES.index("merchant_new")]).astype(np.float64)
        logit = 3 * vs_mean + 2 * new - 6
        score = 1 / (1 + np.exp(-logit))
        return PanelScores(("fake",), score[:, None].astype(np.float32), logit, score, False, self.thresholds)


def pipeline(panel: FakePanel | None = None, **overrides: Any) -> Pipeline:
    """A pipeline with one open partition, `SOURCE`."""
    made = Pipeline(settings(**overrides), panel or FakePanel(), "topic-1")
    made.open(SOURCE, new_arena(capacity=1024))
    return made


def run(made: Pipeline, given: list[FakeRecord], size: int = 100) -> list[Outcome]:
    """Pass records through in batches of one size."""
    cuts = range(0, len(given), size)
    return [made.complete(made.prepare([Chunk(SOURCE, given[i : i + size])]))[0] for i in cuts]
