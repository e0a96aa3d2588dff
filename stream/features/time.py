"""When: the merchant's local clock against the card's own hours, and how long card and account are known."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from stream.features.kernel import DAY, HOUR, Event, kernel, log_plus
from stream.features.registry import Family, Feature

NIGHT = 6  # hours before this one are night
PRIOR = 8.0  # transactions' worth of belief that all hours are equal
_SIN, _COS = np.sin(2 * np.pi * np.arange(7) / 7), np.cos(2 * np.pi * np.arange(7) / 7)

DTYPE = np.dtype(
    [("first", np.int64), ("hours", np.uint8, 24), ("weekdays", np.uint8, 7), ("known", np.uint8)], align=True
)


class View(NamedTuple):
    hour: int
    weekday: int  # Monday is 0


@kernel
def look(state: Any, event: Event) -> View:
    """Hour and weekday at the merchant; 1970-01-01 was a Thursday."""
    return View((event.local // HOUR) % 24, (event.local // DAY + 3) % 7)


@kernel
def _count(cells: Any, at: int) -> None:
    """Count one more; a full cell halves them all."""
    if cells[at] == 255:
        for k in range(len(cells)):
            cells[k] //= 2
    cells[at] += 1


@kernel
def update(state: Any, event: Event) -> None:
    """Approved transactions fill the card's clock."""
    if event.declined or not event.attempt:
        return
    if state.known == 0:
        state.known = 1
        state.first = event.time
    state.first = min(state.first, event.time)
    _count(state.hours, (event.local // HOUR) % 24)
    _count(state.weekdays, (event.local // DAY + 3) % 7)


@kernel
def _hour_sin(state: Any, event: Event, view: View) -> float:
    return math.sin(2 * math.pi * ((event.local % DAY) / DAY))


@kernel
def _hour_cos(state: Any, event: Event, view: View) -> float:
    return math.cos(2 * math.pi * ((event.local % DAY) / DAY))


@kernel
def _weekday_sin(state: Any, event: Event, view: View) -> float:
    return _SIN[view.weekday]


@kernel
def _weekday_cos(state: Any, event: Event, view: View) -> float:
    return _COS[view.weekday]


@kernel
def _is_weekend(state: Any, event: Event, view: View) -> float:
    return 1.0 if view.weekday >= 5 else 0.0


@kernel
def _is_night(state: Any, event: Event, view: View) -> float:
    return 1.0 if view.hour < NIGHT else 0.0


@kernel
def _hour_affinity(state: Any, event: Event, view: View) -> float:
    if state.known == 0:
        return np.nan
    total = 0
    for k in range(24):
        total += state.hours[k]
    near = 0 + state.hours[(view.hour + 23) % 24] + state.hours[view.hour] + state.hours[(view.hour + 1) % 24]
    return math.log((near + PRIOR / 8) / (total + PRIOR) * 8)


@kernel
def _weekday_affinity(state: Any, event: Event, view: View) -> float:
    if state.known == 0:
        return np.nan
    total = 0
    for k in range(7):
        total += state.weekdays[k]
    return math.log((state.weekdays[view.weekday] + PRIOR / 7) / (total + PRIOR) * 7)


@kernel
def _days_known(state: Any, event: Event, view: View) -> float:
    return log_plus(max(event.time - state.first, 0) / DAY) if state.known == 1 else np.nan


@kernel
def _card_age(state: Any, event: Event, view: View) -> float:
    return log_plus(max(event.card_age, 0.0)) if math.isfinite(event.card_age) else np.nan


@kernel
def _account_age(state: Any, event: Event, view: View) -> float:
    return log_plus(max(event.account_age, 0.0)) if math.isfinite(event.account_age) else np.nan


FEATURES = (
    Feature("hour_sin", "1", -1, 1, "local time of day, sine", "TIME_OF_DAY", "Unusual time of day", _hour_sin),
    Feature("hour_cos", "1", -1, 1, "local time of day, cosine", "TIME_OF_DAY", "Unusual time of day", _hour_cos),
    Feature("weekday_sin", "1", -1, 1, "local weekday, sine", "TIME_OF_WEEK", "Unusual weekday", _weekday_sin),
    Feature("weekday_cos", "1", -1, 1, "local weekday, cosine", "TIME_OF_WEEK", "Unusual weekday", _weekday_cos),
    Feature("is_weekend", "flag", 0, 1, "Saturday or Sunday", "TIME_WEEKEND", "At the weekend: {value}", _is_weekend),
    Feature("is_night", "flag", 0, 1, "before six in the morning at the merchant", "TIME_NIGHT",
            "At night at the merchant: {value}", _is_night),
    Feature("hour_affinity", "times", -4, 4, "how much oftener than evenly this card pays within an hour of now",
            "TIME_UNUSUAL_HOUR", "At this hour this card pays {value} times as often as at others",
            _hour_affinity, "log", 0.5),
    Feature("weekday_affinity", "times", -4, 4, "how much oftener than evenly this card pays on this weekday",
            "TIME_UNUSUAL_WEEKDAY", "On this weekday this card pays {value} times as often as on others",
            _weekday_affinity, "log", 0.0),
    Feature("days_known", "days", 0, 11, "since the card's first transaction here", "CARD_NEW_HERE",
            "The card has been known for {value} days", _days_known, "log1p", 3.5),
    Feature("card_age", "days", 0, 11, "since the card was opened", "CARD_NEW",
            "The card was opened {value} days ago", _card_age, "log1p", 6),
    Feature("account_age", "days", 0, 11, "since the account was opened", "ACCOUNT_NEW",
            "The account was opened {value} days ago", _account_age, "log1p", 7),
)  # fmt: skip

FAMILY = Family("time", FEATURES, DTYPE, look, update)
