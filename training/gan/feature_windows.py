"""Generated fraud for training: windows of features from a small conditional WGAN-GP, learned inside the fold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from training.gan.losses import critic_loss, generator_loss, gradient_penalty

F32 = npt.NDArray[np.float32]
LEAST_FRAUDS = 20
_NOISE, _WIDTH, _BATCH = 32, 48, 64
_FEW = 6  # a channel of at most so many values takes no others


class FeatureWindowGAN:
    """Learns windows (n, K, C) with their labels, and draws new ones.

    Parameters
    ----------
    rounds
        Updates of the generator; two of the critic go before each.
    seed
        Of weights, batches and noise.
    """

    def __init__(self, rounds: int = 600, seed: int = 0) -> None:
        self.rounds, self.seed = rounds, seed
        self._scale: _Scale | None = None

    def fit(self, windows: F32, labels: npt.NDArray[np.float64]) -> FeatureWindowGAN:
        """Train on windows and labels 0/1 (n,); half of each batch are frauds.

        Raises
        ------
        ValueError
            Fewer than `LEAST_FRAUDS` windows of either label.
        """
        fraud = np.flatnonzero(labels > 0.5)
        rest = np.flatnonzero(labels <= 0.5)
        if min(len(fraud), len(rest)) < LEAST_FRAUDS:
            raise ValueError(f"{len(fraud)} windows of fraud and {len(rest)} others: {LEAST_FRAUDS} of each are needed")
        self._scale = _Scale.of(windows)
        data = torch.from_numpy(self._scale.encode(windows))
        rng = np.random.default_rng(self.seed)
        steps, channels = windows.shape[1:]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self._net = _Maker(steps, channels)
            critic = _Judge(channels)
            play = torch.optim.Adam(self._net.parameters(), 3e-4, betas=(0.5, 0.9))
            judge = torch.optim.Adam(critic.parameters(), 3e-4, betas=(0.5, 0.9))
            label = torch.cat([torch.ones(_BATCH // 2, 1), torch.zeros(_BATCH // 2, 1)])
            for _ in range(self.rounds):
                for _ in range(2):
                    real = data[np.r_[rng.choice(fraud, _BATCH // 2), rng.choice(rest, _BATCH // 2)]]
                    self._judge_once(critic, judge, real, label)
                self._play_once(critic, play, real, label)
        return self

    def _judge_once(self, critic: _Judge, optimiser: torch.optim.Optimizer, real: Tensor, label: Tensor) -> None:
        with torch.no_grad():
            made = self._net(label)
        penalty, _ = gradient_penalty(lambda x: critic(x, label), real, made)
        loss = critic_loss(critic(real, label), critic(made, label), "wgan-gp") + penalty
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    def _play_once(self, critic: _Judge, optimiser: torch.optim.Optimizer, real: Tensor, label: Tensor) -> None:
        made = self._net(label)
        half = len(real) // 2
        moments = (real[:half].mean(0) - made[:half].mean(0)).square().mean()
        moments = moments + (real[:half].std(0) - made[:half].std(0)).square().mean()
        loss = generator_loss(critic(made, label), "wgan-gp") + 5.0 * moments
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    def sample(self, n: int, *, fraud: bool = True, seed: int = 0) -> F32:
        """Draw windows of one label; (n, K, C), each channel within what was learned."""
        if self._scale is None:
            raise ValueError("FeatureWindowGAN is not fitted")
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(seed)
            made = self._net(torch.full((n, 1), float(fraud))).numpy()
        return self._scale.decode(made)


def augment(windows: F32, labels: npt.NDArray[np.float64], n: int, seed: int, *, rounds: int = 600) -> F32:
    """Learn from the windows of one training fold and give n generated windows of fraud (n, K, C).

    Raises
    ------
    ValueError
        As `FeatureWindowGAN.fit`.
    """
    return FeatureWindowGAN(rounds, seed).fit(windows, labels).sample(n, seed=seed)


@dataclass(frozen=True, slots=True)
class _Scale:
    """Channels to about [-1, 1] and back; what takes few values goes back to the nearest of them."""

    low: F32
    high: F32
    values: list[F32 | None]

    @classmethod
    def of(cls, windows: F32) -> _Scale:
        flat = windows.reshape(-1, windows.shape[2])
        few = [np.unique(flat[:20_000, c]) for c in range(flat.shape[1])]
        low, high = np.quantile(flat, [0.001, 0.999], axis=0).astype(np.float32)
        return cls(np.minimum(low, high), np.maximum(high, low + 1e-3), [v if len(v) <= _FEW else None for v in few])

    def encode(self, windows: F32) -> F32:
        return np.clip((windows - self.low) / (self.high - self.low) * 2 - 1, -1, 1).astype(np.float32)

    def decode(self, coded: F32) -> F32:
        out = ((coded + 1) / 2 * (self.high - self.low) + self.low).astype(np.float32)
        for c, values in enumerate(self.values):
            if values is not None:
                out[..., c] = values[np.abs(out[..., c, None] - values).argmin(-1)]
        return out


class _Maker(nn.Module):
    def __init__(self, steps: int, channels: int) -> None:
        super().__init__()
        self.first = nn.Linear(_NOISE + 1, _WIDTH * steps)
        self.steps = steps
        act = nn.LeakyReLU(0.2)
        self.rest = nn.Sequential(
            act, nn.Conv1d(_WIDTH, _WIDTH, 5, padding=2), act, nn.Conv1d(_WIDTH, _WIDTH, 5, padding=2), act,
            nn.Conv1d(_WIDTH, channels, 1), nn.Tanh(),
        )  # fmt: skip

    def forward(self, label: Tensor) -> Tensor:
        noise = torch.randn(len(label), _NOISE)
        out: Tensor = self.rest(self.first(torch.cat([noise, label], 1)).view(len(label), _WIDTH, self.steps))
        return out.transpose(1, 2) * 1.02


class _Judge(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        act = nn.LeakyReLU(0.2)
        self.body = nn.Sequential(
            nn.Conv1d(channels + 1, _WIDTH, 3, padding=1), act, nn.Conv1d(_WIDTH, _WIDTH, 3, padding=1, stride=2), act,
            nn.Conv1d(_WIDTH, _WIDTH, 3, padding=1, stride=2), act,
        )  # fmt: skip
        self.head = nn.Linear(2 * _WIDTH, 1)

    def forward(self, windows: Tensor, label: Tensor) -> Tensor:
        x = torch.cat([windows.transpose(1, 2), label[:, :, None].expand(-1, -1, windows.shape[1])], 1)
        inside = self.body(x)
        out: Tensor = self.head(torch.cat([inside.mean(2), inside.amax(2)], 1)).squeeze(1)
        return out
