"""Train the window generator: conditional WGAN-GP with moment matching, and an average of the generator's weights."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from training.gan.coding import Windows
from training.gan.losses import Loss, critic_loss, generator_loss, gradient_penalty
from training.gan.networks import Critic, Generator, conditions

Say = Callable[[str], None]
CURVES = ("step", "critic", "wasserstein", "generator", "moments", "gradient_norm", "critic_step_norm")


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how fast to train.

    Parameters
    ----------
    rounds
        Updates of the generator.
    critic_rounds
        Updates of the critic before each.
    fraud_share
        Share of windows in a batch that hold a fraud.
    rate, critic_rate
        Learning rates; the critic's is higher, so that one update of it goes with one of the generator (Heusel 2017).
    moments
        Weight of the moments' distance beside the critic's word (Salimans 2016).
    average
        Decay of the averaged generator.
    """

    rounds: int = 2000
    critic_rounds: int = 1
    batch: int = 80
    width: int = 48
    rate: float = 2.5e-4
    critic_rate: float = 5e-4
    fraud_share: float = 0.3
    moments: float = 20.0
    average: float = 0.998
    loss: Loss = "wgan-gp"
    seed: int = 0


@dataclass(slots=True)
class Fitted:
    """A trained pair and its curves: one number a logged round for each of `CURVES`."""

    generator: Generator
    critic: Critic
    curves: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in CURVES})


class _Batches:
    """Batches of windows with a fixed share of those that hold a fraud; the step before is hidden now and then."""

    def __init__(self, windows: Windows, plan: Plan) -> None:
        self._rng = np.random.default_rng(plan.seed)
        self._windows, self._plan = windows, plan
        self._tainted, self._clean = np.flatnonzero(windows.tainted), np.flatnonzero(~windows.tainted)

    def draw(self) -> tuple[Tensor, Tensor, Tensor]:
        """Steps, condition, and which windows hold a fraud."""
        number = round(self._plan.batch * self._plan.fraud_share) if len(self._tainted) else 0
        chosen = np.r_[
            self._rng.choice(self._tainted, number) if number else np.empty(0, np.int64),
            self._rng.choice(self._clean, self._plan.batch - number),
        ]
        part = self._windows.take(chosen)
        before = torch.from_numpy(part.before * (self._rng.random((len(chosen), 1)) > 0.08)).float()
        fraud = torch.from_numpy(part.fraud)
        return torch.from_numpy(part.steps), conditions(torch.from_numpy(part.habits), fraud, before), fraud


def train(windows: Windows, plan: Plan, say: Say) -> Fitted:
    """Train a generator on windows.

    Parameters
    ----------
    say
        Is told of progress.
    """
    torch.manual_seed(plan.seed)
    batches = _Batches(windows, plan)
    fitted = Fitted(Generator(plan.width), Critic(plan.width))
    averaged = copy.deepcopy(fitted.generator)
    play = torch.optim.Adam(fitted.generator.parameters(), plan.rate, betas=(0.5, 0.9))
    judge = torch.optim.Adam(fitted.critic.parameters(), plan.critic_rate, betas=(0.5, 0.9))
    begun = time.monotonic()
    for step in range(plan.rounds):
        for optimiser, rate in ((play, plan.rate), (judge, plan.critic_rate)):
            for group in optimiser.param_groups:
                group["lr"] = rate * min(1.0, 2.0 * (1 - step / plan.rounds) + 0.02)
        told: dict[str, float] = {"step": step}
        for _ in range(plan.critic_rounds):
            told |= _judge(fitted, batches.draw(), judge, plan)
        told |= _play(fitted, batches.draw(), play, plan)
        with torch.no_grad():
            decay = min(plan.average, (step + 1) / (step + 10))
            for kept, new in zip(averaged.parameters(), fitted.generator.parameters(), strict=True):
                kept.lerp_(new, 1 - decay)
        if step % 20 == 0 or step == plan.rounds - 1:
            for name in CURVES:
                fitted.curves[name].append(round(told[name], 5))
        if step % 100 == 99:
            left = (time.monotonic() - begun) / (step + 1) * (plan.rounds - step - 1)
            say(f"round {step + 1} of {plan.rounds}, critic's distance {told['wasserstein']:.2f}, {left:.0f} s left")
    fitted.generator = averaged
    return fitted


def _judge(
    fitted: Fitted, batch: tuple[Tensor, Tensor, Tensor], optimiser: torch.optim.Optimizer, plan: Plan
) -> dict[str, float]:
    steps, condition, _ = batch
    with torch.no_grad():
        fake = fitted.generator(condition)
    real_score, fake_score = fitted.critic(steps, condition), fitted.critic(fake, condition)
    loss = critic_loss(real_score, fake_score, plan.loss)
    norm = 0.0
    if plan.loss == "wgan-gp":
        penalty, norm = gradient_penalty(lambda x: fitted.critic(x, condition), steps, fake)
        loss = loss + penalty
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    length = nn.utils.clip_grad_norm_(fitted.critic.parameters(), 100.0)
    optimiser.step()
    return {
        "critic": float(loss.detach()),
        "wasserstein": float((real_score.mean() - fake_score.mean()).detach()),
        "gradient_norm": norm,
        "critic_step_norm": float(length),
    }


def _play(
    fitted: Fitted, batch: tuple[Tensor, Tensor, Tensor], optimiser: torch.optim.Optimizer, plan: Plan
) -> dict[str, float]:
    steps, condition, fraud = batch
    fake = fitted.generator(condition)
    loss = generator_loss(fitted.critic(fake, condition), plan.loss)
    apart = _moments_apart(steps, fake, fraud)
    optimiser.zero_grad(set_to_none=True)
    (loss + plan.moments * apart).backward()
    optimiser.step()
    return {"generator": float(loss.detach()), "moments": float(apart.detach())}


def _moments_apart(real: Tensor, fake: Tensor, fraud: Tensor) -> Tensor:
    """Squared distance of means and of products of neighbouring steps, of genuine and of fraudulent steps apart."""
    total = torch.zeros(())
    for steps in (fraud > 0, fraud == 0):
        if int(steps.sum()) > 8:
            a, b = real[steps], fake[steps]
            total = total + (a.mean(0) - b.mean(0)).square().sum()
            total = total + (a.T @ a / len(a) - b.T @ b / len(b)).square().sum()
    ahead = [
        (x[:, 1:].flatten(0, 1).T @ x[:, :-1].flatten(0, 1)) / x[:, 1:].shape[0] / (x.shape[1] - 1)
        for x in (real, fake)
    ]
    return total + (ahead[0] - ahead[1]).square().sum()
