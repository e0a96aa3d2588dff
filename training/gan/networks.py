"""Generator and critic of transaction windows: one-dimensional convolutions over the steps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from training.gan.coding import width_of_condition
from training.gan.layout import COLUMNS, HEADS, NEW_SLOTS, NUMBERS, PHYSICAL_SLOTS, STEPS, WIDTH

NOISE, COMMON = 12, 20
_SLOPE = 0.2


class _Block(nn.Module):
    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.one = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.two = nn.Conv1d(width, width, 1)
        self.act = nn.LeakyReLU(_SLOPE)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.two(self.act(self.one(self.act(x))))
        return out


def _trunk(inputs: int, width: int) -> nn.Sequential:
    dilations = (1, 2, 4)
    return nn.Sequential(nn.Conv1d(inputs, width, 1), *(_Block(width, d) for d in dilations), nn.LeakyReLU(_SLOPE))


def conditions(habits: Tensor, fraud: Tensor, before: Tensor) -> Tensor:
    """Condition of every step: (w, width_of_condition(), STEPS)."""
    place = torch.arange(STEPS) / (STEPS - 1)
    where = torch.stack([place, torch.exp(-6 * place)]).expand(len(habits), 2, STEPS)
    tainted = fraud.amax(1, keepdim=True).expand_as(fraud)
    whole = torch.cat([habits, before], 1)[:, :, None].expand(-1, -1, STEPS)
    return torch.cat([whole, fraud[:, None], tainted[:, None], where], 1)


class Generator(nn.Module):
    """Noise and condition to a window; category heads by straight-through Gumbel softmax (Jang 2017).

    Parameters
    ----------
    width
        Channels of the trunk.
    temperature
        Of the softmax through which gradients pass; samples themselves are one-hot.
    """

    def __init__(self, width: int = 48, temperature: float = 0.66) -> None:
        super().__init__()
        self.trunk = _trunk(NOISE + COMMON + width_of_condition(), width)
        self.head = nn.Conv1d(width, WIDTH, 1)
        self.temperature = temperature

    def forward(self, condition: Tensor) -> Tensor:
        """Draw one window for each condition (w, C, STEPS); (w, STEPS, WIDTH)."""
        n = len(condition)
        noise = torch.randn(n, NOISE, STEPS)
        common = torch.randn(n, COMMON, 1).expand(-1, -1, STEPS)
        raw = self.head(self.trunk(torch.cat([noise, common, condition], 1))).transpose(1, 2)
        parts = [torch.tanh(raw[..., : len(NUMBERS)])]
        for name, _ in HEADS:
            parts.append(nn.functional.gumbel_softmax(raw[..., COLUMNS[name]], self.temperature, hard=True))
        slot, (category, device, address) = parts[1], parts[3:6]
        # as real windows are coded: no category where the shop is known, the usual device where there is none
        new, there = (
            slot[..., list(NEW_SLOTS)].sum(-1, keepdim=True),
            slot[..., list(PHYSICAL_SLOTS)].sum(-1, keepdim=True),
        )
        parts[3] = category * new
        parts[4], parts[5] = (_first(part, there) for part in (device, address))
        return torch.cat(parts, -1)


def _first(codes: Tensor, where: Tensor) -> Tensor:
    """One-hot codes, the first one where ``where`` is 1."""
    first = torch.zeros_like(codes)
    first[..., 0] = 1.0
    return codes * (1 - where) + first * where


class Critic(nn.Module):
    """Window and condition to a score; how alike the windows of a batch are is one of its inputs (Karras 2018)."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.trunk = _trunk(WIDTH + width_of_condition(), width)
        self.head = nn.Sequential(nn.Linear(2 * width + 1, width), nn.LeakyReLU(_SLOPE), nn.Linear(width, 1))

    def forward(self, steps: Tensor, condition: Tensor) -> Tensor:
        """Score (w,) of windows (w, STEPS, WIDTH)."""
        inside = self.trunk(torch.cat([steps.transpose(1, 2), condition], 1))
        spread = steps.var(0, unbiased=False).add(1e-8).sqrt().mean().expand(len(steps), 1)
        out: Tensor = self.head(torch.cat([inside.mean(2), inside.amax(2), spread], 1)).squeeze(1)
        return out


def seeded(seed: int, make: Any) -> Any:
    """Make a module with the global generator seeded, and leave that generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()
