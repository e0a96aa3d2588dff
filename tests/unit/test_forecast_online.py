"""Networks that learn while their series runs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.forecast.network import QuantileNet, StackedNets, narrow_start, pinball
from training.forecast.online import CLIP, LEVELS, Learning, Prepared, online_residuals, prepare, scaled
from training.forecast.planted import planted_series

QUICK = Learning(hidden=8, window=8, batch=4, first_steps=20, every=32, steps=2)


def wave(length: int, seed: int) -> Prepared:
    random = np.random.default_rng(seed)
    clock = np.arange(length)
    values = 10 + 3 * np.sin(clock / 12) + random.normal(size=length)
    return prepare(values, (clock % 288) / 12.0, 60)


@pytest.fixture(scope="module")
def residuals() -> list[np.ndarray]:
    return online_residuals([wave(300, 1), wave(420, 2)], QUICK, seed=3)


def test_every_point_after_the_first_has_a_residual(residuals: list[np.ndarray]) -> None:
    assert [len(one) for one in residuals] == [300, 420]
    for one in residuals:
        assert np.isnan(one[0])
        assert np.isfinite(one[1:]).all()
        assert one[1:].min() >= 0
        assert one[1:].max() <= CLIP


def test_the_future_changes_no_residual_before_it(residuals: list[np.ndarray]) -> None:
    known = wave(420, 2)
    inputs, target = known.inputs.copy(), known.target.copy()
    inputs[250:], target[250:] = 4.0, -4.0
    changed = online_residuals([wave(300, 1), Prepared(inputs, target, known.probation)], QUICK, seed=3)[1]
    np.testing.assert_array_equal(changed[:250], residuals[1][:250])
    assert not np.array_equal(changed[250:], residuals[1][250:])


def test_a_probation_shorter_than_a_window_sees_no_future_either() -> None:
    first, second = (Prepared(wave(100, 1).inputs, wave(100, 1).target.copy(), 5) for _ in range(2))
    second.target[20:] = 4.0
    one, other = (online_residuals([series], Learning(hidden=4, window=24, batch=4, every=16, first_steps=5), 1)[0]
                  for series in (first, second))  # fmt: skip
    np.testing.assert_array_equal(one[:20], other[:20])


def test_missing_and_infinite_values_are_skipped() -> None:
    values = np.random.default_rng(0).normal(size=150)
    values[[60, 90]] = np.nan, np.inf
    found = online_residuals([prepare(values, np.zeros(150), 40)], QUICK, 1)[0]
    assert np.flatnonzero(np.isnan(found)).tolist() == [0, 60, 90]


def test_a_series_learns_from_no_other(residuals: list[np.ndarray]) -> None:
    alone = online_residuals([wave(300, 1)], QUICK, seed=3)[0]
    np.testing.assert_allclose(alone[1:], residuals[0][1:], atol=1e-3)


def test_a_seed_repeats_and_another_differs(residuals: list[np.ndarray]) -> None:
    again, other = (online_residuals([wave(300, 1), wave(420, 2)], QUICK, seed=seed) for seed in (3, 4))
    np.testing.assert_array_equal(again[0], residuals[0])
    assert not np.array_equal(other[0], residuals[0])


def test_stacked_networks_equal_the_network_they_start_from() -> None:
    torch.manual_seed(0)
    nets = [QuantileNet(4, 6, 1, len(LEVELS)) for _ in range(3)]
    x = torch.randn(3, 5, 9, 4)
    with torch.no_grad():
        together = StackedNets(nets)(x)
        for k, net in enumerate(nets):
            torch.testing.assert_close(together[k], net(x[k])[:, :, 0], atol=1e-5, rtol=1e-4)


def test_quantiles_rise_and_begin_where_told() -> None:
    net = QuantileNet(2, 4, 2, 5)
    narrow_start(net.head, 2, [-2.0, -1.0, 0.5, 1.0, 4.0])
    with torch.no_grad():
        net.head.weight.zero_()
        out = net(torch.randn(3, 4, 2))
    assert bool((out.diff(dim=-1) > 0).all())
    torch.testing.assert_close(out[0, 0, 1], torch.tensor([-2.0, -1.0, 0.5, 1.0, 4.0]))


def test_pinball_is_least_at_the_quantile() -> None:
    actual = torch.from_numpy(np.random.default_rng(0).normal(size=4000))
    losses = [float(pinball(torch.tensor([at]), actual, torch.tensor([0.9])).mean()) for at in (0.8, 1.2816, 1.8)]
    assert losses[1] == min(losses)


def test_scaling_knows_the_probation_alone() -> None:
    values = np.random.default_rng(0).normal(5, 2, 200)
    longer = np.concatenate((values, [1e6, -1e6]))
    np.testing.assert_array_equal(scaled(values, 100), scaled(longer, 100)[:200])
    assert np.isfinite(scaled(np.full(50, 7.0), 20)).all()


def test_planted_series_hold_their_changes() -> None:
    series = planted_series(12, 900, seed=1)
    assert len({one.kind for one in series}) == 6
    changes = [change for one in series for change in one.changes]
    assert changes
    for _, first, last in changes:
        assert 180 <= first <= last < 900
