"""Outcomes, thresholds and ids."""

from __future__ import annotations

import numpy as np
import pytest

from stream.decide import Cuts, alert_id, case_id, check_decision, cuts, decide, threshold_of
from stream.errors import SettingError
from stream.events import OUTCOMES, Flag
from stream.settings import DecisionSettings

PANEL = Cuts(0.5, 0.8, 0.95)
NAN = float("nan")


def outcomes(scores: list[float], raised: list[int] | None = None, flags: list[int] | None = None) -> list[str]:
    n = len(scores)
    found = decide(np.array(scores), PANEL, np.array(raised or [0] * n, np.int8), np.array(flags or [0] * n, np.uint8))
    return [OUTCOMES[i] for i in found]


def test_scores_at_a_cut_are_above_it() -> None:
    found = outcomes([0.49, 0.5, 0.8, 0.95, 1.0])
    assert found == ["pass", "review", "step_up", "decline_recommended", "decline_recommended"]


def test_rules_raise_and_never_lower() -> None:
    assert outcomes([0.1, 0.99, NAN], [2, 1, 1]) == ["step_up", "decline_recommended", "review"]


def test_no_score_and_no_rule_passes_and_so_does_a_duplicate() -> None:
    assert outcomes([NAN, 0.99, 0.99], [0, 3, 0], [0, Flag.DUPLICATE, Flag.LATE]) == [
        "pass",
        "pass",
        "decline_recommended",
    ]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, PANEL),
        ({"review_threshold": 0.01}, Cuts(0.01, 0.8, 0.95)),
        ({"review_threshold": 0.9}, Cuts(0.9, 0.9, 0.95)),
        ({"decline_threshold": 0.3}, Cuts(0.3, 0.3, 0.3)),
        ({"step_up_threshold": 0.6, "decline_threshold": 0.7}, Cuts(0.5, 0.6, 0.7)),
    ],
)
def test_settings_stand_above_the_panel_and_cuts_grow(given: dict[str, float], found: Cuts) -> None:
    assert cuts(DecisionSettings(**given), PANEL) == found


def test_contradicting_thresholds_are_refused() -> None:
    with pytest.raises(SettingError, match=r"decision\.review_threshold .* above decision\.decline_threshold"):
        check_decision(DecisionSettings(review_threshold=0.9, decline_threshold=0.5))


def test_the_threshold_of_an_alert_is_that_of_its_outcome() -> None:
    assert [threshold_of(outcome, PANEL) for outcome in (1, 2, 3)] == [0.5, 0.8, 0.95]


def test_ids_are_stable_and_tell_sources_and_cases_apart() -> None:
    assert alert_id("T", 1, 2) == alert_id("T", 1, 2)
    assert len({alert_id("T", 1, 2), alert_id("U", 1, 2), alert_id("T", 2, 2), alert_id("T", 1, 3)}) == 4
    hour = 3_600_000
    assert case_id("tok", 0, 24) == case_id("tok", 24 * hour - 1, 24) != case_id("tok", 24 * hour, 24)
    assert case_id("tok", 0, 24) != case_id("other", 0, 24)
