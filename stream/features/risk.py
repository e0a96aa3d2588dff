"""Merchants and terminals, over all partitions: how busy, how unlike themselves, how often fraud was confirmed there.

Made of closed hours: 24 h are the last 24, 28 d whole days. Shares and rates are shrunken, so that one of one is not
100 %. The fraud rate is that of mature transactions, a week old or more, with the frauds that are known by now.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from stream.features.kernel import Event, kernel, log_plus, log_ratio
from stream.features.registry import Family, Feature

NEW_PRIOR, DECLINE_PRIOR, WEIGHT = 0.25, 0.05, 20.0
FRAUD_PRIOR, FRAUD_WEIGHT = 0.002, 50.0


class View(NamedTuple):
    count_24h: float  # NaN: nothing is known, and all the others are NaN as well
    new_24h: float
    declines_24h: float
    count_28d: float
    amount_28d: float  # minor units
    mature_28d: float
    frauds_28d: float


@kernel
def look(state: Any, event: Event) -> View:
    """The given row, as `stream.entities.merged.Merged.look` has it."""
    return View(state[0], state[1], state[2], state[3], state[4], state[5], state[6])


@kernel
def _count(state: Any, event: Event, view: View) -> float:
    return log_plus(view.count_24h)


@kernel
def _pace(state: Any, event: Event, view: View) -> float:
    return math.log((view.count_24h + 1) / (view.count_28d / 28 + 1))


@kernel
def _new(state: Any, event: Event, view: View) -> float:
    return (view.new_24h + WEIGHT * NEW_PRIOR) / (view.count_24h + WEIGHT)


@kernel
def _declined(state: Any, event: Event, view: View) -> float:
    return (view.declines_24h + WEIGHT * DECLINE_PRIOR) / (view.count_24h + WEIGHT)


@kernel
def _amount(state: Any, event: Event, view: View) -> float:
    return log_ratio(event.amount, view.amount_28d / view.count_28d) if view.count_28d > 0 else np.nan


@kernel
def _fraud(state: Any, event: Event, view: View) -> float:
    known = max(view.frauds_28d, 0.0) + FRAUD_WEIGHT * FRAUD_PRIOR
    return math.log(min(known / (view.mature_28d + FRAUD_WEIGHT), 1.0) / FRAUD_PRIOR)


def _features(noun: str) -> tuple[Feature, ...]:
    code = noun.upper()
    return (
        Feature(f"{noun}_attempt_count_24h", "attempts", 0, 24, f"attempts at the {noun} in 24 h",
                f"{code}_BUSY", f"{{value}} attempts at this {noun} within a day", _count, "log1p", 5.0),
        Feature(f"{noun}_pace_ratio_24h", "times", -12, 12,
                f"attempts in 24 h over the {noun}'s own daily mean of 28 d",
                f"{code}_PACE_UNUSUAL", f"This {noun} is {{value}} times as busy as usual", _pace, "log"),
        Feature(f"{noun}_new_card_share_24h", "share", 0, 1,
                f"share of the attempts in 24 h with cards new to the {'merchant' if noun == 'terminal' else noun}, "
                "shrunken towards 25 %",
                f"{code}_NEW_CARDS_HIGH", f"{{value}} of the attempts at this {noun} within a day were with new cards",
                _new, "linear", NEW_PRIOR),
        Feature(f"{noun}_decline_share_24h", "share", 0, 1,
                f"declined share of the attempts at the {noun} in 24 h, shrunken towards 5 %",
                f"{code}_DECLINES_HIGH", f"{{value}} of the attempts at this {noun} within a day were declined",
                _declined, "linear", DECLINE_PRIOR),
        Feature(f"amount_vs_{noun}_mean", "times", -12, 12,
                f"amount over the {noun}'s approved spend an attempt in 28 d",
                f"AMOUNT_VS_{code}", f"Amount is {{value}} times what is usual at this {noun}", _amount, "log"),
        Feature(f"{noun}_fraud_rate", "times", -12, 8,
                f"confirmed fraud rate of the {noun}, mature, delayed, shrunken, over the usual 0.2 %",
                f"{code}_FRAUD_RATE_HIGH",
                f"Confirmed fraud at this {noun} is {{value}} times as frequent as elsewhere",
                _fraud, "log", from_labels=True),
    )  # fmt: skip


MERCHANT = Family("merchant", _features("merchant"), None, look, None, "merchant")
TERMINAL = Family("terminal", _features("terminal"), None, look, None, "terminal")
