"""The features of entities beyond the card again, slowly and plainly: from what each of them did before."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

NAN = float("nan")
HOUR, DAY = 3_600_000, 86_400_000
Event = dict[str, Any]


class Met:
    """The last few cards met: whoever was not met for `span` hours is forgotten at the next meeting."""

    def __init__(self, size: int, span: int) -> None:
        self.cells: list[list[int] | None] = [None] * size
        self.span = span

    def meet(self, card: int, hour: int) -> None:
        own = next((cell for cell in self.cells if cell and cell[0] == card), None)
        self.cells = [c if c is own or (c and hour - c[1] < self.span) else None for c in self.cells]
        if own:
            own[1] = max(own[1], hour)
            return
        oldest = min(self.cells, key=lambda c: c[1] if c else -1)
        self.cells[next(k for k, c in enumerate(self.cells) if c is oldest)] = [card, hour]

    def others(self, card: int, hour: int, span: int) -> float:
        return math.log1p(sum(1 for c in self.cells if c and c[0] != card and 0 <= hour - c[1] < span))


def met(events: list[Event], size: int, span: int) -> Met:
    found = Met(size, span)
    for e in events:
        if e["attempt"]:
            found.meet(e["card_key"], e["event_time"] // HOUR)
    return found


def window(events: list[Event], e: Event, grain: int, size: int) -> list[Event]:
    """What a ring of `size` buckets holds of the window that ends with the event's own bucket."""
    now, newest = e["event_time"] // grain, max((x["event_time"] // grain for x in events), default=0)
    return [
        x for x in events if newest - size < x["event_time"] // grain and now - size < x["event_time"] // grain <= now
    ]


def attempts(events: list[Event]) -> int:
    return sum(x["attempt"] for x in events)


def tenths(events: list[Event]) -> int:
    return sum((x["amount_minor"] + 5) // 10 * 10 for x in events if x["spend"])


def customer(events: list[Event], e: Event, of_card: list[Event]) -> dict[str, float]:
    hour, day = window(events, e, HOUR // 4, 4), window(events, e, HOUR, 24)
    others = met(events, 6, 24).others(e["card_key"], e["event_time"] // HOUR, 24)
    mine = window(of_card, e, HOUR, 24)
    elsewhere = max(tenths(day) - sum(x["amount_minor"] for x in mine if x["spend"]), 0)
    return {
        "customer_attempt_count_1h": math.log1p(attempts(hour)),
        "customer_attempt_count_24h": math.log1p(attempts(day)),
        "customer_amount_sum_1h": math.log1p(tenths(hour) / 100),
        "customer_amount_sum_24h": math.log1p(tenths(day) / 100),
        "customer_other_cards_24h": others,
        "customer_attempts_elsewhere_24h": math.log1p(max(attempts(day) - attempts(mine), 0)),
        "customer_spend_elsewhere_24h": math.log1p(elsewhere / 100) if others else 0.0,
    }


def sharing(noun: str) -> Callable[[list[Event], Event, list[Event]], dict[str, float]]:
    def family(events: list[Event], e: Event, of_card: list[Event]) -> dict[str, float]:
        tried = [x for x in events if x["attempt"]]
        day, cards, hour = window(tried, e, 2 * HOUR, 12), met(tried, 12, 168), e["event_time"] // HOUR
        declined = sum(x["declined"] for x in day)
        first = min((x["event_time"] for x in tried), default=0)
        return {
            f"{noun}_other_cards_24h": cards.others(e["card_key"], hour, 24),
            f"{noun}_other_cards_7d": cards.others(e["card_key"], hour, 168),
            f"{noun}_attempt_count_24h": math.log1p(len(day)),
            f"{noun}_decline_share_24h": (declined + 0.5) / (len(day) + 10) if day else NAN,
            f"{noun}_days_known": math.log1p(max(e["event_time"] - first, 0) / DAY) if tried else NAN,
        }

    return family


def risk(noun: str, row: np.ndarray[Any, Any], e: Event) -> dict[str, float]:
    count, new, declines, month, amount, mature, frauds = row.tolist()
    mean = amount / month if month else NAN
    return {
        f"{noun}_attempt_count_24h": math.log1p(count),
        f"{noun}_pace_ratio_24h": math.log((count + 1) / (month / 28 + 1)),
        f"{noun}_new_card_share_24h": (new + 5) / (count + 20),
        f"{noun}_decline_share_24h": (declines + 1) / (count + 20),
        f"amount_vs_{noun}_mean": math.log((e["amount_minor"] + 100) / (mean + 100)),
        f"{noun}_fraud_rate": math.log(min((frauds + 0.1) / (mature + 50), 1) / 0.002),
    }


def account(row: np.ndarray[Any, Any]) -> dict[str, float]:
    known = bool((~np.isnan(row[:6])).any())
    ages = dict(zip(("login", "enrolment", "credential", "contact", "reissue"), row[:5].tolist(), strict=True))
    recent = lambda ms: (0.0 if known else NAN) if math.isnan(ms) else float(ms <= DAY)  # noqa: E731
    logins = math.log1p(row[5]) if not np.isnan(row[5]) else (0.0 if known else NAN)
    return {f"{name}_age": math.log1p(ms / 1000) for name, ms in ages.items()} | {
        "logins_24h": logins,
        "enrolled_24h": recent(ages["enrolment"]),
        "reset_24h": recent(ages["credential"]),
        "moved_24h": recent(ages["contact"]),
        "login_other_device": float(row[6]),
        "enrolment_other_device": float(row[7]),
    }


LOCAL = {"customer": customer, "device": sharing("device"), "ip": sharing("ip")}
