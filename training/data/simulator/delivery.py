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
    event : numpy.ndarray, shape (e,)
        Positions in `history.account` that arrive in this part, in order.
    event_arrival : numpy.ndarray, shape (e,)
        When they arrive, ms since the epoch, ascending.
    """

    row: Array
    arrival: Array
    label: Array
    label_arrival: Array
    event: Array
    event_arrival: Array


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
        Share of messages that come twice, with the same id.
    """
    seeds = history.bank.seed, history.seed
    row, arrival = _arrivals(history.feed.event_time, late, repeated, np.random.default_rng([0xDE1, *seeds]))
    event, told = _arrivals(history.account.time, late, repeated, np.random.default_rng([0xDE2, *seeds]))
    cut = start_ms + int(warmup_days * DAY_MS)
    decided = history.decisions["decided"]
    end = int(history.feed.event_time[-1]) + 1 if len(history) else start_ms
    if part == "warmup":
        chosen, labels, events = arrival < cut, decided < cut, told < cut
    elif part == "live":
        chosen, labels, events = arrival >= cut, (decided >= cut) & (decided < end), told >= cut
    else:
        chosen, labels, events = arrival >= 0, decided < end, told >= 0
    label = np.flatnonzero(labels)
    return Delivery(row[chosen], arrival[chosen], label, decided[label], event[events], told[events])


def _arrivals(time: Array, late: float, repeated: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Positions in order of arrival, some late and some twice, and when they arrive."""
    total = len(time)
    tardy = rng.random(total) < late
    delay = rng.exponential(_LATE_HOURS * 3_600_000, total).astype(np.int64)
    arrival = time + np.where(tardy, delay, 0)
    again = np.flatnonzero(rng.random(total) < repeated)
    position = np.concatenate([np.arange(total), again])
    arrival = np.concatenate([arrival, arrival[again] + rng.integers(50, _REPEAT_MS, len(again))])
    order = np.argsort(arrival, kind="stable")
    return position[order], arrival[order]
