"""VUS-PR on labels whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from training.protocols.nab_vus import period_of, vus_pr


def labels(n: int = 500) -> np.ndarray:
    out = np.zeros(n)
    out[100:130] = out[300:340] = 1.0
    return out


def test_a_perfect_score_without_margin_has_the_area_1() -> None:
    y = labels()
    score = y + 0.001 * np.random.default_rng(0).random(len(y))
    assert vus_pr(y, score, 0) == pytest.approx(1.0, abs=0.02)


def test_a_random_score_has_about_the_share_of_labels() -> None:
    y = labels(2000)
    areas = [vus_pr(y, np.random.default_rng(seed).random(2000), 0) for seed in range(20)]
    assert np.mean(areas) == pytest.approx(y.mean(), abs=0.02)


def test_a_late_score_loses_less_the_wider_the_margin() -> None:
    y = labels()
    late = np.roll(y, 8) + 0.001 * np.random.default_rng(0).random(len(y))
    narrow, wide = vus_pr(y, late, 0), vus_pr(y, late, 40)
    assert 0.4 < narrow < wide < 1.0


def test_one_range_found_of_two_loses_about_half() -> None:
    y = labels()
    score = y.copy()
    score[300:340] = 0.0
    assert 0.4 < vus_pr(y, score + 0.001 * np.random.default_rng(1).random(len(y)), 0) < 0.6


def test_the_period_of_a_wave_is_found() -> None:
    random = np.random.default_rng(0)
    clock = np.arange(3000)
    assert period_of(np.sin(2 * np.pi * clock / 48) + 0.2 * random.normal(size=3000)) == pytest.approx(48, abs=1)
    assert period_of(clock.astype(float)) == 125
