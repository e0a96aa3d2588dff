"""Anomaly scores from records: what is new, and nothing of the future."""

from __future__ import annotations

import numpy as np
import pytest

from training.forecast.anomaly import Scoring, score_series
from training.forecast.records import Extreme, Hush, Records, RunningMean


def test_extreme_is_the_largest_of_the_last_numbers() -> None:
    numbers = np.random.default_rng(0).normal(size=300)
    extreme = Extreme(memory=17)
    for k, number in enumerate(numbers):
        extreme.push(float(number))
        assert extreme.value == numbers[max(k - 16, 0) : k + 1].max()


def test_a_record_scores_its_margin_in_ranges_times_patience() -> None:
    records = Records(memory=100, patience=4.0, floor=1.0)
    assert [records.update(number) for number in (0.0, 1.0, 0.5, 0.7)] == [0.0, 1 / 5, 0.0, 0.0]
    assert records.update(3.0) == pytest.approx((3.0 - 1.0) / 1.0 * 4 / (4 + 4))
    assert records.update(-0.5) == pytest.approx((0.5 / 3.0) * 5 / (5 + 4))


def test_an_outlier_enters_the_memory_clipped() -> None:
    records = Records(memory=100, patience=0.0, floor=1.0)
    for number in (0.0, 1.0, 1e9):
        records.update(number)
    assert records.update(6.0) == pytest.approx((6.0 - 3.0) / 3.0)


def test_one_sided_records_ignore_small_numbers() -> None:
    records = Records(patience=0.0, both=False)
    assert [records.update(number) for number in (1.0, 2.0, -50.0)][-1] == 0.0


def test_hush_passes_only_what_was_not_reached_before() -> None:
    hush = Hush(span=3)
    scores = (0.5, 0.4, 0.6, 0.6, 0.1, 0.2, 0.3, 0.4)
    assert [hush.update(score) for score in scores] == [0.5, 0, 0.6, 0, 0, 0, 0, 0.4]


def test_running_mean_takes_fewer_at_the_start() -> None:
    mean = RunningMean(2)
    assert [mean.update(number) for number in (1.0, 3.0, 5.0)] == [1.0, 2.0, 4.0]


def test_scores_do_not_see_the_future() -> None:
    random = np.random.default_rng(1)
    values, residuals = random.normal(size=800), np.abs(random.normal(size=800))
    changed = values.copy(), residuals.copy()
    changed[0][500:] += 40.0
    changed[1][500:] = 5.0
    before = score_series(values, residuals, 120, Scoring())
    after = score_series(*changed, 120, Scoring())
    np.testing.assert_array_equal(before[:500], after[:500])
    assert after[500] > 1.0 > before[500]


def test_a_missing_value_scores_nothing_and_is_not_remembered() -> None:
    values = np.concatenate((np.random.default_rng(2).normal(size=300), [np.nan, 9.0]))
    scores = score_series(values, np.full(302, np.nan), 50, Scoring())
    assert scores[300] == 0.0
    assert scores[301] > 0.3
