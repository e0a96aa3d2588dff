"""One-dimensional convolutions over a card's last events, joined by the current row.

Source of the method: Zhang et al., A Model Based on Convolutional Neural Network for Online Transaction Fraud Detection
(2018); focal loss: Lin et al. (2017).
"""

from __future__ import annotations

import copy
import math
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor, nn

from training.detectors.base import F32, F64, Inputs, Windows, labels_of, split_last
from training.detectors.scaling import Tabular, window_scaler
from training.detectors.torch_base import TorchDetector, batches, seeded, tensors_of

_RATE = 2e-3


class PatchConv(nn.Module):
    """Convolution whose kernel is as long as its stride, over K steps of C channels: one matrix product, much faster.

    K is brought to a multiple of the stride by zeros at the old end, so that patches stay aligned to the newest step.
    """

    def __init__(self, window: int, channels: int, filters: int, stride: int = 2) -> None:
        super().__init__()
        self.channels = channels
        self.pad = -window % stride
        self.steps = (window + self.pad) // stride
        self.mix = nn.Linear(stride * channels, filters)

    def forward(self, z: Tensor) -> Tensor:
        """(n, K C) -> (n, ceil(K / stride) filters), one step after the other."""
        if self.pad:
            z = nn.functional.pad(z, (self.pad * self.channels, 0))
        mixed = torch.relu(self.mix(z.reshape(-1, self.mix.in_features)))
        return mixed.reshape(-1, self.steps * self.mix.out_features)


class WindowNet(nn.Module):
    """Two strided convolutions, their output flattened, the coded current row beside it, one hidden layer."""

    def __init__(self, steps: F32, tabular: Tabular | None, filters: tuple[int, int], hidden: int) -> None:
        super().__init__()
        self.scaler = window_scaler(steps)
        self.tabular = tabular
        self.window = steps.shape[1]
        first = PatchConv(self.window, steps.shape[2], filters[0])
        second = PatchConv(first.steps, filters[0], filters[1])
        self.conv = nn.Sequential(first, second)
        wide = second.steps * filters[1] + (tabular.width if tabular is not None else 0)
        self.head = nn.Sequential(nn.Linear(wide, hidden), nn.ReLU(), nn.Dropout(0.1), nn.Linear(hidden, 1))

    def forward(self, s: Tensor, x: Tensor | None = None) -> Tensor:
        """Raw score (n,), a logit."""
        flat = self.conv(self.scaler.flat(s))
        if self.tabular is not None and x is not None:
            flat = torch.cat([flat, self.tabular(x)], dim=1)
        return self.head(flat).squeeze(1)


class SequenceCNN(TorchDetector[WindowNet]):
    """Convolutions over windows (n, K, C); with ``current_row`` inputs are `Windows` and the row counts too.

    Parameters
    ----------
    current_row
        Also take the current row's features.
    filters, hidden
        Sizes of the convolutions and of the hidden layer.
    gamma
        Focus of the loss on rows that are still wrong; 0 is plain cross-entropy.
    """

    name = "cnn"
    kind = "sequence"
    supervised = True

    def __init__(
        self,
        *,
        current_row: bool = False,
        filters: tuple[int, int] = (16, 24),
        hidden: int = 48,
        gamma: float = 1.0,
        epochs: int = 12,
        patience: int = 3,
    ) -> None:
        self.current_row, self.filters, self.hidden = current_row, filters, hidden
        self.gamma, self.epochs, self.patience = gamma, epochs, patience

    def fit(
        self, X: Inputs, y: npt.ArrayLike | None = None, *, seed: int, validation: tuple[Inputs, F64] | None = None
    ) -> Self:
        """Fit on windows with labels y (n,); stop when the average precision of the held-out rows no longer grows."""
        self._check(X)
        n = len(X.steps if isinstance(X, Windows) else X)
        labels = labels_of(y, n)
        train = slice(0, n)
        if validation is None:
            train, held = split_last(n)
            validation = (take(X, held), labels[held])
        with seeded(seed) as generator:
            net = self._build(take(X, train), labels[train], seed)
            self.module = net
            self._train(net, take(X, train), labels[train], validation, generator)
        self._calibrate(*validation)
        return self

    def _check(self, X: Inputs) -> None:
        if isinstance(X, Windows) != self.current_row or (X.steps if isinstance(X, Windows) else X).ndim != 3:
            raise ValueError("SequenceCNN takes windows (n, K, C), or Windows(steps, row) with current_row=True")

    def _build(self, X: Inputs, y: F64, seed: int) -> WindowNet:
        steps = X.steps if isinstance(X, Windows) else X
        tabular = Tabular(X.row.shape[1]).learn(X.row, y, seed=seed) if isinstance(X, Windows) else None
        return WindowNet(steps, tabular, self.filters, self.hidden)

    def _train(
        self, net: WindowNet, X: Inputs, y: F64, validation: tuple[Inputs, F64], generator: torch.Generator
    ) -> None:
        tensors, target = tensors_of(X), torch.tensor(y, dtype=torch.float32)
        share = float(y.mean())
        # part of the imbalance is taken out of the loss; calibration puts the prior back
        positive = min(10.0, max(1.0, 0.1 * (1 - share) / share))
        optimiser = torch.optim.AdamW(net.parameters(), lr=_RATE, weight_decay=1e-3)
        size = min(512, max(32, len(target) // 40))
        best, kept, waited = -1.0, copy.deepcopy(net.state_dict()), 0
        for epoch in range(self.epochs):
            for group in optimiser.param_groups:
                group["lr"] = _RATE * 0.5 * (1.02 + math.cos(math.pi * epoch / self.epochs))
            net.train()
            for index in batches(len(target), size, generator):
                logit = net(*(tensor[index] for tensor in tensors))
                optimiser.zero_grad()
                self._loss(logit, target[index], positive).backward()
                optimiser.step()
            net.eval()
            reached = _precision(self.raw_score(validation[0]), validation[1])
            waited = 0 if reached > best else waited + 1
            if reached > best:
                best, kept = reached, copy.deepcopy(net.state_dict())
            if waited >= self.patience:
                break
        net.load_state_dict(kept)
        net.eval()

    def _loss(self, logit: Tensor, target: Tensor, positive: float) -> Tensor:
        loss = nn.functional.binary_cross_entropy_with_logits(logit, target, reduction="none")
        miss = torch.where(target > 0, 1 - torch.sigmoid(logit), torch.sigmoid(logit))
        weight = torch.where(target > 0, positive, 1.0)
        return (weight * (miss**self.gamma) * loss).mean()

    def _example(self) -> dict[str, Tensor]:
        net = self._fitted()
        windows = {"s": torch.zeros(3, net.window, len(net.scaler.centre))}
        return windows if net.tabular is None else windows | {"x": torch.zeros(3, len(net.tabular.scaler.centre))}


def take(X: Inputs, index: slice | npt.NDArray[np.int64]) -> Inputs:
    """Select rows of a matrix or of windows."""
    return Windows(X.steps[index], X.row[index]) if isinstance(X, Windows) else X[index]


def _precision(raw: F64, y: F64) -> float:
    return float(average_precision_score(y, raw)) if 0 < y.mean() < 1 else 0.0
