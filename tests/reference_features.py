"""The features again, slowly and plainly: from the list of what a card did before, by definition."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from reference_entities import LOCAL, account, risk

from stream.events import TYPES, Columns, Flag

NAN = float("nan")
DAY = 86_400_000


@dataclass
class Past:
    """What a card's transactions left behind: repeats, late ones and reversals are not in `events`."""

    events: list[dict[str, Any]] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    seen: int = 0

    @property
    def approved(self) -> list[dict[str, Any]]:
        return [e for e in self.events if e["attempt"] and not e["declined"]]


Given = dict[str, np.ndarray[Any, Any]]  # rows of merchants, terminals and accounts, one for each transaction


def features(columns: Columns, given: Given, horizon_ms: int) -> tuple[list[dict[str, float]], list[int]]:
    """Features by name of each transaction, and the flags that the guard adds."""
    pasts: dict[tuple[str, int], Past] = {}
    rows, added, watermark = [], [], -(10**18)
    for i in range(len(columns)):
        event = {name: getattr(columns, name)[i].item() for name in Columns.__slots__}
        event["declined"] = bool(event["flags"] & Flag.DECLINED)
        event["attempt"] = event["type"] != TYPES.index("clearing")
        event["spend"] = not event["declined"] and event["type"] != TYPES.index("preauth")
        before = watermark
        if not event["flags"] & Flag.CLOCK_SKEW:
            watermark = max(watermark, event["event_time"])
        held = {}
        for name in ("card", *LOCAL):
            if key := event[f"{name}_key"]:
                past = pasts.setdefault((name, key), Past())
                if event["event_time"] - past.seen > horizon_ms or before - past.seen > 2 * horizon_ms:
                    past = pasts[name, key] = Past()
                held[name] = past
        card = held["card"]
        found = {k: v for family in FAMILIES.values() for k, v in family(card, event).items()}
        for name, local in LOCAL.items():
            if name in held:
                found |= local(held[name].events, event, card.events)
        for noun in ("merchant", "terminal"):
            found |= risk(noun, given[noun][i], event)
        rows.append(found | account(given["takeover"][i]))
        added.append(_guard(event, card, before, horizon_ms))
        if added[-1] == 0:
            card.keys.append(event["transaction_key"])
            card.seen = max(card.seen, event["event_time"])
            for past in held.values() if not event["flags"] & Flag.REVERSAL else ():
                past.events.append(event)
                past.seen = max(past.seen, event["event_time"])
    return rows, added


def _guard(event: dict[str, Any], card: Past, clock: int, horizon_ms: int) -> int:
    if event["transaction_key"] in card.keys[-16:]:
        return int(Flag.DUPLICATE)
    return int(Flag.LATE) if event["event_time"] < clock - horizon_ms else 0


def ratio(a: float, b: float) -> float:
    return math.log((a + 100) / (b + 100))


def amount(past: Past, e: dict[str, Any]) -> dict[str, float]:
    a, before = e["amount_minor"], [x["amount_minor"] for x in past.approved]
    logs = [math.log1p(x) for x in before]
    z = NAN
    if len(logs) >= 3:
        z = min(max((math.log1p(a) - np.mean(logs)) / math.hypot(float(np.std(logs)), 0.25), -8), 8)
    known = bool(before)
    return {
        "amount": math.log1p(a / 100),
        "amount_vs_mean": ratio(a, float(np.mean(before))) if known else NAN,
        "amount_vs_max": ratio(a, max(before)) if known else NAN,
        "amount_z": z,
        "amount_vs_last": ratio(a, before[-1]) if known else NAN,
        "amount_same_as_last": float(a == before[-1]) if known else NAN,
        "amount_is_round": float(a > 0 and a % 1000 == 0),
        "amount_under_round": float(a > 0 and 5000 - a % 5000 <= 300),
        "amount_is_small": float(a <= 300),
        "amount_history": math.log1p(len(before)),
    }


def velocity(past: Past, e: dict[str, Any]) -> dict[str, float]:
    def window(grain: int, size: int, width: int) -> list[dict[str, Any]]:
        held = [x for x in past.events if x["event_time"] // grain > newest[grain] - size]
        now = e["event_time"] // grain
        return [x for x in held if now - width < x["event_time"] // grain <= now]

    grains = (300_000, 3_600_000, DAY)
    newest = {g: max((x["event_time"] // g for x in past.events), default=0) for g in grains}
    found: dict[str, float] = {}
    spent, counts = {}, {}
    for name, (grain, size, width) in {
        "5m": (grains[0], 12, 2), "1h": (grains[0], 12, 12), "24h": (grains[1], 24, 24), "7d": (DAY, 30, 7),
        "30d": (DAY, 30, 30),
    }.items():  # fmt: skip
        inside = window(grain, size, width)
        spent[name] = [x["amount_minor"] for x in inside if x["spend"]]
        attempts = sum(x["attempt"] for x in inside)
        declines = sum(x["attempt"] and x["declined"] for x in inside)
        counts[name] = attempts - declines
        found[f"card_tx_count_{name}"] = math.log1p(counts[name])
        found[f"card_amount_sum_{name}"] = math.log1p(sum(spent[name]) / 100)
        found[f"card_attempt_count_{name}"] = math.log1p(attempts)
        found[f"card_decline_share_{name}"] = declines / attempts if attempts else NAN
    times = [x["event_time"] for x in past.events if x["attempt"]]
    found["card_seconds_since_last"] = math.log1p(max(e["event_time"] - max(times), 0) / 1000) if times else NAN
    days = min(max((e["event_time"] - min(times, default=0)) / DAY, 1), 30)
    count, total, week = counts["30d"] / days, sum(spent["30d"]) / days, min(days, 7)
    paces = {
        "card_pace_ratio_1h": math.log((counts["1h"] + 1) / (count / 24 + 1)),
        "card_pace_ratio_24h": math.log((counts["24h"] + 1) / (count + 1)),
        "card_pace_ratio_7d": math.log((counts["7d"] + 1) / (count * week + 1)),
        "card_spend_ratio_24h": ratio(sum(spent["24h"]) + e["amount_minor"], total),
        "card_spend_ratio_7d": ratio(sum(spent["7d"]) + e["amount_minor"], total * week),
    }
    found |= paces if counts["30d"] else dict.fromkeys(paces, NAN)
    found["amount_vs_max_24h"] = ratio(e["amount_minor"], max(spent["24h"])) if sum(spent["24h"]) else NAN
    return found


def clock(past: Past, e: dict[str, Any]) -> dict[str, float]:
    day = (e["local_time"] % DAY) / DAY * 2 * math.pi
    hour, weekday = e["local_time"] // 3_600_000 % 24, (e["local_time"] // DAY + 3) % 7
    hours = Counter(x["local_time"] // 3_600_000 % 24 for x in past.approved)
    weekdays = Counter((x["local_time"] // DAY + 3) % 7 for x in past.approved)
    n = len(past.approved)
    near = sum(hours[(hour + k) % 24] for k in (-1, 0, 1))
    first = min((x["event_time"] for x in past.approved), default=0)
    age = lambda days: NAN if math.isnan(days) else math.log1p(days)  # noqa: E731
    return {
        "hour_sin": math.sin(day),
        "hour_cos": math.cos(day),
        "weekday_sin": math.sin(2 * math.pi * weekday / 7),
        "weekday_cos": math.cos(2 * math.pi * weekday / 7),
        "is_weekend": float(weekday in {5, 6}),
        "is_night": float(hour in range(6)),
        "hour_affinity": math.log(8 * (near + 1) / (n + 8)) if n else NAN,
        "weekday_affinity": math.log(7 * (weekdays[weekday] + 8 / 7) / (n + 8)) if n else NAN,
        "days_known": math.log1p(max(e["event_time"] - first, 0) / DAY) if n else NAN,
        "card_age": age(e["card_age_days"]),
        "account_age": age(e["account_age_days"]),
    }


def fold(key: int, bits: int) -> int:
    return ((key ^ (key >> 32)) & (2**bits - 1)) or 1


def recent_distinct(values: list[tuple[Any, int]], size: int) -> dict[Any, int]:
    """First come, first out, of distinct values; with the time at which each came in."""
    kept: dict[Any, int] = {}
    for value, time in values:
        if value not in kept:
            if len(kept) == size:
                del kept[next(iter(kept))]
            kept[value] = time
    return kept


def merchants_of(past: Past) -> dict[int, int]:
    """The sixteen merchants met last, with the minute of the last time."""
    cells: list[list[int]] = []
    for x in past.approved:
        merchant, minute = fold(x["merchant_key"], 16), x["event_time"] // 60_000
        known = next((c for c in cells if c[0] == merchant), None)
        if known:
            known[1] = max(known[1], minute)
        elif len(cells) < 16:
            cells.append([merchant, minute])
        else:
            cells[min(range(16), key=lambda k: cells[k][1])] = [merchant, minute]
    return {cell[0]: cell[1] for cell in cells}


def novelty(past: Past, e: dict[str, Any]) -> dict[str, float]:
    minute = e["event_time"] // 60_000
    parties = {
        "terminal": (12, lambda x: fold(x["terminal_key"], 16) if x["terminal_key"] else None),
        "device": (6, lambda x: fold(x["device_key"], 32) if x["device_key"] else None),
        "country": (8, lambda x: x["country"] or None),
        "mcc": (12, lambda x: x["mcc"] if x["mcc"] >= 0 else None),
        "entry_mode": (99, lambda x: (x["channel"], x["entry_mode"]) if x["channel"] or x["entry_mode"] else None),
    }
    merchants = merchants_of(past)
    known: dict[str, dict[Any, int]] = {"merchant": merchants}
    value = {"merchant": fold(e["merchant_key"], 16)}
    for name, (size, of) in parties.items():
        met = [(of(x), x["event_time"] // 60_000) for x in past.approved if of(x) is not None]
        known[name], value[name] = recent_distinct(met, size), of(e)
    new = {f"{k}_new": NAN if v is None or not known[k] else float(v not in known[k]) for k, v in value.items()}
    told = [v for v in new.values() if not math.isnan(v)]
    age = NAN
    if value["device"] in known["device"]:
        age = math.log1p(max(minute - known["device"][value["device"]], 0) / 60)
    within = lambda times, span: math.log1p(sum(minute - span < t <= minute for t in times))  # noqa: E731
    return new | {
        "device_age": age,
        "new_parties": sum(told) / len(told) if told else NAN,
        "card_merchants_1h": within(merchants.values(), 60),
        "card_merchants_24h": within(merchants.values(), 1440),
        "card_devices_7d": within(known["device"].values(), 10_080) if known["device"] else NAN,
    }


def unit(e: dict[str, Any]) -> np.ndarray[Any, Any]:
    a, b = math.radians(e["latitude"]), math.radians(e["longitude"])
    return np.array([math.cos(a) * math.cos(b), math.cos(a) * math.sin(b), math.sin(a)])


def km(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    return 6371.0 * float(np.arctan2(np.linalg.norm(np.cross(a, b)), a @ b))


def geography(past: Past, e: dict[str, Any]) -> dict[str, float]:
    home, weight, foreign, countries = 0, 0, 0, [x["country"] for x in past.approved if x["country"]]
    for c in countries:
        if c == home:
            weight = min(weight + 1, 100)
        elif weight == 0:
            home, weight = c, 1
        else:
            weight, foreign = weight - 1, foreign + 1
    located = lambda x: not math.isnan(x["latitude"]) and not math.isnan(x["longitude"])  # noqa: E731
    places = [x for x in past.approved if located(x)]
    speed = last = far = NAN
    if places and located(e):
        before = max(reversed(places), key=lambda x: x["event_time"])
        distance = km(unit(e), unit(before))
        hours = max(abs(e["event_time"] - before["event_time"]), 60_000) / 3_600_000
        speed, last = math.log1p(distance / hours), math.log1p(distance)
        far = math.log1p(km(unit(e), np.sum([unit(x) for x in places], axis=0)))
    differs = lambda a, b: float(a != b) if a and b else NAN  # noqa: E731
    return {
        "speed": speed,
        "distance_last": last,
        "distance_home": far,
        "country_changed": differs(e["country"], countries[-1] if countries else 0),
        "is_foreign": differs(e["country"], home),
        "foreign_share": foreign / len(countries) if countries else NAN,
        "ip_mismatch": differs(e["ip_country"], e["country"]),
        "ip_foreign": differs(e["ip_country"], home),
    }


def context(past: Past, e: dict[str, Any]) -> dict[str, float]:
    is_ = lambda name, code: float(e[name] == code) if e[name] else NAN  # noqa: E731
    risk = [NAN, 0.0, 0.0, 0.5, 1.0, 0.75, 0.25, 0.5]
    return {
        "is_ecom": is_("channel", 2),
        "is_atm": is_("channel", 3),
        "is_moto": is_("channel", 4),
        "entry_risk": risk[e["entry_mode"]],
        "is_keyed": is_("entry_mode", 5),
        "is_fallback": is_("entry_mode", 4),
        "is_contactless": is_("entry_mode", 2),
        "cvv_no_match": is_("cvv_result", 2),
        "cvv_not_provided": is_("cvv_result", 3),
        "avs_mismatch": 0.5 if e["avs_result"] == 2 else is_("avs_result", 3),
        "three_ds_failed": is_("three_ds", 3),
        "three_ds_none": is_("three_ds", 4),
        "is_declined": float(e["declined"]),
        "is_cash": is_("type", 2),
    }


FAMILIES = {
    "amount": amount,
    "velocity": velocity,
    "time": clock,
    "novelty": novelty,
    "geography": geography,
    "context": context,
}
