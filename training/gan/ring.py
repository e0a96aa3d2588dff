"""Eight modes on a ring: the smallest task on which a generative adversarial network can be seen to collapse."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from training.gan.losses import Loss, critic_loss, generator_loss, gradient_penalty

MODES, RADIUS, SIGMA = 8, 2.0, 0.1
LEAST_INSIDE = 0.9
LAST_CHECKS = 5
_NOISE, _BATCH, _CHECKED, _LEAST_SHARE = 2, 256, 4000, 0.02
_PENALTY = 0.1  # as in the authors' own toy problems; ten smooths modes of this size away

Optimizer = Literal["adam", "sgd"]
LOSSES: tuple[Loss, ...] = get_args(Loss)
OPTIMIZERS: tuple[Optimizer, ...] = get_args(Optimizer)
RATES: dict[Optimizer, float] = {"adam": 2e-3, "sgd": 2e-2}
CURVES = ("round", "modes", "inside", "accuracy", "critic", "generator", "gradient_norm")


@dataclass(slots=True)
class Run:
    """One training.

    Parameters
    ----------
    modes, inside
        Modes found at the end, and share of samples within three standard deviations of one.
    converged
        The last `LAST_CHECKS` checks each found all modes and at least `LEAST_INSIDE` of the samples inside.
    curves
        Check by check, one list for each of `CURVES`.
    """

    loss: Loss
    optimizer: Optimizer
    rate: float
    seed: int
    modes: int = 0
    inside: float = 0.0
    converged: bool = False
    curves: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in CURVES})
    samples: npt.NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 2), np.float32))

    def figures(self) -> dict[str, Any]:
        """Everything but the samples."""
        told = asdict(self)
        del told["samples"]
        return told


def centres() -> npt.NDArray[np.float64]:
    """The modes, (8, 2)."""
    angle = 2 * np.pi * np.arange(MODES) / MODES
    return RADIUS * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def judge(samples: npt.NDArray[Any]) -> tuple[int, float]:
    """Modes that got at least 2 % of the samples within three standard deviations, and the share of all inside."""
    distance = np.linalg.norm(samples[:, None] - centres()[None], axis=2)
    near, inside = distance.argmin(1), distance.min(1) <= 3 * SIGMA
    share = np.bincount(near[inside], minlength=MODES) / max(len(samples), 1)
    return int((share >= _LEAST_SHARE).sum()), float(inside.mean())


def train_ring(
    loss: Loss, optimizer: Optimizer, seed: int, *, rate: float | None = None, rounds: int = 1500, checks: int = 30
) -> Run:
    """Train once.

    Parameters
    ----------
    rate
        Learning rate of both players; the optimiser's own in `RATES` when absent.
    rounds
        Updates of the generator; the critic gets three for each under ``wgan-gp``, one under ``bce``.
    """
    run = Run(loss, optimizer, rate or RATES[optimizer], seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator, critic = _net(_NOISE, 2), _net(2, 1)
        averaged = copy.deepcopy(generator)
        play, evaluate = (_optimiser(net, optimizer, run.rate) for net in (generator, critic))
        modes = torch.from_numpy(centres()).float()
        for step in range(rounds):
            slowed = run.rate * min(1.0, 2.0 * (1 - step / rounds) + 0.02)
            for group in (*play.param_groups, *evaluate.param_groups):
                group["lr"] = slowed
            for _ in range(3 if loss == "wgan-gp" else 1):
                told = _judge_once(generator, critic, evaluate, modes, loss)
            told |= _play_once(generator, critic, play, loss)
            with torch.no_grad():
                for kept, new in zip(averaged.parameters(), generator.parameters(), strict=True):
                    kept.lerp_(new, 0.01 if step > 20 else 1.0)
            if (step + 1) % max(rounds // checks, 1) == 0:
                _check(run, averaged, told | {"round": step + 1})
            if not math.isfinite(told["critic"] + told["generator"]):
                break
    last = list(zip(run.curves["modes"], run.curves["inside"], strict=True))[-LAST_CHECKS:]
    run.modes, run.inside = (int(last[-1][0]), last[-1][1]) if last else (0, 0.0)
    done = len(last) == LAST_CHECKS and math.isfinite(told["critic"] + told["generator"])
    run.converged = done and all(found == MODES and inside >= LEAST_INSIDE for found, inside in last)
    return run


def study(
    seeds: int, losses: tuple[Loss, ...], optimizers: tuple[Optimizer, ...], rounds: int, say: Callable[[str], None]
) -> list[Run]:
    """Train with every seed, loss and optimiser."""
    runs = []
    for loss, optimizer in itertools.product(losses, optimizers):
        part = [train_ring(loss, optimizer, seed, rounds=rounds) for seed in range(seeds)]
        say(f"{loss} with {optimizer}: {sum(run.converged for run in part)} of {seeds} converged")
        runs += part
    return runs


def summary(runs: list[Run]) -> list[dict[str, Any]]:
    """One row for each loss and optimiser."""
    rows = []
    for loss, optimizer in dict.fromkeys((run.loss, run.optimizer) for run in runs):
        part = [run for run in runs if (run.loss, run.optimizer) == (loss, optimizer)]
        inside = np.array([run.inside for run in part])
        rows.append(
            {
                "loss": loss,
                "optimizer": optimizer,
                "rate": part[0].rate,
                "seeds": len(part),
                "converged": sum(run.converged for run in part),
                "all_modes": sum(run.modes == MODES for run in part),
                "mean_modes": round(float(np.mean([run.modes for run in part])), 2),
                "inside": round(float(inside.mean()), 4),
                "inside_sd": round(float(inside.std()), 4),
                "gradient_norm": round(float(np.mean([run.curves["gradient_norm"][-1] for run in part])), 3),
            }
        )
    return rows


def _net(inputs: int, outputs: int, width: int = 112) -> nn.Sequential:
    inner = [layer for _ in range(2) for layer in (nn.Linear(width, width), nn.ReLU())]
    return nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), *inner, nn.Linear(width, outputs))


def _optimiser(net: nn.Module, name: Optimizer, rate: float) -> torch.optim.Optimizer:
    if name == "sgd":
        return torch.optim.SGD(net.parameters(), rate, momentum=0.5)
    return torch.optim.Adam(net.parameters(), rate, betas=(0.5, 0.9))


def _real(modes: Tensor) -> Tensor:
    return modes[torch.randint(MODES, (_BATCH,))] + SIGMA * torch.randn(_BATCH, 2)


def _judge_once(
    generator: nn.Module, critic: nn.Module, optimiser: torch.optim.Optimizer, modes: Tensor, loss: Loss
) -> dict[str, float]:
    real = _real(modes)
    with torch.no_grad():
        fake = generator(torch.randn(_BATCH, _NOISE))
    on_real, on_fake = critic(real).squeeze(1), critic(fake).squeeze(1)
    value = critic_loss(on_real, on_fake, loss)
    middle = (float(on_real.detach().mean()) + float(on_fake.detach().mean())) / 2 if loss == "wgan-gp" else 0.0
    accuracy = float(((on_real > middle).float().mean() + (on_fake <= middle).float().mean()) / 2)
    penalty, norm = gradient_penalty(lambda x: critic(x).squeeze(1), real, fake, _PENALTY)
    if loss == "wgan-gp":
        value = value + penalty
    optimiser.zero_grad(set_to_none=True)
    value.backward()
    optimiser.step()
    return {"critic": float(value.detach()), "accuracy": accuracy, "gradient_norm": norm}


def _play_once(
    generator: nn.Module, critic: nn.Module, optimiser: torch.optim.Optimizer, loss: Loss
) -> dict[str, float]:
    value = generator_loss(critic(generator(torch.randn(_BATCH, _NOISE))).squeeze(1), loss)
    optimiser.zero_grad(set_to_none=True)
    value.backward()
    optimiser.step()
    return {"generator": float(value.detach())}


def _check(run: Run, generator: nn.Module, told: dict[str, float]) -> None:
    with torch.no_grad():
        run.samples = generator(torch.randn(_CHECKED, _NOISE)).numpy()
    told["modes"], told["inside"] = judge(run.samples)
    for name in CURVES:
        run.curves[name].append(round(float(told[name]), 5))
