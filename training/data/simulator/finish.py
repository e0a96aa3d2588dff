"""Fill what a row left open from the habits of its card and the kind of its merchant; the same for everybody."""

import numpy as np

from training.data.simulator.bank import Bank
from training.data.simulator.calendar import DAY_MS
from training.data.simulator.population import IPS_PER_CARD, IPS_PER_COUNTRY, Population
from training.data.simulator.reference import (
    ATM,
    ATM_CATEGORY,
    CASH,
    CHIP,
    CONTACTLESS,
    ECOM,
    FALLBACK,
    KEYED,
    MOTO,
    NEW_PHONE,
    POS,
    PURCHASE,
    STORED,
    SWIPE,
)
from training.data.simulator.rows import DEFAULT, Array, Rows, size

DEVICES_PER_CARD = 3
_STRANGE_DEVICES = 2**30
_BORROWED_DAYS = 3


def finish(bank: Bank, people: Population, rows: Rows, rng: np.random.Generator) -> None:
    """Fill terminal, type, channel, entry mode, checks, device and address where they are open; in place."""
    habits = np.random.default_rng([0xF1, bank.seed])
    _fill(rows, "terminal", _terminal(people, rows, rng))
    _fill(rows, "channel", _channel(people, rows, rng))
    _fill(rows, "type", np.where(rows["channel"] == ATM, CASH, PURCHASE))
    _fill(rows, "entry", _entry(people, rows, rng))
    _fill(rows, "device", _device(people, rows, habits.uniform(0.04, 0.08), rng))
    _fill(rows, "ip", _address(people, rows, habits.uniform(0.05, 0.2), rng))
    _checks(rows, habits, rng)
    remote = np.isin(rows["channel"], (ECOM, MOTO))
    rows["device"][~(remote | (rows["entry"] == STORED))] = DEFAULT
    rows["ip"][rows["channel"] != ECOM] = DEFAULT


def _fill(rows: Rows, name: str, values: Array) -> None:
    column = rows[name]
    rows[name] = np.where(column == DEFAULT, values, column).astype(column.dtype)


def _terminal(people: Population, rows: Rows, rng: np.random.Generator) -> Array:
    merchants, merchant = people.merchants, rows["merchant"]
    return merchants.first_terminal[merchant] + (rng.random(size(rows)) * merchants.terminals[merchant]).astype(int)


def _channel(people: Population, rows: Rows, rng: np.random.Generator) -> Array:
    online = people.merchants.online[rows["merchant"]]
    remote = np.where(rng.random(size(rows)) < 0.03, MOTO, ECOM)
    present = np.where(people.merchants.category[rows["merchant"]] == ATM_CATEGORY, ATM, POS)
    return np.where(online, remote, present)


def _entry(people: Population, rows: Rows, rng: np.random.Generator) -> Array:
    draw = rng.random(size(rows))
    present = np.where(draw < people.cards.contactless[rows["card"]], CONTACTLESS, CHIP)
    odd = rng.random(size(rows))
    present = np.where(odd < 0.02, SWIPE, np.where(odd < 0.025, FALLBACK, present))
    present = np.where((rows["channel"] == ATM) & (odd >= 0.025), CHIP, present)
    remote = np.where((rows["known"] == 1) & (draw < 0.7), STORED, KEYED)
    return np.where(rows["channel"] == MOTO, KEYED, np.where(rows["channel"] == ECOM, remote, present))


def _device(people: Population, rows: Rows, strange: float, rng: np.random.Generator) -> Array:
    """The customer's phone, at times the second device; the new phone once it is bought; some days a borrowed one."""
    card, number = people.owner[rows["card"]], size(rows)
    owned = len(people.cards) * DEVICES_PER_CARD
    changed = people.cards.new_phone_day[card] * DAY_MS
    renewed = rows["time"] >= changed
    which = np.where(rng.random(number) < 0.2, 1, np.where(renewed, 2, 0))
    fresh = renewed & (rows["time"] < changed + 4 * DAY_MS) & (which == 2) & (rows["channel"] == ECOM)
    rows["look_alike"][fresh & (rows["story"] == 0)] = NEW_PHONE
    # A mixed hash of the card and the stretch of days decides, so that all visits of a stretch share one device.
    stretch = rows["time"] // (_BORROWED_DAYS * DAY_MS)
    mixed = (card.astype(np.uint64) << np.uint64(20)) + stretch.astype(np.uint64) + np.uint64(rng.integers(0, 2**60))
    for factor, shift in ((0xBF58476D1CE4E5B9, 30), (0x94D049BB133111EB, 27)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    borrowed = ((mixed >> np.uint64(34)).astype(np.float64) / 2**30 < strange) & (rng.random(number) < 0.7)
    unknown = owned + (mixed & np.uint64(_STRANGE_DEVICES - 1)).astype(np.int64)
    return np.where(borrowed, unknown, card.astype(np.int64) * DEVICES_PER_CARD + which)


def strange_device(people: Population, rng: np.random.Generator) -> int:
    """A device that belongs to no card."""
    return len(people.cards) * DEVICES_PER_CARD + int(rng.integers(0, _STRANGE_DEVICES))


def strange_devices(people: Population, owner: Array) -> Array:
    """For each customer the one device of somebody else that he uses now and then."""
    mixed = (owner.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    return len(people.cards) * DEVICES_PER_CARD + (mixed >> np.uint64(34)).astype(np.int64)


def strange_address(people: Population, country: int, rng: np.random.Generator) -> int:
    """An address of a country that belongs to no card."""
    return people.foreign_ip + country * IPS_PER_COUNTRY + int(rng.integers(0, IPS_PER_COUNTRY))


def _address(people: Population, rows: Rows, roaming: float, rng: np.random.Generator) -> Array:
    card, number = people.owner[rows["card"]], size(rows)
    own = card.astype(np.int64) * IPS_PER_CARD + rng.integers(0, IPS_PER_CARD, number)
    abroad = rng.integers(0, len(people.country_offset_ms), number)
    country = np.where(rng.random(number) < 0.12, abroad, people.cards.country[card])
    mobile = people.foreign_ip + country * IPS_PER_COUNTRY + rng.integers(0, IPS_PER_COUNTRY, number)
    return np.where(rng.random(number) < roaming, mobile, own)


def _checks(rows: Rows, habits: np.random.Generator, rng: np.random.Generator) -> None:
    """3-D Secure, CVV and AVS results as online shops send them; nothing of the kind at a terminal."""
    number, online = size(rows), rows["channel"] == ECOM
    remote = online | (rows["channel"] == MOTO)
    none, attempted = habits.uniform(0.25, 0.6), habits.uniform(0.03, 0.1)
    cuts = np.cumsum([1 - none - attempted - 0.01, attempted, 0.01])
    _fill(rows, "three_ds", np.where(online, np.searchsorted(cuts, rng.random(number)), DEFAULT))
    known = (rows["known"] == 1) & (rng.random(number) < 0.6)
    cvv = np.where(known, 2, np.searchsorted([0.96, 0.975], rng.random(number)))
    _fill(rows, "cvv", np.where(remote, cvv, DEFAULT))
    match = habits.uniform(0.6, 0.85)
    avs = np.searchsorted([match, match + 0.04, match + 0.12], rng.random(number))
    _fill(rows, "avs", np.where(remote, avs, DEFAULT))
