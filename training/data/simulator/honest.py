"""What honest customers do: when, where and for how much, with the habits that look like fraud and are not."""

from dataclasses import dataclass

import numpy as np

from training.data.simulator import lookalikes
from training.data.simulator.bank import Bank
from training.data.simulator.calendar import DAY_MS
from training.data.simulator.population import FAVOURITES, ONLINE_FAVOURITES, Population
from training.data.simulator.reference import (
    CASH,
    CATEGORIES,
    CLEARING,
    FALLBACK,
    MCC,
    PREAUTH,
    REVERSAL,
    WRONG_PIN,
)
from training.data.simulator.rows import Array, Rows, concat, make, size, take

_USUAL = np.log([category.usual for category in CATEGORIES])
_SPREAD = np.array([category.spread for category in CATEGORIES])
_PREAUTHORISED = [MCC["5541"], MCC["7011"]]


@dataclass(frozen=True)
class Plan:
    """When each card is where: `city[card, day]`, day factors and the mask of seasonal peaks."""

    city: Array
    factors: Array
    peaks: Array


def live(bank: Bank, people: Population, plan: Plan, rng: np.random.Generator) -> Rows:
    """Every honest transaction of the history, in no particular order; times in ms since its start."""
    rows = _visits(bank, people, plan, rng)
    rows = concat([rows, lookalikes.micro_payments(bank, people, rows, rng)])
    price(bank, people, rows, rng)
    lookalikes.seasonal_peak(bank, plan.peaks, rows, rng)
    lookalikes.first_expensive_purchase(bank, people, plan.peaks.size, rows, rng)
    rows = concat([rows, lookalikes.shopping_spree(bank, people, plan.peaks.size, rng)])
    decline(bank, rows, rng)
    rows = concat([rows, _retries(bank, rows, rng), _follow_ups(people, rows, rng), _refunds(bank, rows, rng)])
    return take(rows, (rows["time"] >= 0) & (rows["time"] < plan.peaks.size * DAY_MS))


def _visits(bank: Bank, people: Population, plan: Plan, rng: np.random.Generator) -> Rows:
    cards = people.cards
    active = np.arange(plan.factors.size)[None, :] >= np.ceil(cards.opened)[:, None]
    mean = np.outer(cards.rate, plan.factors) * active
    counts = rng.poisson(mean * rng.gamma(2.0, 0.5, mean.shape))
    card, day = np.nonzero(counts)
    repeat = counts[card, day]
    card, day = np.repeat(card, repeat), np.repeat(day, repeat)
    seconds = hours_of_day(people, card, rng) * 3600
    # A shopping tour: some visits are followed by others within minutes.
    tour = np.flatnonzero(rng.random(len(card)) < bank.habits.session_share)
    tour = np.repeat(tour, rng.integers(1, 4, len(tour)))
    card, day = np.concatenate([card, card[tour]]), np.concatenate([day, day[tour]])
    seconds = np.concatenate([seconds, seconds[tour] + rng.exponential(1500.0, len(tour)) + 20])
    merchant, known = _choose_merchants(people, plan, card, day, rng)
    offset = local_offset(people, card, merchant)
    time = day * DAY_MS + (seconds * 1000).astype(np.int64) - offset
    away = plan.city[card, day] != cards.city[card]
    abroad = people.city_country[plan.city[card, day]] != cards.country[card]
    return make(
        len(card), time=time, card=card, merchant=merchant, known=known, look_alike=lookalikes.HOLIDAY * (away & abroad)
    )


def hours_of_day(people: Population, card: Array, rng: np.random.Generator) -> Array:
    """A local hour in [0, 24) for each card by its own rhythm."""
    cards = people.cards
    second = (rng.random(len(card)) > cards.first_peak[card]).astype(np.int64)
    hour = cards.peaks[card, second] + cards.widths[card, second] * rng.normal(size=len(card))
    night = rng.random(len(card)) < cards.night[card]
    return np.where(night, rng.uniform(0, 24, len(card)), hour) % 24


def local_offset(people: Population, card: Array, merchant: Array) -> Array:
    """Milliseconds from UTC to the local time of each row: the merchant's, or the customer's for online shops."""
    online = people.merchants.online[merchant]
    country = np.where(online, people.cards.country[card], people.merchants.country[merchant])
    return people.country_offset_ms[country]


def _zipf_slot(slots: int, number: int, rng: np.random.Generator) -> Array:
    weights = np.cumsum(1.0 / (np.arange(slots) + 1.5))
    return np.searchsorted(weights, rng.random(number) * weights[-1])


def _choose_merchants(
    people: Population, plan: Plan, card: Array, day: Array, rng: np.random.Generator
) -> tuple[Array, Array]:
    cards, merchants, number = people.cards, people.merchants, len(card)
    city = plan.city[card, day]
    online = rng.random(number) < cards.online_share[card]
    away = city != cards.city[card]
    fresh = (rng.random(number) < cards.explore[card]) | (away & ~online)
    merchant = cards.favourites[card, _zipf_slot(FAVOURITES, number, rng)]
    from_home = cards.online_favourites[card, _zipf_slot(ONLINE_FAVOURITES, number, rng)]
    merchant = np.where(online, from_home, merchant)
    pools = np.where(online, merchants.online_pool, city)
    merchant[fresh] = merchants.pick(pools[fresh], rng)
    return merchant, ~fresh


def price(bank: Bank, people: Population, rows: Rows, rng: np.random.Generator) -> None:
    """Give every row without an amount the one its card would spend there; in place."""
    cards, open_ = people.cards, np.flatnonzero(rows["amount_base"] == 0)
    card = rows["card"][open_]
    category = people.merchants.category[rows["merchant"][open_]]
    noise = rng.normal(size=len(open_)) * (0.55 * _SPREAD[category] + cards.spread[card])
    amount = np.exp(_USUAL[category] + cards.level[card] + noise)
    tail = rng.random(len(open_)) < bank.habits.tail_share
    amount[tail] *= 1.5 + rng.pareto(bank.habits.tail_index, int(tail.sum()))
    cash = category == MCC["6011"]
    amount[cash] = np.maximum(np.round(amount[cash] / 10) * 10, 10)
    rows["amount_base"][open_] = np.clip(amount, 0.3, 25_000)


def decline(bank: Bank, rows: Rows, rng: np.random.Generator) -> None:
    """Decline a few rows as issuers do: no funds, wrong code, limit, system; in place."""
    refused = rng.random(size(rows)) < bank.habits.decline
    codes = rng.choice([1, 2, 4, WRONG_PIN, 6, 7], size=int(refused.sum()), p=[0.25, 0.35, 0.05, 0.2, 0.1, 0.05])
    rows["response"][refused] = codes


def _retries(bank: Bank, rows: Rows, rng: np.random.Generator) -> Rows:
    again = np.flatnonzero((rows["response"] > 0) & (rng.random(size(rows)) < bank.habits.retry))
    retry = take(rows, again)
    retry["time"] = retry["time"] + (rng.uniform(8, 150, len(again)) * 1000).astype(np.int64)
    short = (retry["response"] == 2) & (rng.random(len(again)) < 0.4)
    retry["amount_base"] = np.where(
        short, retry["amount_base"] * rng.uniform(0.2, 0.8, len(again)), retry["amount_base"]
    )
    retry["entry"] = np.where(rng.random(len(again)) < 0.06, FALLBACK, retry["entry"]).astype(np.int8)
    retry["response"] = np.where(rng.random(len(again)) < 0.8, 0, retry["response"]).astype(np.int8)
    return retry


def _follow_ups(people: Population, rows: Rows, rng: np.random.Generator) -> Rows:
    """Clearings after preauthorisations (fuel, hotels; turned in place) and reversals within minutes."""
    category = people.merchants.category[rows["merchant"]]
    held = np.isin(category, _PREAUTHORISED) & (rows["response"] == 0) & (rng.random(size(rows)) < 0.5)
    rows["type"][held] = PREAUTH
    clearing = take(rows, held)
    clearing["type"][:] = CLEARING
    clearing["time"] = clearing["time"] + (rng.uniform(0.3, 60, len(clearing["time"])) * 3_600_000).astype(np.int64)
    clearing["amount_base"] = clearing["amount_base"] * rng.uniform(0.8, 1.0, len(clearing["time"]))
    undone = (rows["type"] != PREAUTH) & (category != CASH) & (rows["response"] == 0) & (rng.random(size(rows)) < 0.002)
    reversal = take(rows, undone)
    reversal["type"][:] = REVERSAL
    reversal["time"] = reversal["time"] + rng.integers(20_000, 600_000, len(reversal["time"]))
    return concat([clearing, reversal])


def _refunds(bank: Bank, rows: Rows, rng: np.random.Generator) -> Rows:
    chance = bank.look_alikes.refund_share
    bought = np.flatnonzero((rows["type"] < 0) & (rows["response"] == 0) & (rng.random(size(rows)) < chance))
    return lookalikes.refunds(take(rows, bought), rng)
