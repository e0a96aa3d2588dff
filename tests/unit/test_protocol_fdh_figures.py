"""Figures of rankings agree with the common library, with hand-made cases, and compare in pairs."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from training.protocols import figures as fig


def _rows(n: int = 4000, seed: int = 3) -> tuple[fig.Judged, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.03).astype(float)
    rows = fig.Judged(y, rng.integers(0, 300, n), rng.integers(10, 17, n))
    return rows, y + rng.normal(0, 0.7, n).round(1)


def test_auc_and_average_precision_are_those_of_the_common_library_with_ties() -> None:
    rows, score = _rows()
    assert fig.auc(rows.y, score) == pytest.approx(roc_auc_score(rows.y, score), abs=1e-12)
    assert fig.average_precision(rows.y, score) == pytest.approx(average_precision_score(rows.y, score), abs=1e-12)
    weight = np.random.default_rng(0).integers(0, 3, len(score)).astype(float)
    found = fig.Ranking(rows.y, score).figures(weight)
    assert found[0] == pytest.approx(roc_auc_score(rows.y, score, sample_weight=weight), abs=1e-9)
    assert found[1] == pytest.approx(average_precision_score(rows.y, score, sample_weight=weight), abs=1e-9)


def test_a_card_that_was_caught_no_longer_takes_a_place() -> None:
    y = np.array([1.0, 0.0, 0.0, 1.0, 0.0, 1.0])
    rows = fig.Judged(y, np.array([1, 2, 3, 1, 2, 3]), np.array([5, 5, 5, 6, 6, 6]))
    score = np.array([0.9, 0.5, 0.1, 0.9, 0.5, 0.8])
    # day 5: card 1 is caught; day 6: without card 1 the first is card 3
    assert fig.card_precision_days(rows, score, k=1).tolist() == [1.0, 1.0]
    assert fig.card_precision_days(rows, score, k=2).tolist() == [0.5, 0.5]
    assert fig.ceiling(rows, k=2) == 0.5


def test_a_better_ranking_wins_the_paired_comparison_and_equal_ones_do_not() -> None:
    rows, score = _rows()
    sample = fig.Resampled([rows], seed=1, draws=80)
    good, poor = sample.figures([score]), sample.figures([np.random.default_rng(1).normal(size=len(score))])
    won = fig.paired(good["ap"], poor["ap"])
    assert won["p"] < 0.05 and won["low"] > 0
    same = fig.paired(good["ap"], good["ap"])
    assert same["difference"] == 0 and same["p"] == 1.0
    low, high = fig.interval(good["auc"][1])
    assert low < good["auc"][0] < high


def test_blocks_are_drawn_whole() -> None:
    rows, _ = _rows(300)
    for weight in fig.block_weights(rows, 3, seed=2):
        for card, day in {(int(c), int(d)) for c, d in zip(rows.card, rows.day, strict=True)}:
            assert len(set(weight[(rows.card == card) & (rows.day == day)])) == 1


def test_calibration_tells_a_right_probability_from_an_inflated_one() -> None:
    rng = np.random.default_rng(5)
    logit = rng.normal(-3, 1.5, 40_000)
    p = 1 / (1 + np.exp(-logit))
    y = (rng.random(len(p)) < p).astype(float)
    rows = fig.Judged(y, rng.integers(0, 2000, len(y)), rng.integers(0, 7, len(y)))
    right = fig.calibration(y, p)
    assert right["slope"] == pytest.approx(1.0, abs=0.06) and right["brier_skill"] > 0.1
    assert fig.alert_band(rows, p)["holds"] == 1.0
    inflated = 1 / (1 + np.exp(-2 * logit))
    assert fig.calibration(y, inflated)["slope"] == pytest.approx(0.5, abs=0.05)
    assert fig.alert_band(rows, 1 / (1 + np.exp(-logit - 1.5)))["holds"] == 0.0
