"""Forecasters that learn while their series runs: a network a series, each point forecast before it is learned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from training.detectors.base import F32, F64
from training.detectors.torch_base import seeded
from training.forecast.network import QuantileNet, StackedNets, narrow_start, pinball

CLIP = 5.0
NORMAL = (-1.645, -1.282, -0.674, 0.0, 0.674, 1.282, 1.645)
LEVELS = (0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95)


@dataclass(frozen=True, slots=True)
class Learning:
    """How a network learns its series.

    Parameters
    ----------
    hidden
        Memory of the LSTM.
    window, batch
        Points of a training window and windows of a step.
    first_steps
        Steps on the probation.
    every, steps
        Points after which so many more steps follow.
    memory
        Points back from which half of the windows are drawn; the other half comes from the last `recent` points.
    recent
        See `memory`.
    first_rate, rate
        Adam's step on the probation and later.
    """

    hidden: int = 24
    window: int = 24
    batch: int = 8
    first_steps: int = 250
    every: int = 64
    steps: int = 12
    memory: int = 5000
    recent: int = 256
    first_rate: float = 1e-2
    rate: float = 3e-3


class Prepared(NamedTuple):
    """A series ready to be forecast."""

    inputs: F32  # (n, C)
    target: F64  # (n,) scaled values; inputs[t] forecasts target[t + 1]
    probation: int


def scaled(values: F64, probation: int) -> F64:
    """Scale by median and spread of the first `probation` values, and tame large ones: asinh, (n,)."""
    known = values[:probation][~np.isnan(values[:probation])]
    if not len(known):
        return np.where(np.isnan(values), np.nan, np.arcsinh(values))
    centre = float(np.median(known))
    spread = 1.4826 * float(np.median(np.abs(known - centre)))
    for fallback in (float(known.std()), abs(centre), 1.0):
        spread = spread if spread > 1e-9 * max(abs(centre), 1e-300) else fallback
    return np.asarray(np.arcsinh((values - centre) / spread))


def prepare(values: F64, hours: F64, probation: int) -> Prepared:
    """Make inputs: scaled value, its difference, hour of day on a circle.

    Parameters
    ----------
    values
        (n,), NaN and infinity are missing and repeat the value before them as an input.
    hours
        (n,) hour of day, [0, 24).
    probation
        Points at the start that may be learned before any is scored.
    """
    z = scaled(np.where(np.isfinite(values), values, np.nan), probation)
    filled = fill_forward(z)
    turn = 2 * np.pi * hours / 24
    inputs = np.column_stack((filled, np.diff(filled, prepend=filled[:1]), np.sin(turn), np.cos(turn)))
    return Prepared(inputs.astype(np.float32), z, probation)


def fill_forward(values: F64) -> F64:
    """Repeat the last known value where one is missing; 0 before the first."""
    known = ~np.isnan(values)
    last = np.maximum.accumulate(np.where(known, np.arange(len(values)), -1))
    return np.where(last >= 0, values[np.maximum(last, 0)], 0.0)


def online_residuals(
    series: Sequence[Prepared], learning: Learning, seed: int, say: Callable[[int, int], None] | None = None
) -> list[F64]:
    """Forecast each point of each series from the points before it, learning as it goes.

    Parameters
    ----------
    series
        Any number, of any lengths; each has its own network and none learns from another.
    learning
        How a network learns.
    seed
        Of the first weights and of the windows drawn; the same for each series.
    say
        Told how many points of the longest series are done, and of how many.

    Returns
    -------
    list of (n,) float64
        |actual - median| over half the 80 % band, at most `CLIP`; NaN at the first point and at missing ones. Those
        of the probation are of the network fitted to it.
    """
    order = sorted(range(len(series)), key=lambda k: -len(series[k].target))
    ordered = [series[k] for k in order]
    with seeded(seed):
        net = QuantileNet(series[0].inputs.shape[1], learning.hidden, 1, len(LEVELS))
        narrow_start(net.head, 1, [0.5 * value for value in NORMAL])
        run = _Run(ordered, net, learning, np.random.default_rng(seed))
        run.fit_probation()
        longest = len(ordered[0].target)
        for done in range(0, longest, learning.every):
            run.advance(done)
            if say is not None:
                say(min(done + learning.every, longest), longest)
    out: list[F64] = [np.empty(0)] * len(series)
    for place, k in enumerate(order):
        out[k] = run.residuals[place][: len(series[k].target)]
    return out


class _Run:
    """All networks at one point of time; series are sorted, longest first."""

    def __init__(
        self, series: Sequence[Prepared], net: QuantileNet, learning: Learning, random: np.random.Generator
    ) -> None:
        self._learning, self._random = learning, random
        self._lengths = np.array([len(s.target) for s in series])
        self._probation = np.array([min(s.probation, len(s.target)) for s in series])
        width = int(self._lengths.max()) + learning.every
        self._x = torch.zeros(len(series), width, series[0].inputs.shape[1])
        self._y = torch.full((len(series), width), torch.nan)
        for k, one in enumerate(series):
            self._x[k, : len(one.target)] = torch.from_numpy(one.inputs)
            self._y[k, : len(one.target)] = torch.from_numpy(one.target.astype(np.float32))
        self._levels = torch.tensor(LEVELS)
        self._nets = StackedNets([net] * len(series))
        self._optimizer = torch.optim.Adam(self._nets.parameters(), lr=learning.first_rate, fused=True)
        self.residuals = np.full((len(series), width), np.nan)

    def fit_probation(self) -> None:
        """Learn the probation of every series and note how well it was learned."""
        learning = self._learning
        low = np.zeros(len(self._lengths), np.int64)
        for step in range(learning.first_steps):
            self._optimizer.param_groups[0]["lr"] = learning.first_rate * (1 - 0.7 * step / learning.first_steps)
            self._step(low, low, self._probation)
        self._optimizer.param_groups[0]["lr"] = learning.rate
        for start in range(0, int(self._probation.max()), learning.every):
            self._forecast(start, len(self._lengths))
        beyond = np.arange(self.residuals.shape[1])[None, :] >= self._probation[:, None]
        self.residuals[beyond] = np.nan

    def advance(self, start: int) -> None:
        """Forecast the points [start, start + every) of the series that are past probation, then learn them."""
        learning = self._learning
        stop = start + learning.every
        active = int((self._lengths > start).sum())
        early = self.residuals[:active].copy()
        self._forecast(start, active)
        inside = np.arange(self.residuals.shape[1])[None, :] < self._probation[:active, None]
        self.residuals[:active][inside] = early[inside]
        known = np.maximum(np.minimum(self._lengths[:active], stop), self._probation[:active])
        for _ in range(learning.steps):
            self._step(np.maximum(known - learning.memory, 0), np.maximum(known - learning.recent, 0), known)

    def _forecast(self, start: int, active: int) -> None:
        learning = self._learning
        begin = max(start - 1 - 2 * learning.window, 0)
        stop = start + learning.every
        with torch.no_grad():
            x = self._x[:active, None, begin : stop - 1]
            quantiles = self._nets(x, slice(active))[:, 0].double()  # forecasts begin + 1 .. stop - 1
        actual = self._y[:active, begin + 1 : stop].double()
        half = (quantiles[..., -2] - quantiles[..., 1]) / 2
        residual = ((actual - quantiles[..., len(LEVELS) // 2]).abs() / half.clamp_min(1e-3)).clamp(max=CLIP).numpy()
        first = max(start, 1)
        self.residuals[:active, first:stop] = residual[:, first - begin - 1 :]

    def _step(self, low: np.ndarray, recent: np.ndarray, stop: np.ndarray) -> None:
        """One step of Adam for the first len(low) networks on windows inside [low, stop) and [recent, stop)."""
        learning, active = self._learning, len(low)
        share = self._random.random(learning.batch)
        half = learning.batch // 2
        floor = np.where(np.arange(learning.batch)[None, :] < half, low[:, None], recent[:, None])
        room = np.maximum(stop[:, None] - learning.window - 1 - floor, 0)
        starts = np.maximum(np.minimum(floor, stop[:, None] - learning.window - 1), 0) + (share * (room + 1)).astype(
            int
        )
        index = torch.from_numpy(starts)[:, :, None] + torch.arange(learning.window)
        rows = torch.arange(active)[:, None, None]
        # a window longer than what is known must not learn what comes after it
        known = index + 1 < torch.from_numpy(stop)[:, None, None]
        actual = torch.where(known, self._y[rows, index + 1], torch.nan)
        loss = self._loss(self._x[rows, index], actual, slice(active))
        self._optimizer.zero_grad()
        loss.backward()
        for parameter in self._nets.parameters():
            self._clip(parameter)
        self._optimizer.step()

    def _loss(self, x: Tensor, actual: Tensor, members: slice) -> Tensor:
        known = ~torch.isnan(actual)
        losses = pinball(self._nets(x, members), torch.nan_to_num(actual), self._levels)
        return (losses * known).mean(dim=(1, 2)).sum()

    @staticmethod
    def _clip(parameter: torch.nn.Parameter) -> None:
        gradient = parameter.grad
        if gradient is not None:
            norm = gradient.flatten(1).norm(dim=1).clamp_min(1e-12)
            gradient.mul_((1.0 / norm).clamp(max=1.0)[:, None, None])
