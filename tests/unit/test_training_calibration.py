"""Calibration and fusion: monotone, prior-true, cross-fitted."""

from __future__ import annotations

import numpy as np
import pytest

from training.calibrate import fit_calibrator, rank_calibrator, sigmoid
from training.cases import count_cases, cuts_for_precision
from training.fuse import fit_fusion, fit_logistic
from training.samples import Samples

HOUR = 3_600_000


def samples(y: np.ndarray, card: np.ndarray | None = None, time: np.ndarray | None = None, **more: object) -> Samples:
    n = len(y)
    given: dict[str, object] = {
        "X": np.zeros((n, 1), np.float32),
        "S": np.zeros((n, 1, 1), np.float32),
        "y": np.asarray(y, float),
        "fraud": np.asarray(y) > 0,
        "event_time": np.arange(n, dtype=np.int64) * HOUR if time is None else time,
        "card": np.arange(n, dtype=np.int64) if card is None else card,
        "bank": np.zeros(n, np.int64),
        "fraud_case": np.full(n, -1, np.int64),
        "story": np.full(n, "", "U24"),
    }
    return Samples(**(given | more))  # type: ignore[arg-type]


def drawn(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    raw = rng.normal(size=n)
    return raw, (rng.random(n) < sigmoid(2 * raw - 5)).astype(float)


def test_a_calibrator_finds_the_probabilities_and_never_falls() -> None:
    raw, y = drawn(60_000, 1)
    table = fit_calibrator(raw, y)
    assert (np.diff(table.logit) > 0).all() and (np.diff(table.raw) > 0).all()
    p = sigmoid(table(raw))
    assert p.sum() == pytest.approx(y.sum(), rel=0.02)
    for low, high in ((0.02, 0.1), (0.1, 0.4)):
        band = (p >= low) & (p < high)
        assert p[band].mean() == pytest.approx(y[band].mean(), rel=0.25)


def test_weights_put_back_a_prior_that_sampling_took_away() -> None:
    raw, y = drawn(60_000, 2)
    kept = (y > 0) | (np.arange(len(y)) % 10 == 0)
    table = fit_calibrator(raw[kept], y[kept], weight=np.where(y[kept] > 0, 1.0, 10.0))
    assert sigmoid(table(raw)).sum() == pytest.approx(y.sum(), rel=0.1)


@pytest.mark.parametrize("raw", [np.zeros(50), np.r_[np.zeros(49), 1.0], np.array([3.0])])
def test_calibrators_take_constant_scores(raw: np.ndarray) -> None:
    y = np.zeros(len(raw))
    y[-1] = 1.0
    for table in (fit_calibrator(raw, y), rank_calibrator(raw)):
        assert np.isfinite(table(raw)).all() and (np.diff(table.raw) > 0).all()


def test_weights_are_never_negative_and_follow_what_tells() -> None:
    raw, y = drawn(5_000, 3)
    bias, weights = fit_logistic(np.stack([2 * raw - 5, -raw], axis=1), y)
    assert (weights >= 0).all() and weights[0] == pytest.approx(1.0, abs=0.15) and weights[1] < 0.05
    assert bias == pytest.approx(0.0, abs=0.3)


def test_every_subset_has_a_rule_with_growing_cuts() -> None:
    raw, y = drawn(8_000, 4)
    noise = np.random.default_rng(0).normal(size=len(y))
    fused = fit_fusion({"good": raw, "fair": raw + noise, "bad": noise}, samples(y), seed=1)
    assert set(fused.subsets) == {"good", "fair", "bad", "bad+good", "fair+good", "bad+fair", "bad+fair+good"}
    for rule in fused.subsets.values():
        assert 0 < rule.review <= rule.step_up <= rule.decline < 1 and min(rule.weights) > 0
    everyone, alone = fused.logits["bad+fair+good"], fused.logits["bad"]
    volume = (
        everyone >= np.log(fused.subsets["bad+fair+good"].review / (1 - fused.subsets["bad+fair+good"].review))
    ).sum()
    assert (alone >= np.log(fused.subsets["bad"].review / (1 - fused.subsets["bad"].review))).sum() <= 3 * volume + 5


def test_a_detector_that_knows_the_answers_by_heart_gains_nothing_from_its_own_fold() -> None:
    y = (np.arange(4_000) % 50 == 0).astype(float)
    noise = np.random.default_rng(1).normal(size=len(y))
    fused = fit_fusion({"noise": noise}, samples(y), seed=1)
    assert abs(np.corrcoef(fused.logits["noise"], y)[0, 1]) < 0.06


def test_cases_are_counted_by_card_and_day() -> None:
    hours = np.array([0, 1, 23, 25, 26, 0, 2])
    rows = samples(
        np.array([0, 1, 0, 0, 1, 0, 0]),
        card=np.array([1, 1, 1, 1, 1, 2, 2], np.int64),
        time=hours.astype(np.int64) * HOUR,
        fraud_case=np.array([-1, 7, -1, -1, 8, -1, -1], np.int64),
    )
    figures = count_cases(rows, np.array([1, 1, 0, 1, 0, 1, 1], bool), rows.fraud)
    assert (figures.cases, figures.true_cases, figures.frauds, figures.caught) == (3, 1, 2, 1)
    assert figures.precision == pytest.approx(1 / 3) and figures.recall == 0.5


def test_frauds_without_a_known_episode_are_grouped_by_day() -> None:
    rows = samples(np.ones(4), card=np.zeros(4, np.int64), time=np.array([0, 5, 30, 40], np.int64) * HOUR)
    assert count_cases(rows, np.zeros(4, bool), rows.fraud).frauds == 2


def test_cuts_reach_their_precision_or_say_that_they_cannot() -> None:
    raw, y = drawn(30_000, 5)
    rows = samples(y)
    (cut, reached), (_, never) = cuts_for_precision(rows, raw, rows.fraud, [0.3, 0.99])
    assert reached and not never
    assert count_cases(rows, raw >= cut, rows.fraud).precision >= 0.3


def test_a_few_false_cases_at_the_top_do_not_decide_a_cut() -> None:
    rng = np.random.default_rng(6)
    score = rng.normal(size=40_000)
    fraud = score > np.quantile(score, 0.985)
    worst = np.argsort(-score)[:8]
    fraud[worst] = False  # chance: the highest scores of all are honest
    (cut, reached), *_ = cuts_for_precision(samples(fraud), score, fraud, [0.85])
    assert reached and cut < np.quantile(score, 0.99)
