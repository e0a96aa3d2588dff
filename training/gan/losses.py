"""The two-player losses: binary cross entropy and Wasserstein with gradient penalty."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

Loss = Literal["bce", "wgan-gp"]
PENALTY = 10.0


def critic_loss(real: Tensor, fake: Tensor, loss: Loss) -> Tensor:
    """What the critic minimises, without the penalty; ``real`` and ``fake`` are its raw scores (n,)."""
    if loss == "bce":
        ones = nn.functional.softplus(-real).mean()
        return ones + nn.functional.softplus(fake).mean()
    return fake.mean() - real.mean()


def generator_loss(fake: Tensor, loss: Loss) -> Tensor:
    """What the generator minimises: the non-saturating loss for ``bce`` (Goodfellow 2014)."""
    return nn.functional.softplus(-fake).mean() if loss == "bce" else -fake.mean()


def gradient_penalty(
    critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, weight: float = PENALTY
) -> tuple[Tensor, float]:
    """Penalise gradients of another norm than 1 between real and generated points (Gulrajani 2017, eq. 3).

    Returns
    -------
    penalty : scalar
    norm : mean norm of the gradient
    """
    share = torch.rand(len(real), *[1] * (real.dim() - 1))
    between = (share * real + (1 - share) * fake).requires_grad_(True)
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    norm = gradient.flatten(1).square().sum(1).add(1e-12).sqrt()
    return weight * (norm - 1).square().mean(), float(norm.mean().detach())
