"""Honest behaviour that looks like fraud; each kind sets its own flag, so that false alarms can be counted by kind."""

import numpy as np

from training.data.simulator.bank import Bank
from training.data.simulator.calendar import DAY_MS
from training.data.simulator.population import Population
from training.data.simulator.reference import (
    CATEGORIES,
    COUNTRIES,
    DIGITAL_CATEGORY,
    EXPENSIVE,
    HOLIDAY,
    MCC,
    MICRO,
    PEAK,
    REFUND,
    REFUNDED,
    SPREE,
)
from training.data.simulator.rows import Array, Rows, make, size, take

__all__ = [
    "HOLIDAY",
    "first_expensive_purchase",
    "micro_payments",
    "refunds",
    "seasonal_peak",
    "shopping_spree",
    "where_about",
]

_DEAR = np.log([category.usual for category in CATEGORIES])


def where_about(bank: Bank, people: Population, days: int, rng: np.random.Generator) -> Array:
    """City of each card on each day: home, a day trip, or a holiday abroad; shape (cards, days)."""
    cards = people.cards
    city = np.repeat(cards.city[:, None], days, axis=1).astype(np.int16)
    per_country = len(people.city_country) // len(COUNTRIES)
    excursion = rng.random(city.shape) < 0.03
    near = cards.country[:, None] * per_country + rng.integers(0, per_country, city.shape)
    city[excursion] = near[excursion]
    number = rng.poisson(len(cards) * bank.look_alikes.trips * days / 365)
    travellers = rng.integers(0, len(cards), number)
    first = rng.integers(0, days, number)
    length = rng.integers(2, 16, number)
    goal = rng.integers(0, len(people.city_country), number)
    for card, day, stay, place in zip(travellers, first, length, goal, strict=True):
        city[card, day : day + stay] = place
    return city


def _chosen(per_year: float, days: int, people: Population, rng: np.random.Generator) -> Array:
    return rng.integers(0, len(people.cards), rng.poisson(len(people.cards) * per_year * days / 365))


def micro_payments(bank: Bank, people: Population, rows: Rows, rng: np.random.Generator) -> Rows:
    """Bursts of tiny payments: games, transit, parking; five to fourteen within minutes."""
    days = int(rows["time"].max() // DAY_MS) + 1
    cards = _chosen(bank.look_alikes.micro, days, people, rng)
    pools = np.full(len(cards), people.merchants.online_pool)
    shop = people.merchants.pick(pools, rng)
    digital = np.flatnonzero(people.merchants.category == DIGITAL_CATEGORY)
    shop = np.where(rng.random(len(cards)) < 0.6, rng.choice(digital, len(cards)), shop)
    repeat = rng.integers(4, 13, len(cards))
    begin = (rng.integers(0, days, len(cards)) + rng.normal(0.75, 0.12, len(cards))) * DAY_MS
    gaps = rng.exponential(1.0, int(repeat.sum())) * np.repeat(rng.uniform(20, 400, len(cards)), repeat) * 1000
    starts = np.repeat(np.cumsum(repeat) - repeat, repeat)
    elapsed = np.cumsum(gaps)
    time = np.repeat(begin, repeat) + elapsed - elapsed[starts]
    amount = np.repeat(np.exp(rng.normal(0.9, 0.7, len(cards))), repeat) * rng.choice([1, 1, 2, 5], len(time))
    return make(
        len(time),
        time=time.astype(np.int64),
        card=np.repeat(cards, repeat),
        merchant=np.repeat(shop, repeat),
        amount_base=np.clip(amount, 0.5, 60),
        look_alike=MICRO,
    )


def seasonal_peak(bank: Bank, peaks: Array, rows: Rows, rng: np.random.Generator) -> None:
    """Presents and bargains: on peak days a part of the purchases is dearer than usual; in place."""
    day = np.clip(rows["time"] // DAY_MS, 0, len(peaks) - 1)
    lavish = peaks[day] & (rng.random(size(rows)) < 0.25) & (rows["look_alike"] == 0)
    rows["amount_base"][lavish] *= rng.uniform(1.2, 1.5 + 1.5 * bank.look_alikes.peak_factor, int(lavish.sum()))
    rows["look_alike"][lavish] = PEAK


def first_expensive_purchase(bank: Bank, people: Population, days: int, rows: Rows, rng: np.random.Generator) -> None:
    """A sofa, a laptop, a ring: one purchase far above the habit at a shop not visited before; in place."""
    number = rng.poisson(len(people.cards) * bank.look_alikes.expensive * days / 365)
    chosen = rng.choice(size(rows), size=min(number, size(rows)), replace=False)
    chosen = chosen[rows["look_alike"][chosen] == 0]
    merchants = people.merchants
    pools = np.where(rng.random(len(chosen)) < 0.5, merchants.online_pool, people.cards.city[rows["card"][chosen]])
    rows["merchant"][chosen] = merchants.pick(pools, rng)
    usual = np.exp(people.cards.level[rows["card"][chosen]])
    rows["amount_base"][chosen] = np.clip(usual * np.exp(rng.normal(5.6, 0.6, len(chosen))), 60, 9_000)
    rows["known"][chosen] = 0
    rows["look_alike"][chosen] = EXPENSIVE


def shopping_spree(bank: Bank, people: Population, days: int, rng: np.random.Generator) -> Rows:
    """Furnishing a home or a wedding: four to ten dear purchases at new shops within a day or two."""
    cards = _chosen(bank.look_alikes.spree, days, people, rng)
    repeat = rng.integers(4, 11, len(cards))
    card = np.repeat(cards, repeat)
    day = np.repeat(rng.integers(0, days, len(cards)), repeat) + (rng.random(len(card)) < 0.35)
    hour = rng.uniform(9, 20.5, len(card))
    pools = np.where(rng.random(len(card)) < 0.4, people.merchants.online_pool, people.cards.city[card])
    merchant = people.merchants.pick(pools, rng)
    level = people.cards.level[card] + np.repeat(rng.normal(0.8, 0.4, len(cards)), repeat)
    dear = np.maximum(_DEAR[people.merchants.category[merchant]], np.log(35.0))
    amount = np.exp(dear + level + rng.normal(0, 0.5, len(card)))
    cash = people.merchants.category[merchant] == MCC["6011"]
    amount[cash] = np.round(amount[cash] / 10) * 10 + 10
    time = (day + hour / 24) * DAY_MS
    time -= people.country_offset_ms[people.cards.country[card]]
    rows = make(len(card), time=time.astype(np.int64), card=card, merchant=merchant, amount_base=amount)
    rows["look_alike"][:] = SPREE
    return take(rows, time >= people.cards.opened[card] * DAY_MS)


def refunds(bought: Rows, rng: np.random.Generator) -> Rows:
    """Money back for a purchase, whole or in part, one to twenty days later."""
    number = size(bought)
    back = dict(bought)
    back["time"] = bought["time"] + (rng.uniform(1, 20, number) * DAY_MS).astype(np.int64)
    part = np.where(rng.random(number) < 0.7, 1.0, rng.uniform(0.2, 0.9, number))
    back["amount_base"] = bought["amount_base"] * part
    back["type"] = np.full(number, REFUND, dtype=np.int8)
    back["look_alike"] = np.full(number, REFUNDED, dtype=np.int8)
    return back
