"""Precision and recall by case, on a stream small enough to count by hand."""

import numpy as np

from stream.demo.figures import HOUR_MS, Stream, best_single, by_case, by_story

ROWS = [
    {"card": 1, "event_time": 0, "fraud": True, "story": "bust_out", "fraud_case": 9},
    {"card": 1, "event_time": HOUR_MS, "fraud": True, "story": "bust_out", "fraud_case": 9},
    {"card": 1, "event_time": 30 * HOUR_MS, "fraud": False, "story": "", "fraud_case": None},
    {"card": 2, "event_time": 0, "fraud": True, "story": "card_testing", "fraud_case": 9},
    {"card": 3, "event_time": 0, "fraud": False, "story": "", "fraud_case": None},
    {"card": 3, "event_time": HOUR_MS, "fraud": False, "story": "", "fraud_case": None},
]


def stream() -> Stream:
    return Stream.of(ROWS, case_hours=24)


def test_alerts_of_one_card_within_a_day_are_one_case() -> None:
    got = by_case(stream(), np.array([True, True, False, False, True, True]))
    assert (got["alert_cases"], got["precision"]) == (2, 0.5)


def test_an_episode_is_caught_once_and_counted_per_card() -> None:
    got = by_case(stream(), np.array([False, True, False, False, False, False]))
    assert (got["fraud_cases"], got["recall"]) == (2, 0.5)
    assert got["recall_transactions"] == 1 / 3


def test_an_honest_alert_on_a_card_with_fraud_does_not_count_as_right() -> None:
    got = by_case(stream(), np.array([False, False, True, False, False, False]))
    assert (got["precision"], got["recall"]) == (0.0, 0.0)


def test_a_story_never_caught_is_listed_with_zero() -> None:
    got = by_story(stream(), np.array([True, False, False, False, False, False]))
    assert got["card_testing"]["recall"] == 0.0
    assert got["bust_out"]["recall"] == 1.0


def test_the_best_single_feature_uses_as_many_cases_as_the_panel() -> None:
    features = np.array([[9, 0], [8, 0], [0, 1], [7, 0], [1, 2], [1, np.nan]], np.float32)
    got = best_single(stream(), features, ("amount", "other"), cases=2)
    assert got == {"feature": "amount high", "precision": 1.0, "recall": 1.0}


def test_nothing_alerted_is_nothing_found() -> None:
    got = by_case(stream(), np.zeros(6, bool))
    assert (got["precision"], got["recall"], got["alert_cases"]) == (0.0, 0.0, 0)
