"""The LSTM forecaster: quantiles of the next steps, learned from one series or from many at once."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn

from stream.errors import SettingError
from training.detectors.base import F32, F64
from training.detectors.torch_base import export_graph, seeded
from training.forecast.measures import LEVELS
from training.forecast.network import QuantileNet, narrow_start, pinball

Device = Literal["auto", "cpu", "cuda"]
_LARGEST = 15.0  # targets are in volatilities; what lies further out is taken as this far while training


class Track(NamedTuple):
    """One series as the network sees it.

    Parameters
    ----------
    inputs
        (n, C), row t known at t.
    targets
        (n, H), what the next steps brought, in a scale known at t; NaN where unknown.
    train, validate
        Rows [0, train) are learned and rows [train, validate) stop the training; no target may reach past its part.
    """

    inputs: F32
    targets: F64
    train: int
    validate: int


@dataclass(frozen=True, slots=True)
class Options:
    """Size and training of the network; `window` rows are read before a forecast."""

    hidden: int = 24
    window: int = 40
    batch: int = 64
    steps: int = 600
    rate: float = 4e-3
    check_every: int = 25
    patience: int = 6
    decay: float = 1e-4


class LSTMForecaster:
    """Quantiles at `measures.LEVELS` of the next H steps.

    Training begins at the quantiles that the training targets have over all rows and stops where rows set aside
    no longer gain, so the network can only move away from that plain forecast when it pays.

    Parameters
    ----------
    options
        Size and training.
    device
        auto takes CUDA where there is one.

    Examples
    --------
    >>> model = LSTMForecaster().fit([Track(inputs, targets, 700, 900)], seed=1)  # doctest: +SKIP
    >>> model.quantiles(inputs, rows=np.arange(900, 1000)).shape  # doctest: +SKIP
    (100, 1, 23)
    """

    def __init__(self, options: Options | None = None, device: Device = "auto") -> None:
        self.options = options or Options()
        self._device = device_of(device)
        self._net: QuantileNet | None = None
        self.curve: list[tuple[int, float]] = []

    @property
    def net(self) -> QuantileNet:
        """The trained network.

        Raises
        ------
        ValueError
            Before `fit`.
        """
        if self._net is None:
            raise ValueError("the forecaster is not fitted")
        return self._net

    def fit(self, tracks: Sequence[Track], *, seed: int) -> Self:
        """Train on all tracks together.

        Parameters
        ----------
        tracks
            With the same inputs and horizon.
        seed
            Two fits with one seed on one machine give the same network.

        Raises
        ------
        SettingError
            No track has rows enough for a window.
        """
        options = self.options
        usable = [track for track in tracks if track.train >= options.window + 8]
        if not usable:
            raise SettingError(f"too few rows to train on; at least {options.window + 8} are needed before the test")
        learned = np.concatenate([track.targets[: track.train] for track in usable])
        with seeded(seed):
            net = QuantileNet(usable[0].inputs.shape[1], options.hidden, learned.shape[1], len(LEVELS))
            _start_at(net, learned)
            net.to(self._device)
            self._train(net, usable, np.random.default_rng(seed))
        self._net = net.cpu().eval()
        return self

    def quantiles(self, inputs: F32, rows: np.ndarray) -> F64:
        """Forecast from each of these rows; (n, C) and (r,) to (r, H, Q) in the targets' scale."""
        windows = windows_of(inputs, rows, self.options.window)
        with torch.no_grad():
            parts = [self.net(block)[:, -1].double().numpy() for block in torch.split(windows, 2048)]
        return np.concatenate(parts)

    def to_onnx(self, path: Path) -> None:
        """Write the graph: ``x`` (n, window, C) to ``quantiles`` (n, H, Q)."""
        channels = self.net.lstm.input_size
        export_graph(_Last(self.net), {"x": torch.zeros(2, self.options.window, channels)}, path, output="quantiles")

    def _train(self, net: QuantileNet, tracks: Sequence[Track], random: np.random.Generator) -> None:
        options = self.options
        levels = torch.tensor(LEVELS, dtype=torch.float32, device=self._device)
        x, y, ends = _joined(tracks, options.window)
        x, y = x.to(self._device), y.to(self._device)
        held = _held_out(tracks, options.window, self._device)
        optimizer = torch.optim.AdamW(net.parameters(), lr=options.rate, weight_decay=options.decay)
        best, kept, worse = _loss(net, held, levels), copy.deepcopy(net.state_dict()), 0
        self.curve = [(0, best)]
        offsets = torch.arange(-options.window + 1, 1, device=self._device)
        for step in range(1, options.steps + 1):
            end = torch.from_numpy(random.choice(ends, options.batch)).to(self._device)
            index = end[:, None] + offsets
            loss = _masked(net(x[index]), y[index], levels, options.window // 4)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            if step % options.check_every == 0:
                now = _loss(net, held, levels)
                self.curve.append((step, now))
                if now < best:
                    best, kept, worse = now, copy.deepcopy(net.state_dict()), 0
                else:
                    worse += 1
                    if worse >= options.patience:
                        break
        net.load_state_dict(kept)


class _Last(nn.Module):
    """The forecast of a window's last row."""

    def __init__(self, net: QuantileNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)[:, -1]


def device_of(name: Device) -> torch.device:
    """Resolve auto; SettingError where CUDA is asked for and there is none."""
    if name == "cuda" and not torch.cuda.is_available():
        raise SettingError("--device cuda: this machine has no CUDA device that torch can use; take --device cpu")
    return torch.device("cuda" if name == "cuda" or (name == "auto" and torch.cuda.is_available()) else "cpu")


def windows_of(inputs: F32, rows: np.ndarray, window: int) -> Tensor:
    """Cut the windows that end at these rows, (r, window, C); rows before the first are zeros."""
    padded = np.concatenate((np.zeros((window - 1, inputs.shape[1]), np.float32), inputs))
    return torch.from_numpy(padded[np.asarray(rows)[:, None] + np.arange(window)])


def _start_at(net: QuantileNet, targets: F64) -> None:
    """Let the network begin at the quantiles of the training targets, for each step ahead by itself."""
    biases = []
    for column in np.clip(targets, -_LARGEST, _LARGEST).T:
        known = column[~np.isnan(column)]
        one = nn.Linear(1, len(LEVELS))
        narrow_start(one, 1, np.quantile(known, LEVELS).tolist())
        biases.append(one.bias.detach())
    with torch.no_grad():
        net.head.weight.mul_(0.05)
        net.head.bias.copy_(torch.cat(biases))


def _joined(tracks: Sequence[Track], window: int) -> tuple[Tensor, Tensor, np.ndarray]:
    """Training rows of all tracks one after the other, and the rows at which a window may end."""
    x = np.concatenate([track.inputs[: track.train] for track in tracks])
    y = np.concatenate([np.clip(track.targets[: track.train], -_LARGEST, _LARGEST) for track in tracks])
    begins = np.cumsum([0, *(track.train for track in tracks[:-1])])
    ends = [np.arange(begin + window - 1, begin + track.train) for begin, track in zip(begins, tracks, strict=True)]
    return torch.from_numpy(x), torch.from_numpy(y.astype(np.float32)), np.concatenate(ends)


def _held_out(tracks: Sequence[Track], window: int, device: torch.device) -> tuple[Tensor, Tensor]:
    xs, ys = [], []
    budget = max(4000 // len(tracks), 50)
    for track in tracks:
        rows = np.arange(track.train, track.validate)
        rows = rows[:: max(len(rows) // budget, 1)]
        xs.append(windows_of(track.inputs, rows, window))
        ys.append(torch.from_numpy(track.targets[rows].astype(np.float32)))
    return torch.cat(xs).to(device), torch.cat(ys).to(device)


def _loss(net: QuantileNet, held: tuple[Tensor, Tensor], levels: Tensor) -> float:
    x, y = held
    if not len(x):
        return float("inf")
    with torch.no_grad():
        out = torch.cat([net(block)[:, -1] for block in torch.split(x, 1024)])
    return float(_masked(out[:, None], y[:, None], levels, 0))


def _masked(quantiles: Tensor, actual: Tensor, levels: Tensor, skip: int) -> Tensor:
    known = ~torch.isnan(actual[:, skip:])
    losses = pinball(quantiles[:, skip:], torch.nan_to_num(actual[:, skip:]), levels)
    return (losses * known).sum() / known.sum().clamp_min(1)
