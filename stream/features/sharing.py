"""Devices and internet addresses, within the partition: who else uses them, how much, and how long they are known.

24 h are 22 to 24 hours in steps of two, 7 d six days and 23 hours to seven days. A step holds at most 65,535 attempts;
of the cards the twelve met last are told apart, by 16 bits of a hash. Nothing here is made of labels.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from stream.features.kernel import DAY, HOUR, Event, fold16, kernel, log_count, log_plus, wide
from stream.features.lately import meet, others
from stream.features.registry import Family, Feature
from stream.features.ring import held, roll

STEPS, CARDS = 12, 12
STEP = 2 * HOUR
WEEK = 168  # hours
PRIOR, WEIGHT = 0.05, 10.0  # declined share that nothing is known of, and how many attempts that belief is worth
U16 = 0xFFFF

DTYPE = np.dtype(
    [
        ("first", np.int64),
        ("newest", np.int32),
        ("counts", np.uint16, STEPS),  # attempts
        ("declines", np.uint16, STEPS),
        ("cards", np.uint16, CARDS),
        ("met", np.uint16, CARDS),  # hours since the epoch, last time
        ("known", np.uint8),
    ],
    align=True,
)


class View(NamedTuple):
    attempts: int
    declines: int
    others_24h: int
    others_7d: int


@kernel
def look(state: Any, event: Event) -> View:
    """The windows before the event."""
    attempts, declines = held(state.counts, state.declines, wide(state.newest), event.time // STEP)
    day, week = others(state.cards, state.met, fold16(event.card), event.time // HOUR, WEEK)
    return View(attempts, declines, day, week)


@kernel
def update(state: Any, event: Event) -> None:
    """Attempts alone: a clearing says nothing of where the card holder is."""
    if not event.attempt:
        return
    step, newest = event.time // STEP, wide(state.newest)
    at = roll(state.counts, state.declines, newest, step)
    state.newest = max(newest, step)
    if at >= 0:
        state.counts[at] = min(wide(state.counts[at]) + 1, U16)
        if event.declined:
            state.declines[at] = min(wide(state.declines[at]) + 1, U16)
    meet(state.cards, state.met, fold16(event.card), event.time // HOUR, WEEK)
    if state.known == 0:
        state.known = 1
        state.first = event.time
    state.first = min(state.first, event.time)


@kernel
def _others_24h(state: Any, event: Event, view: View) -> float:
    return log_count(view.others_24h)


@kernel
def _others_7d(state: Any, event: Event, view: View) -> float:
    return log_count(view.others_7d)


@kernel
def _attempts(state: Any, event: Event, view: View) -> float:
    return log_count(view.attempts)


@kernel
def _declined(state: Any, event: Event, view: View) -> float:
    return (view.declines + WEIGHT * PRIOR) / (view.attempts + WEIGHT) if view.attempts > 0 else np.nan


@kernel
def _age(state: Any, event: Event, view: View) -> float:
    return log_plus(max(event.time - state.first, 0) / DAY) if state.known == 1 else np.nan


def _features(noun: str, spoken: str) -> tuple[Feature, ...]:
    code = noun.upper()
    return (
        Feature(f"{noun}_other_cards_24h", "cards", 0, 3,
                f"other cards seen at the {spoken} in 24 h, of the last twelve",
                f"{code}_CARDS_24H_HIGH", f"{{value}} other cards were used at this {spoken} within a day",
                _others_24h, "log1p"),
        Feature(f"{noun}_other_cards_7d", "cards", 0, 3,
                f"other cards seen at the {spoken} in 7 d, of the last twelve",
                f"{code}_CARDS_7D_HIGH", f"{{value}} other cards were used at this {spoken} within a week",
                _others_7d, "log1p"),
        Feature(f"{noun}_attempt_count_24h", "attempts", 0, 16, f"attempts at the {spoken} in 24 h",
                f"{code}_ATTEMPTS_24H_HIGH", f"{{value}} attempts at this {spoken} within a day",
                _attempts, "log1p", 0.75),
        Feature(f"{noun}_decline_share_24h", "share", 0, 1,
                f"declined share of the attempts at the {spoken} in 24 h, shrunken towards 5 %",
                f"{code}_DECLINES_HIGH", f"{{value}} of the attempts at this {spoken} within a day were declined",
                _declined, "linear", PRIOR),
        Feature(f"{noun}_days_known", "days", 0, 11, f"since the first transaction at the {spoken}",
                f"{code}_YOUNG", f"This {spoken} has been known for {{value}} days", _age, "log1p", 3.5),
    )  # fmt: skip


DEVICE = Family("device", _features("device", "device"), DTYPE, look, update, "device")
IP = Family("ip", _features("ip", "internet address"), DTYPE, look, update, "ip")
