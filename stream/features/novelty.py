"""First times: merchants, terminals, devices, countries, categories and ways to pay that a card has not used before.

The row keeps short rings of folded hashes: a merchant last met more than `MERCHANTS` distinct merchants ago is new
again, and one in 65,536 / `MERCHANTS` new ones is mistaken for a known one.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from stream.features.kernel import MINUTE, Event, fold16, fold32, kernel, log_count, log_plus, wide
from stream.features.registry import Family, Feature

MERCHANTS, TERMINALS, DEVICES, COUNTRIES, MCCS = 16, 12, 6, 8, 12
MINUTES_1H, MINUTES_24H, MINUTES_7D = 60, 1440, 10_080

DTYPE = np.dtype(
    [
        ("modes", np.int64),  # one bit for each pair of channel and entry mode
        ("merchant_seen", np.uint32, MERCHANTS),  # minutes since the epoch, last time
        ("devices", np.uint32, DEVICES),
        ("device_first", np.uint32, DEVICES),  # minutes since the epoch, first time
        ("merchants", np.uint16, MERCHANTS),
        ("terminals", np.uint16, TERMINALS),
        ("countries", np.uint16, COUNTRIES),
        ("mccs", np.uint16, MCCS),
        ("terminal_head", np.uint8),
        ("device_head", np.uint8),
        ("country_head", np.uint8),
        ("mcc_head", np.uint8),
    ],
    align=True,
)


class View(NamedTuple):
    merchant: float  # 1 new, 0 known, NaN missing or no history
    terminal: float
    device: float
    country: float
    mcc: float
    mode: float
    device_hours: float  # since the device was first seen with this card; NaN when it is new
    merchants_1h: int
    merchants_24h: int
    devices_7d: int


@kernel
def _find(cells: Any, value: int) -> int:
    at = wide(-1)
    for k in range(len(cells)):  # to the end: comparing all at once is cheaper than guessing where to stop
        at = k if cells[k] == value else at
    return at


@kernel
def _is_new(cells: Any, value: int, missing: bool) -> float:
    if missing or cells[0] == 0:
        return np.nan
    return 0.0 if _find(cells, value) >= 0 else 1.0


@kernel
def _mode_bit(event: Event) -> int:
    return wide(1) << (min(event.channel, 7) * 8 + min(event.entry_mode, 7)) % 63


@kernel
def _mode(state: Any, event: Event) -> float:
    if state.modes == 0 or (event.channel == 0 and event.entry_mode == 0):
        return np.nan
    return 0.0 if state.modes & _mode_bit(event) else 1.0


@kernel
def _recent(cells: Any, times: Any, minute: int, span: int) -> int:
    count = wide(0)
    for k in range(len(cells)):
        if cells[k] != 0 and minute - span < times[k] <= minute:
            count += 1
    return count


@kernel
def look(state: Any, event: Event) -> View:
    """Which of the transaction's parties the card has met."""
    minute = event.time // MINUTE
    device_hours = np.nan
    if event.device != 0:
        at = _find(state.devices, fold32(event.device))
        if at >= 0:
            device_hours = max(minute - wide(state.device_first[at]), 0) / 60
    return View(
        _is_new(state.merchants, fold16(event.merchant), event.merchant == 0),
        _is_new(state.terminals, fold16(event.terminal), event.terminal == 0),
        _is_new(state.devices, fold32(event.device), event.device == 0),
        _is_new(state.countries, event.country, event.country <= 0),
        _is_new(state.mccs, event.mcc + 1, event.mcc < 0),
        _mode(state, event),
        device_hours,
        _recent(state.merchants, state.merchant_seen, minute, MINUTES_1H),
        _recent(state.merchants, state.merchant_seen, minute, MINUTES_24H),
        _recent(state.devices, state.device_first, minute, MINUTES_7D),
    )


@kernel
def _keep(cells: Any, value: int, head: int) -> int:
    """Keep a value not yet known in the ring, over the oldest; returns the ring's new head."""
    if _find(cells, value) >= 0:
        return head
    cells[head] = value
    return (head + 1) % len(cells)


@kernel
def _keep_merchant(state: Any, merchant: int, minute: int) -> None:
    at = _find(state.merchants, merchant)
    if at >= 0:
        state.merchant_seen[at] = max(wide(state.merchant_seen[at]), minute)
        return
    at = 0  # an empty cell was last seen at 0, so empty ones fill first and in order
    for k in range(1, MERCHANTS):
        if state.merchants[at] != 0 and (state.merchants[k] == 0 or state.merchant_seen[k] < state.merchant_seen[at]):
            at = k
    state.merchants[at] = merchant
    state.merchant_seen[at] = minute


@kernel
def update(state: Any, event: Event) -> None:
    """Approved transactions make their parties known; a declined attempt at a new merchant stays new."""
    if event.declined or not event.attempt:
        return
    minute = min(event.time // MINUTE, 0xFFFFFFFF)
    if event.merchant != 0:
        _keep_merchant(state, fold16(event.merchant), minute)
    if event.terminal != 0:
        state.terminal_head = _keep(state.terminals, fold16(event.terminal), state.terminal_head)
    if event.device != 0:
        head = state.device_head
        state.device_head = _keep(state.devices, fold32(event.device), head)
        if state.device_head != head:
            state.device_first[head] = minute
    if event.country > 0:
        state.country_head = _keep(state.countries, event.country, state.country_head)
    if event.mcc >= 0:
        state.mcc_head = _keep(state.mccs, event.mcc + 1, state.mcc_head)
    if event.channel != 0 or event.entry_mode != 0:
        state.modes |= _mode_bit(event)


@kernel
def _merchant_new(state: Any, event: Event, view: View) -> float:
    return view.merchant


@kernel
def _terminal_new(state: Any, event: Event, view: View) -> float:
    return view.terminal


@kernel
def _device_new(state: Any, event: Event, view: View) -> float:
    return view.device


@kernel
def _country_new(state: Any, event: Event, view: View) -> float:
    return view.country


@kernel
def _mcc_new(state: Any, event: Event, view: View) -> float:
    return view.mcc


@kernel
def _mode_new(state: Any, event: Event, view: View) -> float:
    return view.mode


@kernel
def _device_age(state: Any, event: Event, view: View) -> float:
    return log_plus(view.device_hours)


@kernel
def _new_parties(state: Any, event: Event, view: View) -> float:
    new, told = 0.0, 0
    for value in (view.merchant, view.terminal, view.device, view.country, view.mcc, view.mode):
        if not math.isnan(value):
            new += value
            told += 1
    return new / told if told > 0 else np.nan


@kernel
def _merchants_1h(state: Any, event: Event, view: View) -> float:
    return log_count(view.merchants_1h)


@kernel
def _merchants_24h(state: Any, event: Event, view: View) -> float:
    return log_count(view.merchants_24h)


@kernel
def _devices_7d(state: Any, event: Event, view: View) -> float:
    return log_count(view.devices_7d) if state.devices[0] != 0 else np.nan


_SPOKEN = {"mcc": "Kind of merchant", "entry_mode": "Way of reading the card"}


def _first(noun: str, compute: Any) -> Feature:
    code, text = f"NEW_{noun.upper()}", f"{_SPOKEN.get(noun, noun.capitalize())} new to this card: {{value}}"
    meaning = f"{noun.replace('_', ' ')} not among the card's recent ones"
    return Feature(f"{noun}_new", "flag", 0, 1, meaning, code, text, compute, usual=0.0)


FEATURES = (
    _first("merchant", _merchant_new),
    _first("terminal", _terminal_new),
    _first("device", _device_new),
    _first("country", _country_new),
    _first("mcc", _mcc_new),
    _first("entry_mode", _mode_new),
    Feature("device_age", "hours", 0, 14, "since the device was first seen with this card", "DEVICE_YOUNG",
            "The device was first seen with this card {value} hours ago", _device_age, "log1p", 6),
    Feature("new_parties", "share", 0, 1, "share of the transaction's parties that are new to the card", "NEW_PARTIES",
            "{value} of what this transaction names is new to the card", _new_parties, usual=0.0),
    Feature("card_merchants_1h", "merchants", 0, 3, "distinct merchants within 1 h, of the last 16",
            "MERCHANTS_1H_HIGH", "{value} different merchants within an hour", _merchants_1h, "log1p", usual=0.0),
    Feature("card_merchants_24h", "merchants", 0, 3, "distinct merchants within 24 h, of the last 16",
            "MERCHANTS_24H_HIGH", "{value} different merchants within a day", _merchants_24h, "log1p", 0.75),
    Feature("card_devices_7d", "devices", 0, 3, "devices first seen within 7 d", "DEVICES_7D_HIGH",
            "{value} devices first seen within a week", _devices_7d, "log1p", usual=0.0),
)  # fmt: skip

FAMILY = Family("novelty", FEATURES, DTYPE, look, update)
