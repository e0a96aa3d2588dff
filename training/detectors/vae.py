"""β-VAE on rows: how badly a row fits what is usual, without labels.

Source of the method: Kingma & Welling, Auto-Encoding Variational Bayes (2014); Higgins et al., beta-VAE (2017). Missing
cells are masked out of the likelihood (Nazábal et al., HI-VAE, 2020).
"""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from training.detectors.base import F32, F64, Inputs, split_last
from training.detectors.scaling import Scaler
from training.detectors.torch_base import TorchDetector, batches, seeded

_LOG_VAR = (-4.0, 3.0)


class VAENet(nn.Module):
    """Encoder and decoder; `forward` gives the raw score."""

    def __init__(self, width: int, hidden: int, latent: int) -> None:
        super().__init__()
        self.scaler = Scaler(width)
        self.encode = nn.Sequential(nn.Linear(2 * width, hidden), nn.ReLU(), nn.Linear(hidden, 2 * latent))
        self.decode = nn.Sequential(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, width))
        self.log_var = nn.Parameter(torch.zeros(width))
        self.latent = latent

    def parts(self, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Negative log-likelihood per cell (n, d), 0 where missing, and KL divergence per row (n,)."""
        z, missing = self.scaler(x)
        code = self.encode(torch.cat([z, missing], dim=1))
        mean, log_var = code[:, : self.latent], torch.clamp(code[:, self.latent :], -8.0, 4.0)
        kl = 0.5 * (mean * mean + torch.exp(log_var) - 1.0 - log_var).sum(dim=1)
        sample = mean if noise is None else mean + noise * torch.exp(0.5 * log_var)
        spread = torch.clamp(self.log_var, *_LOG_VAR)
        error = z - self.decode(sample)
        nll = 0.5 * (error * error * torch.exp(-spread) + spread) * (1.0 - missing)
        return nll, kl

    def forward(self, x: Tensor) -> Tensor:
        """Raw score (n,): likelihood of the observed cells, brought to the row's full width, plus KL."""
        nll, kl = self.parts(x)
        return nll.sum(dim=1) + kl


class VAE(TorchDetector[VAENet]):
    """β-VAE; raw score = negative log-likelihood of the observed cells + KL divergence.

    Parameters
    ----------
    hidden, latent
        Sizes of the hidden layers and of the code.
    beta
        Weight of the KL term in training; above 1 suits rows among which frauds hide.
    """

    name = "vae"
    kind = "tabular"
    supervised = False

    def __init__(self, hidden: int = 24, latent: int = 6, beta: float = 2.0, steps: int = 1500) -> None:
        self.hidden, self.latent, self.beta, self.steps = hidden, latent, beta, steps

    def fit(
        self, X: Inputs, y: npt.ArrayLike | None = None, *, seed: int, validation: tuple[Inputs, F64] | None = None
    ) -> Self:
        """Fit on rows X (n, d); labels only set the scale of `score`, never the raw score."""
        rows = _matrix(X)
        with seeded(seed) as generator:
            net = VAENet(rows.shape[1], self.hidden, self.latent)
            net.scaler.learn(rows)
            self._train(net, torch.tensor(rows), generator)
        self.module = net.eval()
        held, labels = rows[split_last(len(rows))[1]], None if y is None else np.asarray(y, np.float64)
        if validation is not None:
            self._calibrate(*validation)
        else:
            self._calibrate(held, None if labels is None else labels[-len(held) :])
        return self

    def _train(self, net: VAENet, x: Tensor, generator: torch.Generator) -> None:
        optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
        size = min(512, len(x))
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=6e-3, total_steps=self.steps)
        done = 0
        while done < self.steps:
            for index in batches(len(x), size, generator):
                noise = torch.randn(len(index), self.latent, generator=generator)
                nll, kl = net.parts(x[index], noise)
                optimiser.zero_grad()
                (nll.sum(dim=1) + self.beta * kl).mean().backward()
                nn.utils.clip_grad_norm_(net.parameters(), 5.0)
                optimiser.step()
                schedule.step()
                done += 1
                if done == self.steps:
                    return

    def explain(self, X: F32) -> F32:
        """Negative log-likelihood per feature, (n, d) float32: what does not fit; 0 where missing."""
        net = self._fitted()
        with torch.no_grad():
            nll, _ = net.parts(torch.tensor(np.ascontiguousarray(X, np.float32)))
        return nll.numpy().astype(np.float32)

    def _example(self) -> dict[str, Tensor]:
        net = self._fitted()
        return {"x": torch.zeros(3, len(net.log_var))}


def _matrix(X: Inputs) -> F32:
    if isinstance(X, tuple) or X.ndim != 2:
        raise ValueError("VAE takes a matrix (n, d)")
    return np.ascontiguousarray(X, np.float32)
