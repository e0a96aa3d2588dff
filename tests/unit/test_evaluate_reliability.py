"""Calibration figures: a true probability passes, one that is too sure or too low does not."""

from __future__ import annotations

import numpy as np
import pytest
from judged_rows import rows

from training.bootstrap import Blocks
from training.calibrate import sigmoid
from training.reliability import known_share, logistic_line, reliability, shifted

RNG = np.random.default_rng(7)
LOGIT = RNG.normal(-3, 2, 20_000)
FRAUD = RNG.random(20_000) < sigmoid(LOGIT)
BLOCKS = Blocks(rows(FRAUD), repeats=100)


def test_a_true_probability_has_skill_slope_one_and_meets_its_expectation() -> None:
    figures = reliability(LOGIT, FRAUD, LOGIT > 0, BLOCKS)
    assert figures["brier_skill"] > 0.3 and figures["slope"] == pytest.approx(1.0, abs=0.1) and figures["within"]
    assert figures["intercept"] == pytest.approx(0.0, abs=0.15)


def test_an_overconfident_one_has_a_small_slope_and_one_that_is_too_low_falls_out_of_its_interval() -> None:
    assert reliability(2 * LOGIT, FRAUD, LOGIT > 0, BLOCKS)["slope"] == pytest.approx(0.5, abs=0.05)
    low = reliability(LOGIT - 1.5, FRAUD, LOGIT > 0, BLOCKS)
    assert low["ratio"] > 1.2 and not low["within"]


def test_a_constant_has_no_skill() -> None:
    assert reliability(np.full(len(LOGIT), -3.0), FRAUD, LOGIT > 0, BLOCKS)["brier_skill"] <= 0


def test_the_diagram_holds_every_row() -> None:
    bins = reliability(LOGIT, FRAUD, LOGIT > 0, BLOCKS)["bins"]
    assert sum(part["rows"] for part in bins) == len(LOGIT)
    assert sum(part["rows"] * part["seen"] for part in bins) == pytest.approx(FRAUD.sum())


def test_moving_a_logit_moves_the_share_of_fraud() -> None:
    kept = FRAUD | (RNG.random(len(FRAUD)) < 0.1)
    moved = shifted(LOGIT[kept], float(FRAUD.mean()), float(FRAUD[kept].mean()))
    assert sigmoid(moved).sum() == pytest.approx(FRAUD[kept].sum(), rel=0.05)


def test_one_class_has_no_line_and_no_fraud_seen_does_not_mean_never() -> None:
    assert np.isnan(logistic_line(LOGIT, np.zeros(len(LOGIT)))).all()
    assert 0 < known_share(rows(np.zeros(50)), np.ones(50, bool)) < 0.05
