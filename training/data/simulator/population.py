"""Who takes part: customers with cards, devices and habits; merchants with places and terminals."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from training.data.simulator.bank import Bank
from training.data.simulator.reference import ATM_CATEGORY, CATEGORIES, COUNTRIES
from training.data.simulator.rows import Array

CITIES_PER_COUNTRY = 6
FAVOURITES = 16
ONLINE_FAVOURITES = 8
IPS_PER_CARD = 2
IPS_PER_COUNTRY = 400


@dataclass(frozen=True)
class Merchants:
    """Columns over merchants, sorted by pool: the merchants of a city, then those online everywhere.

    `pool` holds the first merchant of each pool and, last, the number of merchants; `popularity` is the
    running sum of their Zipf weights, so that one uniform number picks a merchant of a pool by its weight.
    """

    country: Array
    city: Array
    category: Array
    online: Array
    latitude: Array
    longitude: Array
    first_terminal: Array
    terminals: Array
    pool: Array
    popularity: Array

    @property
    def online_pool(self) -> int:
        """Number of the pool of online merchants."""
        return len(self.pool) - 2

    def pick(self, pools: Array, rng: np.random.Generator) -> Array:
        """A merchant of each of the given pools, popular ones more often; shape as `pools`."""
        low = self.popularity[self.pool[pools]]
        high = self.popularity[self.pool[pools + 1]]
        target = low + rng.random(pools.shape) * (high - low)
        found = np.searchsorted(self.popularity, target, side="right") - 1
        return np.clip(found, self.pool[pools], self.pool[pools + 1] - 1).astype(np.int32)


@dataclass(frozen=True)
class Cards:
    """Columns over cards: identity, home and habits. Amounts are logs of euro, hours are local."""

    pan: list[str]
    customer: Array
    city: Array
    country: Array
    opened: Array
    account_opened: Array
    rate: Array
    level: Array
    spread: Array
    online_share: Array
    explore: Array
    contactless: Array
    night: Array
    peaks: Array
    widths: Array
    first_peak: Array
    new_phone_day: Array
    favourites: Array
    online_favourites: Array

    def __len__(self) -> int:
        return len(self.pan)


@dataclass(frozen=True)
class Population:
    """Everybody, with the cities they live in."""

    cards: Cards
    merchants: Merchants
    city_country: Array
    city_latitude: Array
    city_longitude: Array
    country_offset_ms: Array

    @cached_property
    def owner(self) -> Array:
        """For each card the first card of its customer, whose phone and address are used with all of his cards."""
        return np.searchsorted(self.cards.customer, self.cards.customer)

    def address_in(self, country: Array, rng: np.random.Generator) -> Array:
        """An address of each country that belongs to no card."""
        return self.foreign_ip + country * IPS_PER_COUNTRY + rng.integers(0, IPS_PER_COUNTRY, len(country))

    @property
    def foreign_ip(self) -> int:
        """Index of the first address that belongs to no card; `IPS_PER_COUNTRY` of each country follow."""
        return IPS_PER_CARD * len(self.cards)

    def ip_country(self, ip: Array) -> Array:
        """Country of each address index."""
        own = self.cards.country[np.minimum(ip // IPS_PER_CARD, len(self.cards) - 1)]
        return np.where(ip < self.foreign_ip, own, (ip - self.foreign_ip) // IPS_PER_COUNTRY)


def populate(bank: Bank, cards: int, days: int, rng: np.random.Generator) -> Population:
    """Draw the population of a bank.

    Parameters
    ----------
    bank : Bank
        Whose parameters are used.
    cards : int
        Number of cards, at least 10.
    days : int
        Length of the history; a few cards are opened during it.
    rng : numpy.random.Generator
        Source of chance.
    """
    country = np.repeat(np.arange(len(COUNTRIES)), CITIES_PER_COUNTRY)
    latitude = np.array([c.latitude for c in COUNTRIES])[country] + rng.normal(0, 1.6, len(country))
    longitude = np.array([c.longitude for c in COUNTRIES])[country] + rng.normal(0, 1.6, len(country))
    merchants = _draw_merchants(bank, cards, (country, latitude, longitude), rng)
    return Population(
        cards=_draw_cards(bank, cards, days, merchants, rng),
        merchants=merchants,
        city_country=country,
        city_latitude=latitude,
        city_longitude=longitude,
        country_offset_ms=np.array([c.offset for c in COUNTRIES]) * 60_000,
    )


def _draw_merchants(
    bank: Bank, cards: int, cities_at: tuple[Array, Array, Array], rng: np.random.Generator
) -> Merchants:
    city_country, latitude, longitude = cities_at
    cities = len(city_country)
    weight = np.full(len(COUNTRIES), 0.012)
    weight[list(bank.homes)] += 0.8 * np.array(bank.home_shares)
    per_city = weight[city_country] / CITIES_PER_COUNTRY
    number = int(max(1500, 0.5 * cards))
    city = rng.choice(cities, size=number, p=per_city / per_city.sum())
    # Every city keeps a few merchants and a cash machine, however rarely anybody goes there.
    city = np.concatenate([city, np.repeat(np.arange(cities), 6)])
    shares = np.array([c.share for c in CATEGORIES])
    category = rng.choice(len(CATEGORIES), size=len(city), p=shares / shares.sum())
    category[-6 * cities :: 6] = ATM_CATEGORY
    online = rng.random(len(city)) < np.array([c.online for c in CATEGORIES])[category]
    group = np.where(online, cities, city)
    order = np.argsort(group, kind="stable")
    city, category, online, group = city[order], category[order], online[order], group[order]
    pool = np.searchsorted(group, np.arange(cities + 2))
    rank = rng.permutation(len(city)) + 1.0
    terminals = np.where(online, 1, 1 + rng.poisson(1.2, len(city)))
    return Merchants(
        country=city_country[city],
        city=city,
        category=category,
        online=online,
        latitude=latitude[city] + rng.normal(0, 0.05, len(city)),
        longitude=longitude[city] + rng.normal(0, 0.05, len(city)),
        first_terminal=np.concatenate([[0], np.cumsum(terminals)[:-1]]),
        terminals=terminals,
        pool=pool,
        popularity=np.concatenate([[0.0], np.cumsum(rank**-bank.habits.merchant_zipf)]),
    )


def _draw_cards(bank: Bank, number: int, days: int, merchants: Merchants, rng: np.random.Generator) -> Cards:
    habits = bank.habits
    first_of_customer = rng.random(number) >= habits.second_card / (1 + habits.second_card)
    first_of_customer[0] = True
    customer = np.cumsum(first_of_customer) - 1
    home = rng.choice(bank.homes, size=customer[-1] + 1, p=bank.home_shares)
    city = (home * CITIES_PER_COUNTRY + rng.integers(0, CITIES_PER_COUNTRY, len(home)))[customer]
    age = rng.exponential(900.0, number) + 1
    opened = np.where(rng.random(number) < 0.08, rng.uniform(0, 0.7 * days, number), -age)
    online_pool = np.full((number, ONLINE_FAVOURITES), merchants.online_pool)
    return Cards(
        pan=luhn_numbers(np.array(bank.bins)[rng.integers(0, len(bank.bins), number)], rng),
        customer=customer,
        city=city,
        country=home[customer],
        opened=opened,
        account_opened=_accounts_opened(customer, opened, rng.exponential(700.0, customer[-1] + 1)),
        rate=habits.daily_rate * np.exp(rng.normal(-0.5 * habits.rate_spread**2, habits.rate_spread, number)),
        level=habits.amount_level + habits.amount_spread * rng.normal(size=number),
        spread=habits.own_spread * np.exp(rng.normal(0, 0.3, number)),
        online_share=rng.beta(2.0, 2.0 / habits.online_share - 2.0, number),
        explore=rng.beta(2.0, 2.0 / habits.explore_share - 2.0, number),
        contactless=rng.beta(4 * habits.contactless, 4 * (1 - habits.contactless), number),
        night=habits.night_share * rng.gamma(1.0, 1.0, number),
        peaks=np.array(habits.peak_hours) + rng.normal(0, 1.0, (number, 2)),
        widths=rng.uniform(1.2, 2.8, (number, 2)),
        first_peak=rng.beta(3, 3, number),
        new_phone_day=np.where(
            rng.random(number) < bank.look_alikes.new_phone * days / 365, rng.uniform(0, days, number), np.inf
        ),
        favourites=merchants.pick(np.repeat(city[:, None], FAVOURITES, axis=1), rng),
        online_favourites=merchants.pick(online_pool, rng),
    )


def _accounts_opened(customer: Array, opened: Array, before: Array) -> Array:
    """Days at which the accounts were opened: for some customers just before their first card, for others long ago."""
    first = np.full(len(before), np.inf)
    np.minimum.at(first, customer, opened)
    return (first - np.where(before < 250.0, before / 25.0, before))[customer]


def luhn_numbers(bins: Array, rng: np.random.Generator) -> list[str]:
    """Distinct 16-digit test numbers with a valid Luhn digit, one for each six-digit bin.

    Parameters
    ----------
    bins : numpy.ndarray, shape (n,)
        Leading six digits.
    rng : numpy.random.Generator
        Source of chance.
    """
    # A stride coprime to 10**9 walks through distinct middles without drawing and checking.
    middle = (rng.integers(0, 10**9) + np.arange(len(bins), dtype=np.int64) * 618_033_989) % 10**9
    body = bins.astype(np.int64) * 10**9 + middle
    total = np.zeros(len(bins), dtype=np.int64)
    rest = body.copy()
    for position in range(15):
        digit = rest % 10
        rest //= 10
        doubled = digit * 2 if position % 2 == 0 else digit
        total += doubled - 9 * (doubled > 9)
    return [str(number) for number in (body * 10 + (-total) % 10).tolist()]
