"""In which order a history reaches the topic: late messages, repeated ones, and the part that is asked for."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from training.data.simulator.calendar import DAY_MS
from training.data.simulator.history import History
from training.data.simulator.rows import Array

Part = Literal["all", "warmup", "live"]
_LATE_HOURS = 4.0
_REPEAT_MS = 90_000


@dataclass(frozen=True)
class Delivery:
    """What is sent, in order.

    Attributes
    ----------
    row : numpy.ndarray, shape (m,)
        Positions in the history; a repeated message names its row again.
    arrival : numpy.ndarray, shape (m,)
        When the bank would have sent it, ms since the epoch, ascending.
    label : numpy.ndarray, shape (k,)
        Positions in `history.decisions` that arrive in this part, in order.
    label_arrival : numpy.ndarray, shape (k,)
        Their decision times, ms since the epoch.
    """

    row: Array
    arrival: Array
    label: Array
    label_arrival: Array


def deliver(
    history: History, start_ms: int, *, part: Part, warmup_days: float, late: float, repeated: float
) -> Delivery:
    """Plan the delivery of a history.

    Parameters
    ----------
    history : History
        What is delivered.
    start_ms : int
        Start of the history, ms since the epoch.
    part : {"all", "warmup", "live"}
        What arrives before `warmup_days` after the start, or from then on; together they are all of it.
    warmup_days : float
        Days after the start at which the warm-up ends.
    late : float
        Share of messages that come minutes to days late.
    repeated : float
        Share of messages that come twice, with the same transaction id.
    """
    rng = np.random.default_rng([0xDE1, history.bank.seed, history.seed])
    total = len(history)
    tardy = rng.random(total) < late
    delay = rng.exponential(_LATE_HOURS * 3_600_000, total).astype(np.int64)
    arrival = history.feed.event_time + np.where(tardy, delay, 0)
    again = np.flatnonzero(rng.random(total) < repeated)
    row = np.concatenate([np.arange(total), again])
    arrival = np.concatenate([arrival, arrival[again] + rng.integers(50, _REPEAT_MS, len(again))])
    order = np.argsort(arrival, kind="stable")
    row, arrival = row[order], arrival[order]
    cut = start_ms + int(warmup_days * DAY_MS)
    decided = history.decisions["decided"]
    end = int(history.feed.event_time[-1]) + 1 if total else start_ms
    if part == "warmup":
        chosen, labels = arrival < cut, decided < cut
    elif part == "live":
        chosen, labels = arrival >= cut, (decided >= cut) & (decided < end)
    else:
        chosen, labels = np.ones(len(row), dtype=bool), decided < end
    label = np.flatnonzero(labels)
    return Delivery(row[chosen], arrival[chosen], label, decided[label])
