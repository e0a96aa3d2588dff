"""A customer's cards together, within the partition: attempts and spend over all of them, and beside this card alone.

24 h are 23 to 24 hours in steps of one, 1 h is 45 to 60 minutes in steps of 15. A step holds at most 255 attempts and
429,496,729.50 of spend, kept in tenths; of the cards the six met last are told apart.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from stream.features.kernel import HOUR, MINUTE, Event, fold16, kernel, log_amount, log_count, wide
from stream.features.lately import meet, others
from stream.features.registry import Family, Feature
from stream.features.ring import held, roll

QUARTERS, HOURS, CARDS = 4, 24, 6
QUARTER = 15 * MINUTE
TENTH = 10  # minor units
U8, U32 = 0xFF, 0xFFFFFFFF

DTYPE = np.dtype(
    [
        ("quarter_totals", np.uint32, QUARTERS),  # tenths, saturating
        ("hour_totals", np.uint32, HOURS),
        ("newest_quarter", np.int32),
        ("newest_hour", np.int32),
        ("cards", np.uint16, CARDS),
        ("met", np.uint16, CARDS),  # hours since the epoch, last time
        ("quarter_counts", np.uint8, QUARTERS),  # attempts
        ("hour_counts", np.uint8, HOURS),
    ],
    align=True,
)


class View(NamedTuple):
    count_1h: int
    total_1h: int  # minor units
    count_24h: int
    total_24h: int
    other_cards: int
    attempts_elsewhere: int
    spend_elsewhere: int


@kernel
def look(state: Any, event: Event, card: Any) -> View:
    """The customer's windows before the event; `card` is what velocity saw of this card."""
    hour = event.time // HOUR
    c1, t1 = held(state.quarter_counts, state.quarter_totals, wide(state.newest_quarter), event.time // QUARTER)
    c24, t24 = held(state.hour_counts, state.hour_totals, wide(state.newest_hour), hour)
    other_cards, _ = others(state.cards, state.met, fold16(event.card), hour, 24)
    attempts = max(c24 - card.count_24h - card.declines_24h, 0)
    spend = max(t24 * TENTH - card.total_24h, 0) if other_cards > 0 else wide(0)
    return View(c1, t1 * TENTH, c24, t24 * TENTH, other_cards, attempts, spend)


@kernel
def _add(counts: Any, totals: Any, at: int, event: Event) -> None:
    if at < 0:
        return
    if event.attempt:
        counts[at] = min(wide(counts[at]) + 1, U8)
    if event.spend:
        totals[at] = min(wide(totals[at]) + min((event.amount + TENTH // 2) // TENTH, U32), U32)


@kernel
def update(state: Any, event: Event) -> None:
    """Attempts and spend with whichever card."""
    quarter, hour = event.time // QUARTER, event.time // HOUR
    at = roll(state.quarter_counts, state.quarter_totals, wide(state.newest_quarter), quarter)
    _add(state.quarter_counts, state.quarter_totals, at, event)
    state.newest_quarter = max(wide(state.newest_quarter), quarter)
    at = roll(state.hour_counts, state.hour_totals, wide(state.newest_hour), hour)
    _add(state.hour_counts, state.hour_totals, at, event)
    state.newest_hour = max(wide(state.newest_hour), hour)
    if event.attempt:
        meet(state.cards, state.met, fold16(event.card), hour, 24)


@kernel
def _attempts_1h(state: Any, event: Event, view: View) -> float:
    return log_count(view.count_1h)


@kernel
def _attempts_24h(state: Any, event: Event, view: View) -> float:
    return log_count(view.count_24h)


@kernel
def _sum_1h(state: Any, event: Event, view: View) -> float:
    return log_amount(view.total_1h)


@kernel
def _sum_24h(state: Any, event: Event, view: View) -> float:
    return log_amount(view.total_24h)


@kernel
def _other_cards(state: Any, event: Event, view: View) -> float:
    return log_count(view.other_cards)


@kernel
def _attempts_elsewhere(state: Any, event: Event, view: View) -> float:
    return log_count(view.attempts_elsewhere)


@kernel
def _spend_elsewhere(state: Any, event: Event, view: View) -> float:
    return log_amount(view.spend_elsewhere)


FEATURES = (
    Feature("customer_attempt_count_1h", "attempts", 0, 12, "attempts with the customer's cards in 1 h",
            "CUSTOMER_ATTEMPTS_1H_HIGH", "{value} attempts with this customer's cards in an hour",
            _attempts_1h, "log1p"),
    Feature("customer_attempt_count_24h", "attempts", 0, 12, "attempts with the customer's cards in 24 h",
            "CUSTOMER_ATTEMPTS_24H_HIGH", "{value} attempts with this customer's cards in a day",
            _attempts_24h, "log1p", 0.75),
    Feature("customer_amount_sum_1h", "amount", 0, 24, "approved amount of the customer's cards in 1 h",
            "CUSTOMER_SPEND_1H_HIGH", "{value} spent with this customer's cards in an hour", _sum_1h, "log1p"),
    Feature("customer_amount_sum_24h", "amount", 0, 24, "approved amount of the customer's cards in 24 h",
            "CUSTOMER_SPEND_24H_HIGH", "{value} spent with this customer's cards in a day", _sum_24h, "log1p", 3.0),
    Feature("customer_other_cards_24h", "cards", 0, 3, "other cards of the customer used in 24 h, of the last six",
            "CUSTOMER_CARDS_24H_HIGH", "{value} other cards of this customer were used within a day",
            _other_cards, "log1p"),
    Feature("customer_attempts_elsewhere_24h", "attempts", 0, 12, "attempts with the customer's other cards in 24 h",
            "CUSTOMER_ATTEMPTS_ELSEWHERE", "{value} attempts with this customer's other cards in a day",
            _attempts_elsewhere, "log1p"),
    Feature("customer_spend_elsewhere_24h", "amount", 0, 24, "approved amount of the customer's other cards in 24 h",
            "CUSTOMER_SPEND_ELSEWHERE", "{value} spent with this customer's other cards in a day",
            _spend_elsewhere, "log1p"),
)  # fmt: skip

FAMILY = Family("customer", FEATURES, DTYPE, look, update, "customer", "velocity")
