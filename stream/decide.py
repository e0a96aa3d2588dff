"""From scores to outcomes, and the ids by which alerts and cases are known."""

from __future__ import annotations

import itertools
import uuid
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from stream.errors import SettingError
from stream.events import F64, OUTCOMES, U8, Flag
from stream.settings import DecisionSettings

Outcomes = npt.NDArray[np.int8]  # indices into `OUTCOMES`
_ALERTS = uuid.UUID("6f1d9e0a-2f0b-5d53-9a54-4f3c1f2f7a10")
_CASES = uuid.UUID("b1a4c1f6-7f0e-5c39-8a8e-1d0f6f0f5e77")
HOUR_MS = 3_600_000


class CutsLike(Protocol):
    """Thresholds as a panel gives them."""

    @property
    def review(self) -> float:
        """Lowest score that is looked at."""

    @property
    def step_up(self) -> float:
        """Lowest score that asks the customer."""

    @property
    def decline(self) -> float:
        """Lowest score that recommends to decline."""


class Cuts(NamedTuple):
    """The thresholds that decide, growing."""

    review: float
    step_up: float
    decline: float


def check_decision(settings: DecisionSettings) -> None:
    """Refuse thresholds that contradict each other.

    Raises
    ------
    SettingError
        A milder outcome would need a higher score than a harsher one.
    """
    given = [
        (name, value)
        for name in ("review_threshold", "step_up_threshold", "decline_threshold")
        if (value := getattr(settings, name)) is not None
    ]
    for (mild, low), (harsh, high) in itertools.pairwise(given):
        if low > high:
            raise SettingError(f"setting decision.{mild} ({low:g}) is above decision.{harsh} ({high:g}); lower it")


def cuts(settings: DecisionSettings, panel: CutsLike) -> Cuts:
    """The settings' thresholds where they are set, the panel's elsewhere; a harsher one never below a milder one."""
    review = panel.review if settings.review_threshold is None else settings.review_threshold
    step_up = panel.step_up if settings.step_up_threshold is None else settings.step_up_threshold
    decline = panel.decline if settings.decline_threshold is None else settings.decline_threshold
    if settings.review_threshold is None:
        review = min(review, step_up, decline)
    if settings.step_up_threshold is None and settings.decline_threshold is not None:
        step_up = min(step_up, decline)
    step_up = max(step_up, review)
    return Cuts(review, step_up, max(decline, step_up))


def decide(score: F64, thresholds: Cuts, raised: Outcomes, flags: U8) -> Outcomes:
    """Choose an outcome per transaction.

    Parameters
    ----------
    score
        Fused and calibrated, (n,); NaN where no model answered.
    thresholds
        The cuts of this batch.
    raised
        Harshest outcome of the rules that fired, (n,); 0 where none did.
    flags
        `Flag` bits; a duplicate passes, whatever it scores: its first appearance was decided.
    """
    by_score = np.zeros(len(score), np.int8)
    for cut in thresholds:
        by_score += score >= cut
    outcome = np.maximum(by_score, raised)
    outcome[(flags & Flag.DUPLICATE) != 0] = 0
    return outcome


def threshold_of(outcome: int, thresholds: Cuts) -> float:
    """The cut that belongs to an outcome other than ``pass``."""
    return thresholds[max(outcome, 1) - 1]


def alert_id(topic_id: str, partition: int, offset: int) -> str:
    """Name an alert after its source, so that deciding again gives the same id and a recreated topic gives others."""
    return str(uuid.uuid5(_ALERTS, f"{topic_id}/{partition}/{offset}"))


def case_id(card_token: str, event_time: int, case_hours: float) -> str:
    """Name the case of an alert: one card within one span of `case_hours`, counted from the epoch (ms)."""
    return str(uuid.uuid5(_CASES, f"{card_token}/{case_hours:g}/{event_time // round(case_hours * HOUR_MS)}"))


__all__ = ["OUTCOMES", "Cuts", "alert_id", "case_id", "check_decision", "cuts", "decide", "threshold_of"]
