"""Scaling and step coding as torch modules, so that they travel inside the exported graph."""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.tree import DecisionTreeClassifier
from torch import Tensor, nn

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
CLIP = 4.0
_LARGEST = 3e38  # in float32; stands for infinity where it is to be multiplied by 0


class Scaler(nn.Module):
    """Standardise each column on its observed values between the 0.2 % and 99.8 % quantiles, clip, missing = 0."""

    centre: Tensor
    scale: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))

    def learn(self, X: F32) -> Self:
        """Take centre and spread of the columns of X (n, d); a constant or empty column stays at 0."""
        for j in range(X.shape[1]):
            seen = X[:, j][np.isfinite(X[:, j])].astype(np.float64)
            if not len(seen):
                continue
            low, high = np.quantile(seen, [0.002, 0.998])
            kept = np.clip(seen, low, high)
            deviation = float(kept.std())
            self.centre[j] = float(kept.mean())
            self.scale[j] = deviation if deviation > 1e-6 * max(1.0, abs(float(kept.mean()))) else 1.0
        return self

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scaled columns and the mask of missing ones (1.0 = missing)."""
        missing = torch.isnan(x)
        z = torch.clamp((x - self.centre) / self.scale, -CLIP, CLIP)
        return z.masked_fill(missing, 0.0), missing.to(x.dtype)

    def flat(self, s: Tensor) -> Tensor:
        """Scale windows (n, K, C) as rows (n, K C): long rows are four times as fast as many short ones."""
        steps = s.shape[1]
        flat = s.reshape(-1, steps * s.shape[2])
        z = torch.clamp((flat - self.centre.repeat(steps)) / self.scale.repeat(steps), -CLIP, CLIP)
        return z.masked_fill(torch.isnan(flat), 0.0)


class Tabular(nn.Module):
    """A row as a linear model or network likes it: scaled, plus 0/1 steps, plus masks of columns that go missing.

    The steps stand at the cuts of a small tree on each column alone: networks and kernels on such tables gain more
    from them than from any other change of their inputs.
    """

    column: Tensor
    cut: Tensor
    gaps: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scaler = Scaler(width)
        self.register_buffer("column", torch.zeros(0, dtype=torch.int64))
        self.register_buffer("cut", torch.zeros(0))
        self.register_buffer("gaps", torch.zeros(0, dtype=torch.int64))

    @property
    def width(self) -> int:
        """Columns that `forward` gives."""
        return len(self.scaler.centre) + len(self.cut) + len(self.gaps)

    def learn(self, X: F32, y: F64, *, per_column: int = 3, most: int = 96, seed: int) -> Self:
        """Learn scale, cuts and gaps from rows X (n, d) with labels y (n,).

        Parameters
        ----------
        X, y
            Rows with their labels.
        per_column, most
            Bounds on the cuts of one column and of all; those that tell most about y are kept.
        seed
            Of the trees that find the cuts.
        """
        self.scaler.learn(X)
        found = [(gain, j, cut) for j in range(X.shape[1]) for gain, cut in _cuts(X[:, j], y, per_column, seed)]
        kept = sorted((j, cut) for _, j, cut in sorted(found, reverse=True)[:most])
        columns, cuts = [j for j, _ in kept], [cut for _, cut in kept]
        share = np.isnan(X).mean(axis=0)
        self.column = torch.tensor(columns, dtype=torch.int64)
        self.cut = torch.tensor(cuts, dtype=torch.float32)
        self.gaps = torch.tensor(np.flatnonzero((share > 0.002) & (share < 0.998)), dtype=torch.int64)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """(n, d) with NaN -> (n, width)."""
        z, missing = self.scaler(x)
        parts = [z]
        if len(self.cut):
            known = torch.clamp(x.masked_fill(torch.isnan(x), -_LARGEST), -_LARGEST, _LARGEST)
            parts.append((_select(known, self.column) > self.cut).to(x.dtype))
        if len(self.gaps):
            parts.append(_select(missing, self.gaps))
        return torch.cat(parts, dim=1)


def _select(x: Tensor, columns: Tensor) -> Tensor:
    """Take columns of finite x, exactly, as a product with ones and zeros: onnxruntime gathers columns more slowly."""
    chosen = (torch.arange(x.shape[1])[:, None] == columns[None, :]).to(x.dtype)
    return x @ chosen


def _cuts(column: F32, y: F64, most: int, seed: int) -> list[tuple[float, float]]:
    seen = np.isfinite(column)
    if seen.sum() < 20 or len(np.unique(column[seen][:5000])) < 2 or len(np.unique(y[seen])) < 2:
        return []
    leaf = max(5, int(0.002 * seen.sum()))
    tree = DecisionTreeClassifier(
        max_leaf_nodes=most + 1, min_samples_leaf=leaf, class_weight="balanced", random_state=seed
    ).fit(column[seen, None], y[seen])
    grown = tree.tree_
    mass = grown.weighted_n_node_samples * grown.impurity
    inner = np.flatnonzero(grown.children_left >= 0)
    gain = mass[inner] - mass[grown.children_left[inner]] - mass[grown.children_right[inner]]
    # shares of all rows, so that columns with gaps do not count as if they were full
    return [(float(g) / len(column), float(cut)) for g, cut in zip(gain, grown.threshold[inner], strict=True)]


def window_scaler(S: F32) -> Scaler:
    """Learn the scale of channels from the steps of windows (n, K, C) that are not all zero."""
    steps = S.reshape(-1, S.shape[2])
    filled = (np.nan_to_num(steps) != 0).any(axis=1)
    return Scaler(S.shape[2]).learn(steps[filled] if filled.any() else steps)
