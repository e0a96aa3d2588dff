"""Amount against the card's own habit. Sums are integers of quantised logarithms, so that order never matters."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from stream.features.kernel import LOG_QUANTUM, UNIT, Event, kernel, log_amount, log_count, log_quantum, log_ratio
from stream.features.registry import Family, Feature

MEMORY = 512  # at this many transactions the habit is halved, so that it follows the card's life
CAP = 10**13  # minor units; what one transaction may add to a sum
SMALL = 3 * UNIT  # what card testers try first
SPREAD = 0.25 * LOG_QUANTUM  # floor of the deviation: very regular cards must not see giants everywhere

DTYPE = np.dtype([(name, np.int64) for name in ("total", "logs", "squares", "top", "last", "n")])


class View(NamedTuple):
    mean: float  # minor units; NaN without history
    z: float


@kernel
def look(state: Any, event: Event) -> View:
    """The card's mean, and how far the amount is from it in deviations of the logarithm."""
    if state.n == 0:
        return View(np.nan, np.nan)
    mean = state.total / state.n
    if state.n < 3:
        return View(mean, np.nan)
    centre = state.logs / state.n
    variance = max(state.squares / state.n - centre * centre, 0.0)
    return View(mean, (log_quantum(event.amount) - centre) / math.sqrt(variance + SPREAD * SPREAD))


@kernel
def update(state: Any, event: Event) -> None:
    """Approved attempts alone shape the habit; the clearing of one is no second one."""
    if event.declined or not event.attempt:
        return
    if state.n >= MEMORY:
        state.total //= 2
        state.logs //= 2
        state.squares //= 2
        state.n //= 2
    amount = min(event.amount, CAP)
    quantum = log_quantum(event.amount)
    state.total += amount
    state.logs += quantum
    state.squares += quantum * quantum
    state.top = max(state.top, amount)
    state.last = amount
    state.n += 1


@kernel
def _log(state: Any, event: Event, view: View) -> float:
    return log_amount(event.amount)


@kernel
def _vs_mean(state: Any, event: Event, view: View) -> float:
    return log_ratio(event.amount, view.mean)


@kernel
def _vs_top(state: Any, event: Event, view: View) -> float:
    return log_ratio(event.amount, state.top) if state.n > 0 else np.nan


@kernel
def _z(state: Any, event: Event, view: View) -> float:
    return view.z


@kernel
def _vs_last(state: Any, event: Event, view: View) -> float:
    return log_ratio(event.amount, state.last) if state.n > 0 else np.nan


@kernel
def _same_as_last(state: Any, event: Event, view: View) -> float:
    if state.n == 0:
        return np.nan
    return 1.0 if min(event.amount, CAP) == state.last else 0.0


@kernel
def _is_round(state: Any, event: Event, view: View) -> float:
    return 1.0 if event.amount > 0 and event.amount % (10 * UNIT) == 0 else 0.0


@kernel
def _under_round(state: Any, event: Event, view: View) -> float:
    below = 50 * UNIT - event.amount % (50 * UNIT)
    return 1.0 if event.amount > 0 and below <= 3 * UNIT else 0.0


@kernel
def _is_small(state: Any, event: Event, view: View) -> float:
    return 1.0 if event.amount <= SMALL else 0.0


@kernel
def _history(state: Any, event: Event, view: View) -> float:
    return log_count(state.n)


@kernel
def _usual_amount(state: Any, event: Event, view: View) -> float:
    return view.mean / UNIT


FEATURES = (
    Feature("amount", "amount", 0, 40, "amount in the base currency", "AMOUNT_HIGH",
            "Amount {value}; this card's mean is {usual}", _log, "log1p", 3.5, _usual_amount),
    Feature("amount_vs_mean", "times", -10, 10, "amount over the card's mean", "AMOUNT_VS_MEAN",
            "Amount is {value} times this card's mean", _vs_mean, "log", usual=1.0),
    Feature("amount_vs_max", "times", -10, 10, "amount over the card's largest", "AMOUNT_VS_MAX",
            "Amount is {value} times the largest this card ever paid", _vs_top, "log", -1.5),
    Feature("amount_z", "deviations", -8, 8, "deviations of the log amount from the card's own", "AMOUNT_UNUSUAL",
            "Amount is {value} deviations from this card's habit", _z, usual=0.0),
    Feature("amount_vs_last", "times", -10, 10, "amount over the one before", "AMOUNT_VS_LAST",
            "Amount is {value} times the one before", _vs_last, "log", usual=1.0),
    Feature("amount_same_as_last", "flag", 0, 1, "exactly the amount before", "AMOUNT_REPEATED",
            "The same amount as the one before: {value}", _same_as_last, usual=0.0),
    Feature("amount_is_round", "flag", 0, 1, "a multiple of ten", "AMOUNT_ROUND", "A round amount: {value}", _is_round),
    Feature("amount_under_round", "flag", 0, 1, "just under a multiple of fifty", "AMOUNT_UNDER_LIMIT",
            "An amount just under a round limit: {value}", _under_round),
    Feature("amount_is_small", "flag", 0, 1, "at most three", "AMOUNT_TESTING",
            "A tiny amount, as card testers use: {value}", _is_small),
    Feature("amount_history", "transactions", 0, 8, "approved transactions behind the habit", "HISTORY_SHORT",
            "Only {value} transactions of this card are known", _history, "log1p", 4),
)  # fmt: skip

FAMILY = Family("amount", FEATURES, DTYPE, look, update)
