"""How often and how much: rings of buckets shared by all windows.

What asks for money is an attempt, a pre-authorisation too; what moves it is spend: a purchase, and the clearing of what
was authorised before, which is no attempt of its own. So the two together count once as either. A bucket holds at most
42,949,672.95 of spend, 65,535 approved and 255 declined attempts.

A window counts whole buckets up to the event's own: 5 min covers 5 to 10 minutes, 1 h 55 to 60 minutes, 24 h 23 to 24
hours, 7 d and 30 d six to seven and 29 to 30 days. An event out of order lands in the bucket of its own time and reads
only buckets not after it; a ring whose span it has left skips it.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from stream.features.kernel import (
    DAY,
    HOUR,
    LOG_QUANTUM,
    MINUTE,
    UNIT,
    Event,
    kernel,
    log_amount,
    log_count,
    log_plus,
    log_quantum,
    log_ratio,
    wide,
)  # fmt: skip
from stream.features.registry import Family, Feature

# ring: its number, place of its first bucket, buckets
SHORT, HOURS, DAYS = (0, 0, 12), (1, 12, 24), (2, 36, 30)
GRAIN = 5 * MINUTE  # of the short ring
BUCKETS = 66
U8, U16, U32 = 0xFF, 0xFFFF, 0xFFFFFFFF

DTYPE = np.dtype(
    [
        ("first", np.int64),
        ("last", np.int64),
        ("totals", np.uint32, BUCKETS),  # approved minor units, saturating
        ("newest", np.int32, 3),  # absolute number of each ring's newest bucket
        ("counts", np.uint16, BUCKETS),  # approved
        ("tops", np.uint16, 24),  # quantised log of the largest amount in each hour
        ("declines", np.uint8, BUCKETS),
        ("known", np.uint8),
    ],
    align=True,
)


class View(NamedTuple):
    count_5m: int
    count_1h: int
    count_24h: int
    count_7d: int
    count_30d: int
    total_5m: int
    total_1h: int
    total_24h: int
    total_7d: int
    total_30d: int
    declines_5m: int
    declines_1h: int
    declines_24h: int
    declines_30d: int
    top_24h: int
    days: float  # that the card was active within the last 30, at least 1


@kernel
def _window(state: Any, ring: tuple[int, int, int], bucket: int, width: int) -> tuple[int, int, int]:
    """Sum counts, minor units and declines over `width` buckets that end at `bucket`, as far as the ring holds them."""
    number, base, size = ring
    newest = wide(state.newest[number])
    start = max(bucket - width + 1, newest - size + 1, 0)
    stop = min(bucket, newest)
    at = base + start % size
    count, total, declines = wide(0), wide(0), wide(0)
    for _ in range(start, stop + 1):
        count += state.counts[at]
        total += state.totals[at]
        declines += state.declines[at]
        at += 1
        if at == base + size:
            at = base
    return count, total, declines


@kernel
def _span(state: Any, ring: tuple[int, int, int], bucket: int) -> tuple[int, int, int]:
    """As `_window` over the whole ring: all of it, in vector steps, less what has rolled out of the window."""
    number, base, size = ring
    gone = bucket - wide(state.newest[number])
    if gone < 0:
        return _window(state, ring, bucket, size)
    if gone >= size:
        return wide(0), wide(0), wide(0)
    count, total, declines = wide(0), wide(0), wide(0)
    for k in range(base, base + size):
        count += state.counts[k]
        total += state.totals[k]
        declines += state.declines[k]
    at = base + (bucket - gone + 1) % size
    for _ in range(gone):
        count -= state.counts[at]
        total -= state.totals[at]
        declines -= state.declines[at]
        at += 1
        if at == base + size:
            at = base
    return count, total, declines


@kernel
def _top(state: Any, bucket: int) -> int:
    newest = wide(state.newest[1])
    start = max(bucket - 23, newest - 23, 0)
    top, at = wide(0), start % 24
    for _ in range(start, min(bucket, newest) + 1):
        top = max(top, wide(state.tops[at]))
        at += 1
        if at == 24:
            at = 0
    return top


@kernel
def look(state: Any, event: Event) -> View:
    """All windows as they stood before the event."""
    short, hour, day = event.time // GRAIN, event.time // HOUR, event.time // DAY
    c5, t5, d5 = _window(state, SHORT, short, 2)
    c1, t1, d1 = _span(state, SHORT, short)
    c24, t24, d24 = _span(state, HOURS, hour)
    c7, t7, _ = _window(state, DAYS, day, 7)
    c30, t30, d30 = _span(state, DAYS, day)
    days = min(max((event.time - state.first) / DAY, 1.0), 30.0)
    return View(
        c5, c1, c24, c7, c30, t5, t1, t24, t7, t30, d5, d1, d24, d30, _top(state, hour) if t24 > 0 else wide(0), days
    )


@kernel
def _place(state: Any, ring: tuple[int, int, int], bucket: int) -> int:
    """Find the bucket's place and clear what the ring has rolled over; -1 when its span has been left."""
    number, base, size = ring
    newest = wide(state.newest[number])
    if bucket <= newest - size:
        return -1
    for b in range(max(newest + 1, bucket - size + 1), bucket + 1):
        at = b % size
        state.counts[base + at] = 0
        state.totals[base + at] = 0
        state.declines[base + at] = 0
        if number == 1:
            state.tops[at] = 0
    state.newest[number] = max(newest, bucket)
    return base + bucket % size


@kernel
def _add(state: Any, at: int, event: Event) -> None:
    if at < 0:
        return
    if event.attempt and event.declined:
        state.declines[at] = min(wide(state.declines[at]) + 1, U8)
    if event.attempt and not event.declined:
        state.counts[at] = min(wide(state.counts[at]) + 1, U16)
    if event.spend:
        state.totals[at] = min(wide(state.totals[at]) + min(event.amount, U32), U32)


@kernel
def update(state: Any, event: Event) -> None:
    """Count an attempt; add spend."""
    _add(state, _place(state, SHORT, event.time // GRAIN), event)
    _add(state, _place(state, DAYS, event.time // DAY), event)
    at = _place(state, HOURS, event.time // HOUR)
    _add(state, at, event)
    if at >= 0 and event.spend:
        state.tops[at - HOURS[1]] = max(wide(state.tops[at - HOURS[1]]), min(log_quantum(event.amount), U16))
    if not event.attempt:
        return
    if state.known == 0:
        state.known = 1
        state.first = event.time
        state.last = event.time
    state.first = min(state.first, event.time)
    state.last = max(state.last, event.time)


@kernel
def _count_5m(state: Any, event: Event, view: View) -> float:
    return log_count(view.count_5m)


@kernel
def _count_1h(state: Any, event: Event, view: View) -> float:
    return log_count(view.count_1h)


@kernel
def _count_24h(state: Any, event: Event, view: View) -> float:
    return log_count(view.count_24h)


@kernel
def _count_7d(state: Any, event: Event, view: View) -> float:
    return log_count(view.count_7d)


@kernel
def _count_30d(state: Any, event: Event, view: View) -> float:
    return log_count(view.count_30d)


@kernel
def _sum_5m(state: Any, event: Event, view: View) -> float:
    return log_amount(view.total_5m)


@kernel
def _sum_1h(state: Any, event: Event, view: View) -> float:
    return log_amount(view.total_1h)


@kernel
def _sum_24h(state: Any, event: Event, view: View) -> float:
    return log_amount(view.total_24h)


@kernel
def _sum_7d(state: Any, event: Event, view: View) -> float:
    return log_amount(view.total_7d)


@kernel
def _sum_30d(state: Any, event: Event, view: View) -> float:
    return log_amount(view.total_30d)


@kernel
def _attempts_5m(state: Any, event: Event, view: View) -> float:
    return log_count(view.count_5m + view.declines_5m)


@kernel
def _attempts_1h(state: Any, event: Event, view: View) -> float:
    return log_count(view.count_1h + view.declines_1h)


@kernel
def _attempts_24h(state: Any, event: Event, view: View) -> float:
    return log_count(view.count_24h + view.declines_24h)


@kernel
def _decline_share_1h(state: Any, event: Event, view: View) -> float:
    attempts = view.count_1h + view.declines_1h
    return view.declines_1h / attempts if attempts > 0 else np.nan


@kernel
def _decline_share_24h(state: Any, event: Event, view: View) -> float:
    attempts = view.count_24h + view.declines_24h
    return view.declines_24h / attempts if attempts > 0 else np.nan


@kernel
def _decline_share_30d(state: Any, event: Event, view: View) -> float:
    attempts = view.count_30d + view.declines_30d
    return view.declines_30d / attempts if attempts > 0 else np.nan


@kernel
def _since_last(state: Any, event: Event, view: View) -> float:
    return log_plus(max(event.time - state.last, 0) / 1000) if state.known == 1 else np.nan


@kernel
def _pace_1h(state: Any, event: Event, view: View) -> float:
    return math.log((view.count_1h + 1) / (view.count_30d / view.days / 24 + 1)) if view.count_30d > 0 else np.nan


@kernel
def _pace_24h(state: Any, event: Event, view: View) -> float:
    return math.log((view.count_24h + 1) / (view.count_30d / view.days + 1)) if view.count_30d > 0 else np.nan


@kernel
def _pace_7d(state: Any, event: Event, view: View) -> float:
    weeks = min(view.days, 7.0)
    return math.log((view.count_7d + 1) / (view.count_30d / view.days * weeks + 1)) if view.count_30d > 0 else np.nan


@kernel
def _spend_24h(state: Any, event: Event, view: View) -> float:
    if view.count_30d == 0:
        return np.nan
    return log_ratio(view.total_24h + event.amount, view.total_30d / view.days)


@kernel
def _spend_7d(state: Any, event: Event, view: View) -> float:
    if view.count_30d == 0:
        return np.nan
    return log_ratio(view.total_7d + event.amount, view.total_30d / view.days * min(view.days, 7.0))


@kernel
def _vs_top_24h(state: Any, event: Event, view: View) -> float:
    return log_ratio(event.amount, math.expm1(view.top_24h / LOG_QUANTUM)) if view.top_24h > 0 else np.nan


@kernel
def _usual_count(state: Any, view: View, days: float) -> float:
    """The card's own transactions in so many days, at the rate of the last 30."""
    return view.count_30d / view.days * days if state.known == 1 else np.nan


@kernel
def _usual_sum(state: Any, view: View, days: float) -> float:
    return view.total_30d / view.days * days / UNIT if state.known == 1 else np.nan


@kernel
def _usual_count_1h(state: Any, event: Event, view: View) -> float:
    return _usual_count(state, view, 1 / 24)


@kernel
def _usual_count_24h(state: Any, event: Event, view: View) -> float:
    return _usual_count(state, view, 1.0)


@kernel
def _usual_count_7d(state: Any, event: Event, view: View) -> float:
    return _usual_count(state, view, 7.0)


@kernel
def _usual_sum_1h(state: Any, event: Event, view: View) -> float:
    return _usual_sum(state, view, 1 / 24)


@kernel
def _usual_sum_24h(state: Any, event: Event, view: View) -> float:
    return _usual_sum(state, view, 1.0)


@kernel
def _usual_sum_7d(state: Any, event: Event, view: View) -> float:
    return _usual_sum(state, view, 7.0)


def _count(window: str, compute: Any, neutral: float, usual: Any = None) -> Feature:
    code, text = (
        f"VELOCITY_{window.upper()}_HIGH",
        f"{{value}} transactions with this card in {window} (usual: {{usual}})",
    )
    name, meaning = f"card_tx_count_{window}", f"approved transactions of the card in {window}"
    return Feature(name, "transactions", 0, 12, meaning, code, text, compute, "log1p", neutral, usual)


def _sum(window: str, compute: Any, neutral: float, usual: Any = None) -> Feature:
    code, text = f"SPEND_{window.upper()}_HIGH", f"{{value}} spent with this card in {window} (usual: {{usual}})"
    name, meaning = f"card_amount_sum_{window}", f"approved amount of the card in {window}"
    return Feature(name, "amount", 0, 24, meaning, code, text, compute, "log1p", neutral, usual)


def _attempts(window: str, compute: Any, usual: Any = None) -> Feature:
    code, text = f"ATTEMPTS_{window.upper()}_HIGH", f"{{value}} attempts with this card in {window} (usual: {{usual}})"
    name, meaning = f"card_attempt_count_{window}", f"attempts, declined ones among them, in {window}"
    return Feature(name, "attempts", 0, 12, meaning, code, text, compute, "log1p", 0.0, usual)


def _declines(window: str, compute: Any) -> Feature:
    code, text = f"DECLINES_{window.upper()}_HIGH", f"{{value}} of this card's attempts in {window} were declined"
    meaning = f"declined share of the attempts in {window}"
    return Feature(f"card_decline_share_{window}", "share", 0, 1, meaning, code, text, compute)


def _pace(window: str, compute: Any, spend: bool = False) -> Feature:
    what, noun = ("SPEND", "amount spent") if spend else ("PACE", "number of transactions")
    name, code = f"card_{what.lower()}_ratio_{window}", f"{what}_{window.upper()}_UNUSUAL"
    meaning = f"{noun} in {window} over the card's own mean of 30 d"
    text = f"The {noun} in {window} is {{value}} times this card's own rate"
    return Feature(name, "times", -8, 10, meaning, code, text, compute, "log", 0.0, 1.0)


FEATURES = (
    _count("5m", _count_5m, 0.0, 0.0),
    _count("1h", _count_1h, 0.0, _usual_count_1h),
    _count("24h", _count_24h, 0.75, _usual_count_24h),
    _count("7d", _count_7d, 2.0, _usual_count_7d),
    _count("30d", _count_30d, 3.5),
    _sum("5m", _sum_5m, 0.0, 0.0),
    _sum("1h", _sum_1h, 0.0, _usual_sum_1h),
    _sum("24h", _sum_24h, 3.0, _usual_sum_24h),
    _sum("7d", _sum_7d, 5.5, _usual_sum_7d),
    _sum("30d", _sum_30d, 7.0),
    _attempts("5m", _attempts_5m, 0.0),
    _attempts("1h", _attempts_1h, _usual_count_1h),
    _attempts("24h", _attempts_24h, _usual_count_24h),
    _declines("1h", _decline_share_1h),
    _declines("24h", _decline_share_24h),
    _declines("30d", _decline_share_30d),
    Feature("card_seconds_since_last", "seconds", 0, 24, "since the card's last attempt", "VELOCITY_GAP_SHORT",
            "{value} since this card's last attempt", _since_last, "log1p", 10.0),
    _pace("1h", _pace_1h),
    _pace("24h", _pace_24h),
    _pace("7d", _pace_7d),
    _pace("24h", _spend_24h, spend=True),
    _pace("7d", _spend_7d, spend=True),
    Feature("amount_vs_max_24h", "times", -10, 10, "amount over the largest in 24 h", "AMOUNT_VS_MAX_24H",
            "Amount is {value} times the largest of this card in 24 h", _vs_top_24h, "log"),
)  # fmt: skip

FAMILY = Family("velocity", FEATURES, DTYPE, look, update)
