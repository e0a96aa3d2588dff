"""The ring of eight modes: its judge, its losses, and that training finds the modes again in the same way."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.gan.losses import critic_loss, generator_loss, gradient_penalty
from training.gan.ring import SIGMA, centres, judge, summary, train_ring


def test_the_judge_counts_modes_and_stray_samples() -> None:
    rng = np.random.default_rng(0)
    samples = np.repeat(centres(), 100, axis=0) + SIGMA * rng.normal(size=(800, 2))
    modes, inside = judge(samples)
    assert modes == 8 and inside > 0.97
    assert judge(samples[:300])[0] == 3
    assert judge(np.zeros((100, 2))) == (0, 0.0)


def test_the_penalty_is_zero_where_the_gradient_has_norm_one() -> None:
    weights = torch.tensor([0.6, 0.8])
    real, fake = torch.randn(32, 2), torch.randn(32, 2)
    penalty, norm = gradient_penalty(lambda x: x @ weights, real, fake)
    assert float(penalty) == pytest.approx(0, abs=1e-8) and norm == pytest.approx(1, abs=1e-5)
    assert float(gradient_penalty(lambda x: 3 * x @ weights, real, fake)[0]) == pytest.approx(40, rel=1e-4)


def test_losses_are_those_of_the_papers() -> None:
    real, fake = torch.tensor([2.0, 0.0]), torch.tensor([-1.0, 1.0])
    assert float(critic_loss(real, fake, "wgan-gp")) == -1.0
    assert float(generator_loss(fake, "wgan-gp")) == 0.0
    two = torch.nn.functional.binary_cross_entropy_with_logits
    assert torch.isclose(critic_loss(real, fake, "bce"), two(real, torch.ones(2)) + two(fake, torch.zeros(2)))
    assert torch.isclose(generator_loss(fake, "bce"), two(fake, torch.ones(2)))


def test_a_seed_trains_the_same_way_twice_and_is_summed_up() -> None:
    one, two = (train_ring("wgan-gp", "adam", 3, rounds=20, checks=10) for _ in range(2))
    assert one.figures() == two.figures() and len(one.curves["modes"]) == 10
    (row,) = summary([one, two])
    assert row["seeds"] == 2 and row["converged"] == 0  # twenty updates are no training
