"""β-VAE for tables of any kind: columns by rank, no labels, no choice by table.

Columns become normal scores of their ranks, so a count, a share and an amount with a heavy tail weigh the same. Two
modes, by what the training rows are and not by which table they come from: rows among which anomalies hide want a
strong prior and its KL term counted twice; clean rows want a close fit and a line beyond the largest value seen.

Source of the method: Kingma & Welling, Auto-Encoding Variational Bayes (2014); Higgins et al., beta-VAE (2017).
"""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import ndtri
from torch import Tensor, nn

from training.detectors.base import F32, F64, Inputs, split_last
from training.detectors.torch_base import TorchDetector, batches, seeded

Mode = Literal["contaminated", "clean"]
_KNOTS = 64
_BETA = {"contaminated": 2.0, "clean": 0.1}


class NormalScores(nn.Module):
    """Each column to the normal score of its mid-rank, linear between knots; missing = 0 and a mask where it happens.

    Parameters
    ----------
    X
        (n, d) rows to learn ranks from, NaN is missing.
    beyond
        Go on in a line outside the range that was seen, or stay at its ends.
    """

    knots: Tensor
    base: Tensor
    rise: Tensor
    gaps: Tensor

    def __init__(self, X: F32, *, beyond: bool) -> None:
        super().__init__()
        tables = [_table(X[:, j]) for j in range(X.shape[1])]
        most = max(2, *(len(raw) for raw, _ in tables))
        knots, score = np.zeros((len(tables), most)), np.zeros((len(tables), most))
        for j, (raw, value) in enumerate(tables):
            # columns with fewer knots repeat steps of no height after their last
            tail = raw[-1] + np.arange(1, most - len(raw) + 1) * max(1.0, abs(float(raw[-1])))
            knots[j], score[j] = np.concatenate([raw, tail]), np.concatenate([value, np.full(len(tail), value[-1])])
        self.register_buffer("knots", torch.tensor(knots, dtype=torch.float32))
        self.register_buffer("base", torch.tensor(score[:, 0], dtype=torch.float32))
        self.register_buffer("rise", torch.tensor(np.diff(score, axis=1), dtype=torch.float32))
        self.register_buffer("gaps", torch.tensor(np.flatnonzero(np.isnan(X).any(axis=0)), dtype=torch.int64))
        ends = [(raw[0], raw[-1], _slope(raw, value) if beyond else 0.0) for raw, value in tables]
        self.register_buffer("ends", torch.tensor(np.array(ends).T, dtype=torch.float32))

    ends: Tensor

    @property
    def width(self) -> int:
        """Columns with a score."""
        return len(self.base)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (n, d) and mask of missing cells (n, d), 1.0 = missing."""
        missing = torch.isnan(x)
        seen = torch.where(missing, self.ends[0], x)
        span = self.knots[:, 1:] - self.knots[:, :-1]
        share = torch.clamp((seen.unsqueeze(2) - self.knots[:, :-1]) / span, 0.0, 1.0)
        z = self.base + (share * self.rise).sum(dim=2)
        low, high, slope = self.ends[0], self.ends[1], self.ends[2]
        over = slope * (torch.clamp(seen - high, min=0.0) - torch.clamp(low - seen, min=0.0))
        # a logarithm, so that one wild cell does not decide the row alone
        z = z + torch.sign(over) * torch.log1p(torch.abs(over))
        return torch.where(missing, torch.zeros_like(z), z), missing.to(z.dtype)


class TableNet(nn.Module):
    """Two hidden layers each way; `forward` gives the raw score."""

    score_mean: Tensor
    score_scale: Tensor

    def __init__(self, scores: NormalScores, latent: int, hidden: int, mode: Mode) -> None:
        super().__init__()
        self.scores, self.latent, self.mode = scores, latent, mode
        d, wide = scores.width, scores.width + len(scores.gaps)
        self.encode = nn.Sequential(_layer(wide, hidden), _layer(hidden, hidden), nn.Linear(hidden, 2 * latent))
        self.decode = nn.Sequential(_layer(latent, hidden), _layer(hidden, hidden), nn.Linear(hidden, d))
        self.log_var = nn.Parameter(torch.zeros(d))
        self.register_buffer("score_mean", torch.zeros(2))
        self.register_buffer("score_scale", torch.ones(2))

    def parts(self, z: Tensor, missing: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Negative log-likelihood by cell (n, d), KL by row (n,), mean code (n, latent)."""
        inputs = torch.cat([z, torch.index_select(missing, 1, self.scores.gaps)], dim=1)
        code = self.encode(inputs)
        mean, log_var = code[:, : self.latent], torch.clamp(code[:, self.latent :], -8.0, 4.0)
        kl = 0.5 * (mean * mean + torch.exp(log_var) - 1.0 - log_var).sum(dim=1)
        sample = mean if noise is None else mean + noise * torch.exp(0.5 * log_var)
        spread = torch.clamp(self.log_var, -4.0, 3.0)
        error = z - self.decode(sample)
        return 0.5 * (error * error * torch.exp(-spread) + spread) * (1.0 - missing), kl, mean

    def terms(self, x: Tensor) -> Tensor:
        """KL and negative ELBO by row, (n, 2)."""
        nll, kl, _ = self.parts(*self.scores(x))
        return torch.stack([kl, nll.sum(dim=1) + kl], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """Raw score (n,): on clean rows the negative ELBO, among anomalies its z-score + that of the KL term."""
        z = (self.terms(x) - self.score_mean) / self.score_scale
        return z[:, 1] if self.mode == "clean" else z[:, 0] + z[:, 1]


class TableVAE(TorchDetector[TableNet]):
    """β-VAE on normal scores of ranks.

    Parameters
    ----------
    mode
        What the training rows are: ``contaminated`` (as they come) or ``clean`` (known to be genuine).
    latent
        Width of the code; the root of the number of columns, 2 to 8, when left out.
    hidden, steps
        Width of the hidden layers; updates.
    """

    name = "table_vae"
    kind = "tabular"
    supervised = False

    def __init__(
        self, mode: Mode = "contaminated", *, latent: int | None = None, hidden: int = 64, steps: int = 1000
    ) -> None:
        self.mode, self.latent, self.hidden, self.steps = mode, latent, hidden, steps

    def fit(
        self, X: Inputs, y: npt.ArrayLike | None = None, *, seed: int, validation: tuple[Inputs, F64] | None = None
    ) -> Self:
        """Fit on rows X (n, d); labels only set the scale of `score`, never the raw score."""
        rows = matrix(X)
        with seeded(seed) as generator:
            scores = NormalScores(rows, beyond=self.mode == "clean")
            latent = self.latent or int(np.clip(round(rows.shape[1] ** 0.5), 2, 8))
            net = TableNet(scores, latent, self.hidden, self.mode)
            self._train(net, rows, generator)
        self.module = net.eval()
        self._scale(net, rows)
        held = split_last(len(rows))[1]
        labels = None if y is None else np.asarray(y, np.float64)
        self._calibrate(*(validation or (rows[held], None if labels is None else labels[held])))
        return self

    def _train(self, net: TableNet, rows: F32, generator: torch.Generator) -> None:
        z, missing = (torch.cat(part) for part in zip(*(net.scores(x) for x in _blocks(rows)), strict=True))
        optimiser = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=4e-3, total_steps=self.steps)
        size, done, beta = min(256, len(rows)), 0, _BETA[self.mode]
        while done < self.steps:
            for index in batches(len(rows), size, generator):
                if done == self.steps:
                    return
                noise = torch.randn(len(index), net.latent, generator=generator)
                nll, kl, _ = net.parts(z[index], missing[index], noise)
                optimiser.zero_grad()
                (nll.sum(dim=1) + beta * kl).mean().backward()
                nn.utils.clip_grad_norm_(net.parameters(), 5.0)
                optimiser.step()
                schedule.step()
                done += 1

    def _scale(self, net: TableNet, rows: F32) -> None:
        with torch.no_grad():
            terms = torch.cat([net.terms(x) for x in _blocks(rows)])
        net.score_mean.copy_(terms.mean(dim=0))
        net.score_scale.copy_(torch.clamp(terms.std(dim=0), min=1e-6))

    def features(self, X: F32) -> F64:
        """What a head learns from: normal scores, cell errors, code, KL and ELBO, (n, 2 d + latent + 2)."""
        net, parts = self._fitted(), []
        with torch.no_grad():
            for x in _blocks(matrix(X)):
                z, missing = net.scores(x)
                nll, kl, code = net.parts(z, missing)
                total = nll.sum(dim=1) + kl
                parts.append(torch.cat([z, nll, code, kl[:, None], total[:, None]], dim=1).numpy())
        return np.concatenate(parts).astype(np.float64)

    def explain(self, X: F32) -> F32:
        """Negative log-likelihood by column, (n, d) float32: what does not fit; 0 where missing."""
        net = self._fitted()
        with torch.no_grad():
            return torch.cat([net.parts(*net.scores(x))[0] for x in _blocks(matrix(X))]).numpy()

    def _example(self) -> dict[str, Tensor]:
        return {"x": torch.zeros(3, self._fitted().scores.width)}


def matrix(X: Inputs) -> F32:
    """Check that X is rows (n, d), and give them as float32."""
    if isinstance(X, tuple) or X.ndim != 2:
        raise ValueError("TableVAE takes a matrix (n, d)")
    return np.ascontiguousarray(X, np.float32)


def _layer(wide: int, narrow: int) -> nn.Module:
    return nn.Sequential(nn.Linear(wide, narrow), nn.SiLU())


def _blocks(rows: F32, size: int = 1024) -> list[Tensor]:
    return [torch.tensor(rows[start : start + size]) for start in range(0, len(rows), size)]


def _table(column: F32) -> tuple[F64, F64]:
    """Knots of one column and the normal scores of their mid-ranks."""
    seen = np.sort(column[np.isfinite(column)].astype(np.float64))
    if not len(seen):
        return np.zeros(1), np.zeros(1)
    values, count = np.unique(seen, return_counts=True)
    middle = np.cumsum(count) - 0.5 * count
    if len(values) > _KNOTS:
        # the tails keep more of their values than the middle does
        share = 0.5 - 0.5 * np.cos(np.linspace(0.0, np.pi, _KNOTS))
        at = np.unique(np.searchsorted(middle, share * (len(seen) - 1)).clip(0, len(values) - 1))
        values, middle = values[at], middle[at]
    apart = np.concatenate([[True], np.diff(values.astype(np.float32)) > 0])
    values, middle = values[apart], middle[apart]
    return values, ndtri(middle / len(seen)) if len(values) > 1 else np.zeros(1)


def _slope(raw: F64, score: F64) -> float:
    """Scores per unit over the bulk of a column, for the line beyond its ends."""
    low, high = np.interp([-1.5, 1.5], score, raw) if len(raw) > 1 else (0.0, 0.0)
    return 3.0 / float(high - low) if high > low else 0.0
