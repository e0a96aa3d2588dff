"""Intervals by card × day: the statistics are the plain figures, and blocks are drawn whole."""

from __future__ import annotations

import numpy as np
import pytest
from judged_rows import HOUR, rows
from sklearn.metrics import average_precision_score

from training.bootstrap import Blocks, average_precision, case_precision, case_recall
from training.cases import count_cases


def scored(n: int, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    fraud = rng.random(n) < 0.1
    score = rng.normal(size=n) + 1.5 * fraud
    return fraud, np.round(score) if ties else score


@pytest.mark.parametrize("ties", [False, True])
def test_with_weights_of_one_it_is_the_average_precision(ties: bool) -> None:
    fraud, score = scored(500, ties)
    blocks = Blocks(rows(fraud))
    statistic = average_precision(score, fraud, blocks.of)
    assert statistic(np.ones(blocks.count)) == pytest.approx(average_precision_score(fraud, score))


def test_a_weight_counts_as_that_many_rows() -> None:
    fraud, score = scored(300, ties=True)
    blocks = Blocks(rows(fraud))
    weight = np.random.default_rng(1).integers(0, 4, blocks.count).astype(float)
    often = weight[blocks.of].astype(int)
    again = average_precision_score(np.repeat(fraud, often), np.repeat(score, often))
    assert average_precision(score, fraud, blocks.of)(weight) == pytest.approx(again)


def test_cases_are_counted_as_elsewhere() -> None:
    fraud, score = scored(400)
    samples = rows(fraud, card=np.arange(400) % 60)
    alert, blocks = score > 1, Blocks(samples)
    figures, ones = count_cases(samples, alert, fraud), np.ones(blocks.count)
    assert case_precision(samples, alert, fraud, blocks.of)(ones) == pytest.approx(figures.precision)
    assert case_recall(samples, alert, fraud, blocks.of)(ones) == pytest.approx(figures.recall)


def test_a_block_is_a_card_on_a_day() -> None:
    samples = rows(np.zeros(6), card=np.array([1, 1, 2, 2, 1, 2]), event_time=np.array([0, 1, 0, 1, 30, 2]) * HOUR)
    of = Blocks(samples).of
    assert of[0] == of[1] and of[2] == of[3] == of[5] and len(set(of.tolist())) == 3 and of[4] not in (of[0], of[2])


def test_an_interval_of_a_mean_has_the_width_that_theory_gives() -> None:
    fraud = np.random.default_rng(5).random(2000) < 0.2
    blocks = Blocks(rows(fraud), repeats=400, seed=1)
    low, high = blocks.intervals({"share": lambda w: float(w[blocks.of] @ fraud) / w.sum()}, {})["share"]
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(0.2 * 0.8 / 2000), rel=0.2)


def test_a_difference_is_taken_on_the_same_draws() -> None:
    fraud, score = scored(600)
    blocks = Blocks(rows(fraud), repeats=50)
    one = average_precision(score, fraud, blocks.of)
    same = average_precision(2 * score, fraud, blocks.of)
    found = blocks.intervals({"a": one, "b": same}, {"a - b": ("a", "b")})
    assert found["a - b"] == (0.0, 0.0) and found["a"][0] < found["a"][1]
