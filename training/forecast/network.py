"""LSTMs whose outputs are quantiles of the next steps: one network, and many small ones trained side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional


class QuantileNet(nn.Module):
    """LSTM from (n, T, C) inputs to (n, T, H, Q) quantiles, increasing along Q at every step.

    Parameters
    ----------
    channels, hidden
        Inputs and memory of the LSTM.
    horizon
        H, steps ahead that are forecast at once.
    levels
        Q, number of quantiles; the one in the middle is free, the others lie above and below it.
    """

    def __init__(self, channels: int, hidden: int, horizon: int, levels: int) -> None:
        super().__init__()
        self.horizon, self.levels = horizon, levels
        self.lstm = nn.LSTM(channels, hidden, batch_first=True)
        self.head = nn.Linear(hidden, horizon * levels)

    def forward(self, x: Tensor) -> Tensor:
        """Forecast at every step; (n, T, C) to (n, T, H, Q)."""
        hidden, _ = self.lstm(x)
        out = self.head(hidden)
        return increasing(out.unflatten(-1, (self.horizon, self.levels)))


class StackedNets(nn.Module):
    """S networks of one shape, each with its own series and its own weights, trained in one pass.

    A network's result does not depend on which others it is stacked with: the loss is their sum, and Adam and the
    gradient's clipping work weight by weight and network by network.

    Parameters
    ----------
    like
        Networks whose weights each member of the stack starts from; horizon 1.
    """

    def __init__(self, like: Sequence[QuantileNet]) -> None:
        super().__init__()
        first = like[0]
        self.levels, self.hidden = first.levels, first.lstm.hidden_size

        def stacked(*names: str) -> nn.Parameter:
            tensors = [sum(net.get_parameter(name).detach() for name in names) for net in like]
            return nn.Parameter(torch.stack([t.T.contiguous() if t.ndim == 2 else t[None, :] for t in tensors]))

        self.w_in = stacked("lstm.weight_ih_l0")  # (S, C, 4h)
        self.w_back = stacked("lstm.weight_hh_l0")  # (S, h, 4h)
        self.bias = stacked("lstm.bias_ih_l0", "lstm.bias_hh_l0")  # (S, 1, 4h)
        self.w_head = stacked("head.weight")  # (S, h, Q)
        self.b_head = stacked("head.bias")  # (S, 1, Q)

    def forward(self, x: Tensor, members: slice = slice(None)) -> Tensor:
        """Forecast one step ahead at every step; (S, n, T, C) to (S, n, T, Q)."""
        stack, n, steps, _ = x.shape
        drive = torch.baddbmm(self.bias[members], x.flatten(1, 2), self.w_in[members]).unflatten(1, (n, steps))
        back = self.w_back[members]
        h = x.new_zeros(stack, n, self.hidden)
        c = torch.zeros_like(h)
        hidden = []
        for step in range(steps):
            i, f, g, o = torch.baddbmm(drive[:, :, step], h, back).chunk(4, dim=-1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            hidden.append(h)
        flat = torch.stack(hidden, dim=2).flatten(1, 2)
        out = torch.baddbmm(self.b_head[members], flat, self.w_head[members])
        return increasing(out.unflatten(1, (n, steps)))


def increasing(raw: Tensor) -> Tensor:
    """Turn free numbers (..., Q) into quantiles: the middle as it is, the others by positive distances."""
    middle = raw.shape[-1] // 2
    centre = raw[..., middle : middle + 1]
    above = centre + torch.cumsum(functional.softplus(raw[..., middle + 1 :]), dim=-1)
    below = centre - torch.cumsum(functional.softplus(raw[..., :middle].flip(-1)), dim=-1).flip(-1)
    return torch.cat((below, centre, above), dim=-1)


def pinball(quantiles: Tensor, actual: Tensor, levels: Tensor) -> Tensor:
    """Mean pinball loss over the levels; (..., Q) and (...,) to (...,). Koenker and Bassett, 1978."""
    error = actual[..., None] - quantiles
    return torch.maximum(levels * error, (levels - 1) * error).mean(dim=-1)


def narrow_start(head: nn.Linear, horizon: int, values: Sequence[float]) -> None:
    """Let a network begin with the same quantiles everywhere: `values`, increasing, for each step ahead."""
    middle = len(values) // 2
    gaps = [max(after - before, 1e-4) for before, after in pairwise(values)]
    raw = [math.log(math.expm1(gap)) for gap in gaps]
    row = torch.tensor([*raw[:middle], values[middle], *raw[middle:]])
    with torch.no_grad():
        head.weight.mul_(0.1)
        head.bias.copy_(row.repeat(horizon))
