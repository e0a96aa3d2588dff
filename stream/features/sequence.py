"""The last K transactions of a card as the models see them: features of each, quantised to a byte.

The current transaction is the newest step; its values are those it had against the history before it. A channel
remembers a feature that another family has just written, so that no family computes anything twice.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

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


@intrinsic
def unpack(context: Any, quanta: Any, at: Any, steps: Any, out: Any, place: Any) -> Any:
    """Write ``quanta[at + c] * steps[c]`` to ``out[place + c]`` for every channel kept, float32, in vector steps.

    Arrays of any shape are read as flat; int8, float32 and float32.
    """
    del context

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, at, _, _, place = args
        sources = [(signature.args[k], args[k]) for k in (0, 2, 3)]
        pointers = [make_array(kind)(context, builder, value).data for kind, value in sources]
        byte, single, low = ir.IntType(8), ir.FloatType(), 0
        while low < STORED:
            lanes = 8 if STORED - low >= 8 else 4 if STORED - low >= 4 else 1
            bytes_at = builder.gep(pointers[0], [builder.add(at, ir.Constant(at.type, low))])
            steps_at = builder.gep(pointers[1], [ir.Constant(at.type, low)])
            out_at = builder.gep(pointers[2], [builder.add(place, ir.Constant(at.type, low))])
            held = builder.load(builder.bitcast(bytes_at, ir.VectorType(byte, lanes).as_pointer()), align=1)
            wanted = ir.VectorType(single, lanes)
            times = builder.load(builder.bitcast(steps_at, wanted.as_pointer()), align=4)
            value = builder.fmul(builder.sitofp(held, wanted), times)
            builder.store(value, builder.bitcast(out_at, wanted.as_pointer()), align=4)
            low += lanes
        return context.get_dummy_value()

    return types.void(quanta, types.int64, steps, out, types.int64), generate


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
        unpack(state.steps, at * STORED, steps, out, k * (STORED + 1) + 1)
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
