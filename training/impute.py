"""Fill the gaps of a table: a variational autoencoder that sees which cells are missing and gives their mean.

Source of the method: Kingma & Welling, Auto-Encoding Variational Bayes (2014); masks as inputs and random masks in
training as in Ivanov et al., VAE with Arbitrary Conditioning (2019); passes through the model's own answers as the
pseudo-Gibbs sampling of Rezende et al. (2014). Several small nets are averaged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softplus

from training.detectors.torch_base import batches, seeded

F64 = npt.NDArray[np.float64]
Say = Callable[[str], None]
_CLIP = 8.0  # standard deviations that the nets see at most


@dataclass(frozen=True, slots=True)
class Layout:
    """What the columns of a matrix are: for each, 0 for a number, else how many categories its codes count."""

    levels: tuple[int, ...]

    @property
    def blocks(self) -> list[slice]:
        """Where each column's inputs stand: one for a number, one per category."""
        ends = np.cumsum([max(1, level) for level in self.levels]).tolist()
        return [slice(low, high) for low, high in zip([0, *ends], ends, strict=False)]


class _Net(nn.Module):
    """Encoder of visible cells and masks, decoder to every cell."""

    def __init__(self, width: int, cells: int, hidden: int, latent: int) -> None:
        super().__init__()
        self.latent = latent
        self.encode = nn.Sequential(
            nn.Linear(width + cells, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(),
            nn.Linear(hidden, 2 * latent),
        )  # fmt: skip
        self.decode = nn.Sequential(
            nn.Linear(latent, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, width)
        )

    def forward(self, x: Tensor, seen: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Every cell's mean or logits (n, width), and KL divergence per row (n,)."""
        code = self.encode(torch.cat([x, seen], dim=1))
        mean, spread = code[:, : self.latent], softplus(code[:, self.latent :] - 2.0) + 1e-3
        kl = 0.5 * (mean * mean + spread * spread - 1.0).sum(dim=1) - torch.log(spread).sum(dim=1)
        return self.decode(mean if noise is None else mean + noise * spread), kl


class Imputer:
    """Learns a table with gaps and fills gaps of such tables.

    Parameters
    ----------
    layout
        Which columns are numbers and which are codes of categories.
    nets
        How many nets are averaged.
    beta
        Weight of the KL term against a mean over cells.
    passes
        How often the nets look at their own answers.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        nets: int = 2,
        hidden: int = 192,
        latent: int = 24,
        beta: float = 2e-3,
        steps: int = 1200,
        passes: int = 2,
    ) -> None:
        self.layout, self.nets, self.hidden, self.latent = layout, nets, hidden, latent
        self.beta, self.steps, self.passes = beta, steps, passes
        self._fitted: list[_Net] = []
        cells = [j for j, level in enumerate(layout.levels) if not level]
        self._numbers = cells, [layout.blocks[j].start for j in cells]
        self._counts = torch.tensor([max(1, level) for level in layout.levels])
        self.centre = self.scale = np.zeros(0)

    def fit(self, X: F64, *, seed: int, say: Say = lambda _: None) -> Self:
        """Learn from X (n, d), NaN where missing; categories are codes from 0.

        Raises
        ------
        ValueError
            Fewer than 10 rows, or no known cell.
        """
        if len(X) < 10 or not np.isfinite(X).any():
            raise ValueError("an imputer needs at least 10 rows and a known cell")
        self.centre, self.scale = _scales(X, self.layout)
        x, seen = self._inputs(X)
        self._fitted = []
        for number in range(self.nets):
            with seeded(seed * 1000 + number) as generator:
                self._fitted.append(self._train(x, seen, generator))
            say(f"net {number + 1} of {self.nets} is trained")
        return self

    def fill(self, X: F64) -> F64:
        """Give X (n, d) with every missing cell filled; known cells stay as they are."""
        x, seen = self._inputs(X)
        answer = torch.zeros_like(x)
        with torch.no_grad():
            for net in self._fitted:
                answer += self._answer(net, x, seen) / len(self._fitted)
        return self._outputs(X, answer)

    def _answer(self, net: _Net, x: Tensor, seen: Tensor) -> Tensor:
        out, _ = net(x, seen)
        given = self._spread(seen)
        for _ in range(self.passes - 1):
            again, _ = net(torch.where(given > 0, x, self._shown(out)), seen)
            out = 0.5 * (out + again)
        return self._shown(out)

    def _shown(self, out: Tensor) -> Tensor:
        """Decoder outputs as inputs: means of numbers, probabilities of categories."""
        parts = []
        for block, level in zip(self.layout.blocks, self.layout.levels, strict=True):
            parts.append(torch.softmax(out[:, block], dim=1) if level else out[:, block])
        return torch.cat(parts, dim=1)

    def _spread(self, seen: Tensor) -> Tensor:
        """Masks of cells (n, d) as masks of inputs (n, width)."""
        return torch.repeat_interleave(seen, self._counts, dim=1)

    def _train(self, x: Tensor, seen: Tensor, generator: torch.Generator) -> _Net:
        net = _Net(x.shape[1], seen.shape[1], self.hidden, self.latent)
        # a tenth of the rows tells when a net has learnt enough; each net has another tenth
        order = torch.randperm(len(x), generator=generator)
        held, learn = order[: len(x) // 10], order[len(x) // 10 :]
        optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=1e-2)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=2e-3, total_steps=self.steps)
        mask = _hidden(seen[held], 0.2, generator)
        best, kept, done = float("inf"), {k: v.clone() for k, v in net.state_dict().items()}, 0
        while True:
            for index in batches(len(learn), min(256, len(learn)), generator):
                rows = learn[index]
                share = float(torch.rand(1, generator=generator)) * 0.5 + 0.05
                loss = self._loss(net, x[rows], seen[rows], _hidden(seen[rows], share, generator), generator)
                optimiser.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(net.parameters(), 2.0)
                optimiser.step()
                schedule.step()
                done += 1
                if done % 100 == 0 and len(held):
                    with torch.no_grad():
                        now = float(self._loss(net, x[held], seen[held], mask, None))
                    if now < best:
                        best, kept = now, {k: v.clone() for k, v in net.state_dict().items()}
                if done == self.steps:
                    net.load_state_dict(kept if len(held) else net.state_dict())
                    return net.eval()

    def _loss(self, net: _Net, x: Tensor, seen: Tensor, left: Tensor, generator: torch.Generator | None) -> Tensor:
        """Error of the cells that were hidden, and a little of the visible ones, plus KL in training."""
        noise = None if generator is None else torch.randn(len(x), self.latent, generator=generator)
        out, kl = net(x * self._spread(left), left, noise)
        weight = (seen - left) + (0.3 * left if generator is not None else 0.0)
        cells, inputs = self._numbers
        total = (weight[:, cells] * (out[:, inputs] - x[:, inputs]).square()).sum()
        for j, (block, level) in enumerate(zip(self.layout.blocks, self.layout.levels, strict=True)):
            if level:
                error = cross_entropy(out[:, block], x[:, block].argmax(dim=1), reduction="none")
                total = total + (weight[:, j] * error).sum()
        loss = total / torch.clamp(weight.sum(), min=1.0)
        return loss if generator is None else loss + self.beta * kl.mean()

    def _inputs(self, X: F64) -> tuple[Tensor, Tensor]:
        """Scaled numbers and one-hot categories (n, width), 0 where missing, and the mask of known cells (n, d)."""
        seen = np.isfinite(X)
        parts = []
        for j, level in enumerate(self.layout.levels):
            if level:
                codes = np.where(seen[:, j], X[:, j], 0).astype(np.int64)
                hot = np.eye(level)[np.clip(codes, 0, level - 1)]
            else:
                z = (np.nan_to_num(X[:, j]) - self.centre[j]) / self.scale[j]
                hot = np.clip(z, -_CLIP, _CLIP)[:, None]
            parts.append(hot * seen[:, [j]])
        return torch.tensor(np.hstack(parts), dtype=torch.float32), torch.tensor(seen, dtype=torch.float32)

    def _outputs(self, X: F64, answer: Tensor) -> F64:
        filled = X.copy()
        values = answer.numpy().astype(np.float64)
        for j, (block, level) in enumerate(zip(self.layout.blocks, self.layout.levels, strict=True)):
            gap = ~np.isfinite(X[:, j])
            got = values[:, block].argmax(axis=1) if level else values[:, block][:, 0] * self.scale[j] + self.centre[j]
            filled[gap, j] = got[gap]
        return filled


def _scales(X: F64, layout: Layout) -> tuple[F64, F64]:
    """Mean and standard deviation of each column's known cells; 0 and 1 for categories and empty columns."""
    centre, scale = np.zeros(X.shape[1]), np.ones(X.shape[1])
    for j, level in enumerate(layout.levels):
        seen = X[np.isfinite(X[:, j]), j]
        if level or not len(seen):
            continue
        centre[j], spread = float(seen.mean()), float(seen.std())
        scale[j] = spread if spread > 1e-9 * max(1.0, abs(centre[j])) else 1.0
    return centre, scale


def _hidden(seen: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """The mask with a share of its known cells taken out."""
    return seen * (torch.rand(seen.shape, generator=generator) >= share)
