"""Frauds and money before the first alert, and honest customers declined at the same money caught."""

from __future__ import annotations

import numpy as np
import pytest
from judged_rows import rows

from stream.features import FEATURE_NAMES
from training.money import CASE_COST, before_first_alert, false_declines, taken, worth

CARD = np.array([1, 1, 1, 1, 2, 2, 3])
FRAUD = np.array([0, 1, 1, 1, 1, 1, 0], bool)
MONEY = np.array([5.0, 10.0, 20.0, 40.0, 100.0, 300.0, 7.0])


def told(alert: list[int]) -> dict[str, float]:
    return before_first_alert(rows(FRAUD, card=CARD), MONEY, np.array(alert, bool), FRAUD)


def test_what_was_taken_before_the_first_alert_is_lost_and_all_of_it_where_there_is_none() -> None:
    figures = told([0, 0, 1, 1, 0, 0, 1])
    assert figures["cards"] == 2 and figures["alerted"] == 0.5 and figures["first_is_alerted"] == 0.0
    assert figures["frauds"] == (1 + 2) / 2 and figures["money"] == (10 + 400) / 2
    assert figures["money_share"] == pytest.approx(410 / 470)


def test_an_alert_before_the_first_fraud_saves_nothing_and_one_on_it_saves_all() -> None:
    assert told([1, 0, 0, 0, 0, 0, 0])["money_share"] == 1.0
    assert told([0, 1, 0, 0, 1, 0, 0])["money_share"] == 0.0


def test_an_alert_on_an_honest_row_after_the_first_fraud_stops_the_card() -> None:
    fraud = np.array([1, 0, 1, 0, 0, 0, 0], bool)
    alert = np.array([0, 1, 0, 0, 0, 0, 0], bool)
    assert before_first_alert(rows(fraud, card=np.zeros(7, int)), MONEY, alert, fraud)["money"] == 5.0


def test_false_declines_are_counted_where_the_share_of_money_is_caught() -> None:
    score = np.array([9, 8, 7, 6, 5, 4, 8.5])  # by score: honest 5, honest 7, then frauds 10, 20, 40, 100, 300
    at = false_declines(rows(FRAUD, card=CARD), MONEY, score, FRAUD, shares=(0.1, 1.0))
    assert at == {"0.1": pytest.approx(1e4 * 2 / 3), "1": pytest.approx(1e4 * 2 / 3)}
    tied = false_declines(rows(FRAUD, card=CARD), MONEY, np.ones(7), FRAUD, shares=(0.1,))
    assert tied["0.1"] == pytest.approx(1e4 * 2 / 3), "rows of one score are declined together"


def test_a_better_score_declines_fewer() -> None:
    samples = rows(FRAUD, card=CARD)
    good, bad = false_declines(samples, MONEY, FRAUD * 1.0, FRAUD), false_declines(samples, MONEY, FRAUD * -1.0, FRAUD)
    assert all(good[share] < bad[share] for share in good)


def test_declined_attempts_take_no_money() -> None:
    samples = rows(np.zeros(2))
    samples.X[:, FEATURE_NAMES.index("amount")] = np.log1p(50.0)
    samples.X[1, FEATURE_NAMES.index("is_declined")] = 1.0
    assert taken(samples).tolist() == [pytest.approx(50.0, rel=1e-6), 0.0]


def test_a_threshold_is_worth_what_it_saves_minus_its_cases() -> None:
    logit = np.array([-1.0, -1, 3, -1, 2, -1, 5])
    at = worth(rows(FRAUD, card=CARD), MONEY, logit, FRAUD, 2.5)["shipped"]
    assert at["saved"] == 20 + 40 and at["cases"] == 2 and at["net"] == 60 - 2 * CASE_COST
