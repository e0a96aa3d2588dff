"""A second kind of stream: transfers of accounts, with a family, rules, names and words of its own. Knows no card.

account_id is whose transfer it is, counterparty_id who pays in or is paid; there is no terminal and no model.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stream.codec.roles import Roles
from stream.features.kernel import HOUR, MINUTE, UNIT, Event, fold32, kernel, wide
from stream.features.registry import Entity, Family, Feature
from stream.profile import StreamProfile

PAYERS, HOURS, DAY_MINUTES = 24, 24, 1440
DIRECTIONS = ("in", "out")
IN = 1 + DIRECTIONS.index("in")  # 0 is missing

ROW = np.dtype(
    [
        ("newest", np.int64),  # hour since the epoch
        ("sums", np.int64, HOURS),  # minor units received within each hour
        ("payers", np.uint32, PAYERS),
        ("seen", np.uint32, PAYERS),  # minutes since the epoch
    ],
    align=True,
)


class View(NamedTuple):
    payers: int
    received: float


@kernel
def look(state: Any, event: Event) -> View:
    """Who paid into the account within the last 24 hours, this transfer with them."""
    minute, hour, payer = event.time // MINUTE, event.time // HOUR, fold32(event.merchant)
    payers, received = wide(1), float(event.amount)
    for k in range(PAYERS):
        if state.payers[k] != 0 and state.payers[k] != payer and minute - DAY_MINUTES < state.seen[k] <= minute:
            payers += 1
    for k in range(HOURS):
        held = state.newest - (state.newest - k) % HOURS
        if hour - HOURS < held <= hour:
            received += state.sums[k]
    return View(payers, received)


@kernel
def update(state: Any, event: Event) -> None:
    """Remember the payer over the one unseen for longest, and what came in."""
    if event.channel != IN:
        return
    payer, minute, hour = fold32(event.merchant), wide(event.time // MINUTE), wide(event.time // HOUR)
    at = wide(0)
    for k in range(PAYERS):
        if state.payers[k] == payer:
            at = wide(k)
            break
        if state.seen[k] < state.seen[at]:
            at = wide(k)
    state.payers[at] = payer
    state.seen[at] = max(minute, wide(state.seen[at]))
    if hour > state.newest:
        for k in range(HOURS):
            held = state.newest - (state.newest - k) % HOURS
            if held <= hour - HOURS:
                state.sums[k] = 0
        state.newest = hour
    if hour > state.newest - HOURS:
        state.sums[hour % HOURS] += event.amount


@kernel
def _payers(state: Any, event: Event, view: View) -> float:
    return float(view.payers) if event.channel == IN else np.nan


@kernel
def _received(state: Any, event: Event, view: View) -> float:
    return math.log1p(view.received / UNIT) if event.channel == IN else np.nan


FAN_IN = Family(
    "fan_in",
    (
        Feature("payers_24h", "accounts", 0, PAYERS + 1, "distinct counterparties paying in within 24 h", "FAN_IN_WIDE",
                "{value} different accounts paid in within a day", _payers),
        Feature("received_24h", "amount", 0, 30, "sum paid in within 24 h", "FAN_IN_SUM",
                "{value} were paid in within a day", _received, "log1p"),
    ),
    ROW,
    look,
    update,
    entity="account",
)  # fmt: skip

TRANSFERS = StreamProfile(
    name="transfers",
    roles=Roles(
        {
            "transaction_id": "transfer_id",
            "event_time": "booked_at",
            "card_id": "account_id",
            "merchant_id": "counterparty_id",
            "amount": "amount",
            "currency": "currency",
            "customer_id": "customer_id",
            "country": "counterparty_country",
            "channel": "direction",
        },
        required=("customer_id", "channel"),
        words={"channel": DIRECTIONS},
    ),
    entities=(Entity("account", "card_key"),),
    families=(FAN_IN,),
    rules=Path(__file__).with_name("transfers.toml"),
    noun="account",
)
