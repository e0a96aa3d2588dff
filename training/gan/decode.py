"""From coded windows to transactions: time goes on, parties stay the card's own, clearings follow their holds."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from training.gan.book import DAY_MS, F64, I64, Mask
from training.gan.cards import Cards, Shops
from training.gan.catalogue import draw
from training.gan.coding import F32
from training.gan.layout import COLUMNS, KIND, NEW_SLOTS, SLOT
from training.gan.relations import DAWN_MS, place_to_hour
from training.gan.vocabulary import PRESENT, Vocabulary, situation

_TURN_MS = 2 * 3_600_000  # a longer gap is moved to the hour at which the card pays
_LEAST_MS = 400
_SETTLE_MS = 2 * DAY_MS
HOME_ADDRESSES = 3
FIELDS = (
    "card", "time", "fraud", "merchant", "terminal", "amount", "detail", "entry_swap", "device",
    "address", "ip_country",
)  # fmt: skip


@dataclass(slots=True)
class Rows:
    """Decoded rows as lists of equal parts, by name of `FIELDS`; join with `columns`."""

    parts: dict[str, list[np.ndarray]] = field(default_factory=lambda: {name: [] for name in FIELDS})

    def add(self, **columns: np.ndarray) -> None:
        """Add a batch."""
        for name in FIELDS:
            self.parts[name].append(columns[name])

    def columns(self) -> dict[str, np.ndarray]:
        """Everything, in the order it came."""
        return {name: np.concatenate(parts) if parts else np.empty(0) for name, parts in self.parts.items()}


class Decoder:
    """Keeps what each card did last, and turns one step of many cards at a time into rows.

    Parameters
    ----------
    words
        The table's vocabulary.
    cards
        Whose transactions are made.
    rng
        Source of chance.
    """

    def __init__(self, words: Vocabulary, cards: Cards, rng: np.random.Generator) -> None:
        c = len(cards)
        self._words, self._cards, self._rng, self._shops = words, cards, rng, Shops(words)
        self.time: I64 = cards.begins.copy()
        self._rate = cards.expected(words) / np.maximum(words.end - cards.begins, 1)
        self._count = np.zeros(c)
        self._merchant = np.full(c, -1, np.int64)
        self._away = np.full(c, -1, np.int64)
        self._amount = np.zeros(c)
        self._device, self._address = np.full(c, -1, np.int64), np.full(c, -1, np.int64)
        self._country = np.full(c, -1, np.int64)
        self._details = _Details(words)
        self._terminals = _Terminals(words)
        self.rows = Rows()

    def step(self, card: I64, coded: F32, fraud: Mask) -> None:
        """Decode one step (m, WIDTH) of m distinct cards; those past the end give nothing."""
        gap, hour, residual = self._words.coder.numbers(coded)
        heads = {name: coded[:, at].argmax(1).astype(np.int64) for name, at in COLUMNS.items()}
        time = self._when(card, gap, hour)
        merchant = self._where(card, heads["slot"], heads["category"])
        kind = self._kind(heads["kind"], merchant, fraud)
        amount = self._how_much(card, heads["repeat"], residual, merchant)
        shop = self._words.shop
        new = np.isin(heads["slot"], NEW_SLOTS).astype(np.int64)
        online, cash = shop.online[merchant].astype(np.int64), shop.cash[merchant].astype(np.int64)
        detail = self._details.draw(situation(fraud.astype(np.int64), online, cash, kind, new), self._rng)
        device = self._device_of(card, heads["device"], online)
        address, country = self._address_of(card, heads["address"], online, merchant)
        self.time[card], self._merchant[card], self._amount[card] = time, merchant, amount
        alive = time < self._words.end
        self.rows.add(
            card=card[alive], time=time[alive], fraud=fraud[alive], merchant=merchant[alive],
            terminal=self._terminals.draw(merchant, self._rng)[alive], amount=amount[alive], detail=detail[alive],
            entry_swap=(self._rng.random(len(card)) < self._cards.contactless[card])[alive], device=device[alive],
            address=address[alive], ip_country=country[alive],
        )  # fmt: skip
        own = alive & ~fraud
        self._follow_up(card[own], time[own], merchant[own], amount[own], kind[own])

    def _when(self, card: I64, gap: F64, hour: F64) -> I64:
        """Add the gap; after a long one, take the nearest moment at which the generated hour falls."""
        before = self.time[card]
        gap = np.where(gap > _TURN_MS, gap * self._pace(card), gap)
        self._count[card] += 1
        target = before + np.maximum(gap, _LEAST_MS)
        offset = self._words.home_offset[self._cards.home[card]] - DAWN_MS
        at = place_to_hour(self._cards.hours[card], np.clip(hour, 0, 1)) * DAY_MS
        day = np.floor((target + offset) / DAY_MS)
        choices = np.stack([(day + shift) * DAY_MS + at - offset for shift in (-1.0, 0.0, 1.0)], axis=1)
        apart = np.where(choices > before[:, None] + 60_000, np.abs(choices - target[:, None]), np.inf)
        nearest = choices[np.arange(len(card)), apart.argmin(1)]
        return np.where(gap > _TURN_MS, nearest, target).astype(np.int64)

    def _pace(self, card: I64) -> F64:
        """Stretch long gaps so that in the long run a card pays as often as it is used to."""
        due = self._count[card] / self._rate[card] + _SETTLE_MS
        return np.clip(due / (self.time[card] - self._cards.begins[card] + _SETTLE_MS), 0.5, 2.0)

    def _where(self, card: I64, slot: I64, category: I64) -> I64:
        cards, rng, words = self._cards, self._rng, self._words
        home = cards.home[card]
        near = _rank(slot, cards.favourites[card], rng)
        other = 2 + np.floor((cards.online_favourites[card] - 2).clip(1) * rng.random(len(card))).astype(np.int64)
        far = np.where(slot == SLOT["o3"], other, slot - SLOT["o1"]).clip(0, cards.online_favourites[card] - 1)
        place = np.where(slot == SLOT["new_online"], self._shops.online_place, home)
        place = np.where(slot == SLOT["stay"], np.where(self._away[card] >= 0, self._away[card], home), place)
        for name, same in (("away", True), ("abroad", False)):
            rows = np.flatnonzero(slot == SLOT[name])
            place[rows] = self._travel(home[rows], same)
        merchant = self._shops.draw(place, rng, category)
        for _ in range(2):  # a shop that is new is no favourite
            known = (cards.near[card] == merchant[:, None]) | (cards.online[card] == merchant[:, None])
            again = np.flatnonzero(known.any(1))
            merchant[again] = self._shops.draw(place[again], rng, category[again])
        merchant = np.where((slot >= 1) & (slot <= 5), cards.near[card, near], merchant)
        merchant = np.where((slot >= 10) & (slot <= 12), cards.online[card, far], merchant)
        merchant = np.where((slot == 0) & (self._merchant[card] >= 0), self._merchant[card], merchant)
        physical = ~words.shop.online[merchant]
        at = words.shop.place[merchant]
        self._away[card] = np.where(physical, at, self._away[card])
        return merchant

    def _travel(self, home: I64, same_country: bool) -> I64:
        """A place elsewhere by how many visitors it has, in the home country or outside."""
        country, visits = self._words.shop.place_country, self._words.visits
        out = home.copy()
        for place in np.unique(home).tolist():
            fits = (country == country[place]) == same_country
            weights = np.where(fits, visits, 0.0)
            weights[place] = 0.0
            rows = home == place
            if weights.sum() > 0:
                out[rows] = draw(weights, int(rows.sum()), self._rng)
        return out

    def _kind(self, kind: I64, merchant: I64, fraud: Mask) -> I64:
        """Approved payments begin as a hold where that is usual."""
        words = self._words
        held = self._rng.random(len(kind)) < words.preauthorised[words.shop.category[merchant]]
        return np.where(held & (kind == KIND["approved"]) & ~fraud, KIND["preauth"], kind)

    def _how_much(self, card: I64, repeat: I64, residual: F64, merchant: I64) -> F64:
        words, rng = self._words, self._rng
        category = words.shop.category[merchant]
        amount = np.exp(words.shop.usual[category] + self._cards.level[card] + residual)
        round_ = rng.random((len(card), 2)) < words.rounded[category]
        rate = words.shop.rate[words.shop.merchant_currency[merchant]]
        amount = np.where(round_[:, 0], np.maximum(np.round(amount / 10), 1) * 10, amount)
        amount = np.where(round_[:, 1], np.maximum(np.round(amount / rate / 10), 1) * 10 * rate, amount)
        again = (repeat == 1) & (self._amount[card] > 0)
        return np.maximum(np.where(again, self._amount[card], amount), 0.01)

    def _follow_up(self, card: I64, time: I64, merchant: I64, amount: F64, kind: I64) -> None:
        """Clear holds and undo payments as often, as late and for as much as the table does."""
        words, rng = self._words, self._rng
        for f, (first, second) in enumerate((("preauth", "clearing"), ("approved", "back"))):
            at = np.flatnonzero((kind == KIND[first]) & (rng.random(len(kind)) < words.follow_share[f]))
            grid = np.linspace(0, 1, words.follow_up.shape[2])
            delay, ratio = (np.interp(rng.random(len(at)), grid, quantiles) for quantiles in words.follow_up[f])
            late = time[at] + np.exp(delay).astype(np.int64)
            at, late, ratio = (x[late < words.end] for x in (at, late, ratio))
            shop, n = words.shop, len(at)
            online, cash = (mask[merchant[at]].astype(np.int64) for mask in (shop.online, shop.cash))
            zero, none = np.zeros(n, np.int64), np.full(n, -1, np.int64)
            key = situation(zero, online, cash, np.full(n, KIND[second]), zero)
            self.rows.add(
                card=card[at], time=late, fraud=np.zeros(n, bool), merchant=merchant[at],
                terminal=self._terminals.draw(merchant[at], rng), amount=np.maximum(amount[at] * ratio, 0.01),
                detail=self._details.draw(key, rng), entry_swap=rng.random(n) < self._cards.contactless[card[at]],
                device=none, address=none, ip_country=none,
            )  # fmt: skip

    def _device_of(self, card: I64, device: I64, online: I64) -> I64:
        """-1 is the customer's usual one; others are numbered from 0, shared by strangers."""
        strange = online > 0
        new = strange & (device == 2) | (strange & (device == 1) & (self._device[card] < 0))
        self._device[card[new]] = self._rng.integers(0, max(self._words.devices, 1), int(new.sum()))
        return np.where(strange & (device > 0), self._device[card], -1)

    def _address_of(self, card: I64, address: I64, online: I64, merchant: I64) -> tuple[I64, I64]:
        """Negative is one of the customer's own; others are numbered from 0. With the country, -1 for home."""
        strange = (online > 0) & (address > 0)
        new = strange & ((address > 1) | (self._address[card] < 0))
        abroad = new & (address == 3)
        self._address[card[new]] = self._rng.integers(0, max(self._words.addresses, 1), int(new.sum()))
        self._country[card[new]] = -1
        self._country[card[abroad]] = draw(self._words.foreign_ips, int(abroad.sum()), self._rng)
        own = -1 - self._rng.integers(0, HOME_ADDRESSES, len(card))
        return np.where(strange, self._address[card], own), np.where(strange, self._country[card], -1)


def _rank(slot: I64, favourites: I64, rng: np.random.Generator) -> I64:
    """Place among the favourites: slots 1 to 3 are the first three, 4 the next three, 5 any other."""
    middle = 3 + rng.integers(0, 3, len(slot))
    rest = 6 + np.floor((favourites - 6).clip(1) * rng.random(len(slot))).astype(np.int64)
    rank = np.select([slot <= 3, slot == 4], [slot - 1, middle], rest)
    return np.asarray(np.clip(rank, 0, favourites - 1), np.int64)


class _Details:
    """Draws the joint small fields of a payment as they occur in its situation, or in the nearest one that occurs."""

    def __init__(self, words: Vocabulary) -> None:
        self._keys = np.unique(words.detail_key)
        self._low = np.searchsorted(words.detail_key, self._keys)
        self._high = np.searchsorted(words.detail_key, self._keys, side="right")
        self._sums = np.r_[0.0, np.cumsum(words.detail_count)]

    def draw(self, key: I64, rng: np.random.Generator) -> I64:
        """Row of `Vocabulary.details` for each situation."""
        at = np.searchsorted(self._keys, self._nearest(key))
        low, high = self._low[at], self._high[at]
        where = self._sums[low] + rng.random(len(key)) * (self._sums[high] - self._sums[low])
        return np.clip(np.searchsorted(self._sums, where, side="right") - 1, low, high - 1).astype(np.int64)

    def _nearest(self, key: I64) -> I64:
        """As asked; else not new, else genuine, else any of the same channel."""
        out = key.copy()
        for kept in (~4, ~8, ~12, ~13, 2):
            missing = ~np.isin(out, self._keys)
            out[missing] = key[missing] & kept
        return np.where(np.isin(out, self._keys), out, self._keys[0])


class _Terminals:
    """Draws one of a merchant's terminals, -1 where it has none."""

    def __init__(self, words: Vocabulary) -> None:
        pairs = words.shop.terminals
        self._codes = pairs[:, 1]
        merchants = np.arange(len(words.shop.popularity) + 1)
        self._bounds = np.searchsorted(pairs[:, 0], merchants)

    def draw(self, merchant: I64, rng: np.random.Generator) -> I64:
        """Code of a terminal for each row."""
        low, high = self._bounds[merchant], self._bounds[merchant + 1]
        at = low + np.floor(rng.random(len(merchant)) * (high - low)).astype(np.int64)
        there = high > low
        return np.where(there, self._codes[np.where(there, at, 0)] if len(self._codes) else -1, -1)


def present(bits: I64, name: str) -> Mask:
    """Whether the feed states a field."""
    return np.asarray((bits >> PRESENT.index(name)) & 1, bool)
