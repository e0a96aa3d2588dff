"""New cards for generated transactions: habits, home, favourite shops, devices and addresses of their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.gan.book import DAY_MS, F64, I64
from training.gan.catalogue import CATEGORIES, draw
from training.gan.coding import F32
from training.gan.relations import HABITS
from training.gan.vocabulary import Vocabulary

FAVOURITES = 40
_AT = {name: place for place, name in enumerate(HABITS)}


class Shops:
    """Draws merchants by place and category, by popularity.

    Parameters
    ----------
    words
        Whose catalogue is used; online merchants stand at the place after the last one.
    """

    def __init__(self, words: Vocabulary) -> None:
        shop = words.shop
        self.online_place = len(shop.place_country)
        place = np.where(shop.online, self.online_place, shop.place)
        key = place * CATEGORIES + shop.category
        self._order = np.argsort(key, kind="stable")
        self._sums = np.r_[0.0, np.cumsum(shop.popularity[self._order] + 1e-3)]
        cells = np.arange((self.online_place + 1) * CATEGORIES + 1)
        self._cell = np.searchsorted(key[self._order], cells)

    def draw(self, place: I64, rng: np.random.Generator, category: I64 | None = None) -> I64:
        """One merchant a row at a place, of a category where it has one."""
        low, high = self._cell[place * CATEGORIES], self._cell[(place + 1) * CATEGORIES]
        if category is not None:
            inner = self._cell[place * CATEGORIES + category], self._cell[place * CATEGORIES + category + 1]
            there = inner[1] > inner[0]
            low, high = np.where(there, inner[0], low), np.where(there, inner[1], high)
        at = self._sums[low] + rng.random(len(place)) * (self._sums[high] - self._sums[low])
        found = np.clip(np.searchsorted(self._sums, at, side="right") - 1, low, np.maximum(high - 1, low))
        return np.asarray(self._order[np.minimum(found, len(self._order) - 1)], np.int64)


@dataclass(frozen=True, slots=True)
class Cards:
    """New cards, c of them.

    Parameters
    ----------
    habits
        (c, h) as the generator takes them.
    level, contactless
        (c,) usual log amount above the category's; share of contactless among contactless and chip.
    hours
        (c, bins + 1) cumulative hours.
    customer, home, bin
        (c,) codes.
    begins
        (c,) first moment, ms.
    opened, account_opened
        (c,) ms, NaN unknown.
    near, online
        (c, FAVOURITES) favourite merchants.
    favourites, online_favourites
        (c,) how many of them count.
    """

    habits: F32
    level: F64
    contactless: F64
    hours: F64
    customer: I64
    home: I64
    bin: I64
    begins: I64
    opened: F64
    account_opened: F64
    near: I64
    online: I64
    favourites: I64
    online_favourites: I64

    def __len__(self) -> int:
        return len(self.home)

    def expected(self, words: Vocabulary) -> F64:
        """Transactions to expect of each card."""
        rate = np.exp(self.habits[:, 0] * words.coder.scale[0] + words.coder.centre[0])
        return np.asarray(rate * (words.end - self.begins) / DAY_MS)


def draw_cards(words: Vocabulary, number: int, rng: np.random.Generator) -> Cards:
    """Invent cards: profiles drawn from the mixed ones, homes and shops by how common they are."""
    profile = rng.integers(0, len(words.habits), number)
    habits = words.habits[profile]
    plain = habits * words.coder.scale + words.coder.centre
    sizes = 1 + draw(words.cards_of_customer, number, rng)
    customer = np.repeat(np.arange(number), sizes)[:number]
    homes = draw(words.homes + 1e-9, number, rng)[customer]
    age = words.ages[profile]
    opened = words.start - np.floor(age[:, 0]) * DAY_MS
    begins = np.maximum(np.nan_to_num(opened, nan=0.0).astype(np.int64), words.start)
    begins = np.where(begins < words.end - DAY_MS, begins, words.start)
    shops = Shops(words)
    online = np.full(number, shops.online_place)
    return Cards(
        habits=np.clip(habits, -4, 4).astype(np.float32),
        level=plain[:, _AT["level"]],
        contactless=plain[:, _AT["contactless"]].clip(0, 1),
        hours=words.hours[profile],
        customer=customer,
        home=homes,
        bin=draw(words.bins + 1e-9, number, rng),
        begins=begins,
        opened=opened,
        account_opened=words.start - np.floor(age[:, 1]) * DAY_MS,
        near=_favourites(shops, homes, rng),
        online=_favourites(shops, online, rng),
        favourites=_sizes(plain[:, _AT["favourites"]]),
        online_favourites=_sizes(plain[:, _AT["online_favourites"]]),
    )


def _sizes(logs: F64) -> I64:
    return np.clip(np.round(np.expm1(logs)), 1, FAVOURITES).astype(np.int64)


def _favourites(shops: Shops, place: I64, rng: np.random.Generator) -> I64:
    """Distinct shops where the place has enough of them."""
    chosen = np.full((len(place), FAVOURITES), -1, np.int64)
    for f in range(FAVOURITES):
        for _ in range(4):
            again = (chosen[:, :f] == chosen[:, f : f + 1]).any(1) | (chosen[:, f] < 0)
            if again.any():
                chosen[again, f] = shops.draw(place[again], rng)
    return chosen
