"""The last K transactions of a card as the models see them: features of each, quantised to a byte.

The current transaction is the newest step; its values are those it had against the history before it. A channel
remembers a feature that another family has just written, so that no family computes anything twice.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.features.kernel import Event, kernel, wide
from stream.features.registry import Channel, Family

STEPS = 16
EDGE = 127

CHANNELS = (
    Channel("present", "", "", 1.0, 1.0),
    Channel("amount_vs_mean", "amount", "amount_vs_mean", 0.125),
    Channel("amount_is_small", "amount", "amount_is_small", 1.0),
    Channel("seconds_since_last", "velocity", "card_seconds_since_last", 0.25, 10.0),
    Channel("pace_1h", "velocity", "card_pace_ratio_1h", 0.125),
    Channel("hour_affinity", "time", "hour_affinity", 0.0625, 0.5),
    Channel("declined", "context", "is_declined", 1.0),
    Channel("ecom", "context", "is_ecom", 1.0),
    Channel("entry_risk", "context", "entry_risk", 0.25),
    Channel("merchant_new", "novelty", "merchant_new", 1.0),
    Channel("device_new", "novelty", "device_new", 1.0),
    Channel("speed", "geography", "speed", 0.125, 1.0),
    Channel("foreign", "geography", "is_foreign", 1.0),
)
STORED = len(CHANNELS) - 1  # `present` needs no byte

DTYPE = np.dtype([("steps", np.int8, (STEPS, STORED)), ("head", np.uint8), ("filled", np.uint8)], align=True)


@kernel
def quantise(value: float, step: float, neutral: float) -> int:
    """Nearest quantum; a missing value is the neutral one."""
    if np.isnan(value):
        value = neutral
    return wide(min(max(np.rint(value / step), -EDGE), EDGE))


@kernel
def history(state: Any, steps: Any, out: Any) -> None:
    """Write the steps before the current one, oldest first, into ``out[:STEPS - 1]``; absent ones are 0."""
    held = min(wide(state.filled), STEPS - 1)
    for k in range(STEPS - 1 - held):
        for c in range(STORED + 1):
            out[k, c] = 0.0
    at = (state.head + STEPS - held) % STEPS
    for k in range(STEPS - 1 - held, STEPS - 1):
        out[k, 0] = 1.0
        for c in range(STORED):
            out[k, c + 1] = state.steps[at, c] * steps[c]
        at = (at + 1) % STEPS


@kernel
def advance(state: Any) -> None:
    """Close the step whose bytes were written at `head`."""
    state.head = (state.head + 1) % STEPS
    state.filled = min(state.filled + 1, STEPS)


@kernel
def _nothing(state: Any, event: Event) -> int:
    return 0


FAMILY = Family("sequence", (), DTYPE, _nothing, None)
