"""Measures of forecasts against what is known of them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from training.forecast.measures import LEVELS, covered, crps, diebold_mariano, naive_scale, regimes


def test_crps_of_a_normal_forecast_is_near_its_closed_form() -> None:
    actual = np.array([-2.0, 0.0, 0.3, 1.5])
    quantiles = np.tile(stats.norm.ppf(LEVELS), (4, 1))
    exact = actual * (2 * stats.norm.cdf(actual) - 1) + 2 * stats.norm.pdf(actual) - 1 / np.sqrt(np.pi)
    np.testing.assert_allclose(crps(quantiles, actual), exact, atol=0.01)


def test_crps_of_a_sure_forecast_is_its_error() -> None:
    assert crps(np.full((1, len(LEVELS)), 3.0), np.array([1.0]))[0] == pytest.approx(2.0)


def test_covered_counts_the_ends() -> None:
    quantiles = np.tile(np.arange(len(LEVELS), dtype=float), (3, 1))
    assert covered(quantiles, np.array([3.0, 19.0, 19.5])).tolist() == [1.0, 1.0, 0.0]


def test_naive_scale_is_never_0() -> None:
    assert naive_scale(np.array([1.0, 2.0, 4.0, 5.0]), 1) == pytest.approx(4 / 3)
    assert naive_scale(np.tile([1.0, 5.0], 10), 2) == 3.0
    assert naive_scale(np.zeros(9), 1) == 1.0


def test_diebold_mariano_finds_a_difference_and_only_a_true_one() -> None:
    random = np.random.default_rng(0)
    found = [diebold_mariano(*random.gamma(2.0, size=(2, 200)), lags=0).p < 0.05 for _ in range(400)]
    assert 0.02 < np.mean(found) < 0.09
    loss = random.gamma(2.0, size=200)
    test = diebold_mariano(loss - 0.3 + 0.2 * random.normal(size=200), loss, lags=4)
    assert test.statistic < -5
    assert test.p < 1e-6
    assert diebold_mariano(loss, loss, lags=4).p == 1.0


def test_autocorrelated_losses_are_less_sure() -> None:
    gap = np.repeat(np.random.default_rng(1).normal(0.1, 1, 40), 5)
    zero = np.zeros(200)
    assert diebold_mariano(gap, zero, lags=4).p > diebold_mariano(gap, zero, lags=0).p


def test_regimes_are_thirds_of_the_past() -> None:
    past = np.arange(90.0)
    assert regimes(np.array([5.0, 45.0, 1000.0]), past).tolist() == [0.0, 1.0, 2.0]
