"""Each transaction told by its relation to its card: favourites, novelty, places, devices; and the card's habits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.gan.book import DAY_MS, F64, I64, Book, Mask
from training.gan.catalogue import Catalogue, modes
from training.gan.layout import KIND, SLOT

HABITS = (
    "log_rate", "level", "spread", "online", "new_near", "new_online", "away", "tours", "favourites",
    "online_favourites", "first_share", "first_online_share", "declined", "contactless",
)  # fmt: skip
HOUR_BINS = 96
DAWN_MS = 4 * 3_600_000  # days of habits begin when few people pay
_SESSION_MS = 3_600_000
_LOG = np.log


@dataclass(frozen=True, slots=True)
class Relations:
    """A book's n rows and c cards, seen from each card.

    Parameters
    ----------
    gap
        (n,) ms since the card's transaction before, NaN for its first.
    hour
        (n,) place in the card's own distribution of hours, 0..1.
    residual
        (n,) log amount less what is usual for the category and the card.
    heads
        (n, 6) codes in the order of `training.gan.layout.HEADS`.
    habits
        (c, len(HABITS)).
    hours
        (c, HOUR_BINS + 1) the cards' cumulative distributions of hours, from `DAWN_MS`.
    home, home_offset
        (c,) place, -1 unknown; ms from UTC to its local time.
    rows
        (c,) transactions of each card in the book.
    """

    gap: F64
    hour: F64
    residual: F64
    heads: I64
    habits: F64
    hours: F64
    home: I64
    home_offset: I64
    rows: I64


def relate(book: Book, shop: Catalogue) -> Relations:
    """Tell every row of a book by its relation to its card."""
    cards = int(book.card.max()) + 1
    merchant = book.words["merchant_id"].codes
    first = np.r_[True, book.card[1:] != book.card[:-1]]
    gap = np.where(first, np.nan, np.diff(book.time, prepend=0).astype(np.float64))
    place, online, honest = shop.place[merchant], shop.online[merchant], ~book.fraud
    home = modes(book.card[honest & ~online], place[honest & ~online], cards, len(shop.place_country))
    offsets, code = np.unique(book.offset, return_inverse=True)
    settled = honest & (online | (place == home[book.card]))
    home_offset = offsets[np.maximum(modes(book.card[settled], code[settled].astype(np.int64), cards, len(offsets)), 0)]
    hours, hour = _hours(book, home_offset, cards, honest)
    category = shop.category[merchant]
    log = _LOG(np.maximum(book.amount, 0.01)) - shop.usual[category]
    count = np.bincount(book.card[honest], minlength=cards)
    level = np.bincount(book.card[honest], log[honest], cards) / np.maximum(count, 1)
    residual = log - level[book.card]
    slot, ranked = _slots(book, shop, home, gap)
    heads = np.stack(
        [
            slot,
            (states(book) == KIND["declined"]).astype(np.int64),
            category,
            _devices(book, cards),
            _addresses(book, shop, home, cards),
            np.where(first, False, book.amount == np.roll(book.amount, 1)).astype(np.int64),
        ],
        axis=1,
    )
    habits = _habits(book, heads, gap, residual, level, ranked, online, honest, cards)
    return Relations(
        gap, hour, residual, heads, habits, hours, home, home_offset, np.bincount(book.card, minlength=cards)
    )


def _hours(book: Book, home_offset: I64, cards: int, honest: Mask) -> tuple[F64, F64]:
    at = (book.time + home_offset[book.card] - DAWN_MS) % DAY_MS / DAY_MS
    table = np.zeros((cards, HOUR_BINS))
    np.add.at(table, (book.card[honest], (at[honest] * HOUR_BINS).astype(int)), 1.0)
    width = np.minimum(np.arange(HOUR_BINS), HOUR_BINS - np.arange(HOUR_BINS))
    kernel = np.exp(-0.5 * (width / 2.0) ** 2)
    smooth = np.fft.irfft(np.fft.rfft(table) * np.fft.rfft(kernel / kernel.sum()), HOUR_BINS).clip(0)
    common = smooth.sum(0) / smooth.sum()
    share = smooth + 4.0 * common + 0.0005 * smooth.sum(1, keepdims=True) + 1e-3
    sums = np.concatenate([np.zeros((cards, 1)), np.cumsum(share, 1)], 1)
    sums /= sums[:, -1:]
    return sums, hour_to_place(sums, book.card, at)


def hour_to_place(sums: F64, card: I64, at: F64) -> F64:
    """From the share of the day (n,) to the place in each card's distribution."""
    bin_ = np.minimum((at * HOUR_BINS).astype(int), HOUR_BINS - 1)
    low = sums[card, bin_]
    return low + (at * HOUR_BINS - bin_) * (sums[card, bin_ + 1] - low)


def place_to_hour(sums: F64, place: F64) -> F64:
    """From the place in distributions (n, HOUR_BINS + 1) to the share of the day."""
    bin_ = np.clip((sums <= place[:, None]).sum(1) - 1, 0, HOUR_BINS - 1)
    row = np.arange(len(place))
    low, high = sums[row, bin_], sums[row, bin_ + 1]
    return np.asarray((bin_ + np.clip((place - low) / np.maximum(high - low, 1e-12), 0, 1)) / HOUR_BINS)


def _slots(book: Book, shop: Catalogue, home: I64, gap: F64) -> tuple[I64, npt.NDArray[np.int64]]:
    merchant, card = book.words["merchant_id"].codes, book.card
    online, place = shop.online[merchant], shop.place[merchant]
    near = place == home[card]
    rank = _ranks(book, online, near)
    physical = np.select([rank == 1, rank == 2, rank == 3, (rank > 3) & (rank < 7), rank >= 7], [1, 2, 3, 4, 5], 6)
    remote = np.select([rank == 1, rank == 2, rank >= 3], [10, 11, 12], SLOT["new_online"])
    far = ~online & ~near
    before = _last_where(card, ~online, place)
    abroad = shop.place_country[np.maximum(place, 0)] != shop.place_country[np.maximum(home[card], 0)]
    away = np.where(before == place, SLOT["stay"], np.where(abroad, SLOT["abroad"], SLOT["away"]))
    slot = np.where(online, remote, np.where(far, away, physical))
    same = (np.r_[-1, merchant[:-1]] == merchant) & (gap < _SESSION_MS)
    return np.where(same, SLOT["same"], slot).astype(np.int64), rank


def _ranks(book: Book, online: Mask, near: Mask) -> I64:
    """By visits of the card, among its shops at home and online each; 0 for shops that are no favourite."""
    merchant, card, n_shops = book.words["merchant_id"].codes, book.card, len(book.words["merchant_id"].pool)
    counted = ~book.fraud & (online | near)
    pair = card * n_shops + merchant
    pairs, count = np.unique(pair[counted], return_counts=True)
    kind = np.zeros(len(pairs), bool)
    kind[np.searchsorted(pairs, pair[counted])] = online[counted]
    owner = pairs // n_shops
    order = np.lexsort((-count, kind, owner))
    group = owner[order] * 2 + kind[order]
    start = np.r_[0, np.flatnonzero(np.diff(group)) + 1]
    place = np.arange(len(order)) - np.repeat(start, np.diff(np.r_[start, len(order)]))
    rank = np.zeros(len(pairs), np.int64)
    rank[order] = place + 1
    rank[count < 2] = 0
    at = np.minimum(np.searchsorted(pairs, pair), len(pairs) - 1)
    return np.where((pairs[at] == pair) & (online | near), rank[at], 0).astype(np.int64)


def _last_where(card: I64, mask: Mask, values: I64) -> I64:
    """For each row the value at the card's last earlier row with the mask, -1 where there is none."""
    index = np.where(mask, np.arange(len(card)), -1)
    before = np.r_[-1, np.maximum.accumulate(index)[:-1]]
    known = (before >= 0) & (card[np.maximum(before, 0)] == card)
    return np.where(known, values[np.maximum(before, 0)], -1)


def states(book: Book) -> I64:
    """What each row is, as a code of `training.gan.layout.STATES`."""
    preauth, clearing = book.is_word("type", "preauth"), book.is_word("type", "clearing")
    return np.select(
        [book.back, book.declined, preauth, clearing],
        [KIND["back"], KIND["declined"], KIND["preauth"], KIND["clearing"]],
        KIND["approved"],
    ).astype(np.int64)


def openings(book: Book) -> Book:
    """Rows that a card holder began: clearings, refunds and reversals follow from others."""
    return book.take(~np.isin(states(book), (KIND["clearing"], KIND["back"])))


def seen_before(book: Book, code: I64) -> Mask:
    """Whether the card had this code in an earlier row."""
    pair = book.card * (int(code.max(initial=0)) + 2) + code + 1
    _, first = np.unique(pair, return_index=True)
    seen = np.ones(len(pair), bool)
    seen[first] = False
    return seen


def _devices(book: Book, cards: int) -> I64:
    code = book.words["device_id"].codes
    usual = modes(book.card[~book.fraud], code[~book.fraud], cards, len(book.words["device_id"].pool))[book.card]
    return np.select([(code < 0) | (code == usual), seen_before(book, code)], [0, 1], 2).astype(np.int64)


def _addresses(book: Book, shop: Catalogue, home: I64, cards: int) -> I64:
    """Home addresses are those of the home country that a card used at least three times."""
    code, country = book.words["ip"].codes, book.words["ip_country"].codes
    usual = modes(book.card[~book.fraud], country[~book.fraud], cards, len(book.words["ip_country"].pool))[book.card]
    pair = book.card * (len(book.words["ip"].pool) + 1) + code
    _, inverse, count = np.unique(pair, return_inverse=True, return_counts=True)
    near = (country < 0) | (country == usual)
    own = (code < 0) | (near & (count[inverse] >= 3))
    last = _last_where(book.card, ~own, code) == code
    return np.select([own, last, near], [0, 1, 2], 3).astype(np.int64)


def _share(mask: Mask, base: Mask, card: I64, cards: int, strength: float = 3.0) -> F64:
    """Share of a card's base rows that have the mask, shrunken towards everybody's."""
    common = (mask & base).sum() / max(base.sum(), 1)
    hits = np.bincount(card[mask & base], minlength=cards) + strength * common
    return np.asarray(hits / (np.bincount(card[base], minlength=cards) + strength))


def _habits(
    book: Book, heads: I64, gap: F64, residual: F64, level: F64, rank: I64, online: Mask, honest: Mask, cards: int
) -> F64:
    card, slot = book.card, heads[:, 0]
    count = np.bincount(card[honest], minlength=cards)
    begin, end = np.full(cards, book.time.max()), int(book.time.max())
    np.minimum.at(begin, card, book.time)
    days = np.maximum((end - begin) / DAY_MS, 2.0)
    square = np.bincount(card[honest], residual[honest] ** 2, cards) + 3.0 * np.var(residual[honest])
    physical = honest & ~online
    best, best_online = np.zeros(cards), np.zeros(cards)
    np.maximum.at(best, card[physical], rank[physical])
    np.maximum.at(best_online, card[honest & online], rank[honest & online])
    entry = book.is_word("entry_mode", "contactless")
    parts = [
        _LOG((count + 0.5) / days),
        level,
        _LOG(np.sqrt(square / (count + 3.0))),
        _share(online, honest, card, cards),
        _share(slot == SLOT["new_home"], physical, card, cards),
        _share(slot == SLOT["new_online"], honest & online, card, cards),
        _share(np.isin(slot, (SLOT["stay"], SLOT["away"], SLOT["abroad"])), physical, card, cards),
        _share(gap < _SESSION_MS, honest, card, cards),
        np.log1p(best),
        np.log1p(best_online),
        _share(rank == 1, physical, card, cards),
        _share(rank == 1, honest & online, card, cards),
        _share(book.declined, honest, card, cards, 20.0),
        _share(entry, physical & (entry | book.is_word("entry_mode", "chip")), card, cards),
    ]
    return np.stack(parts, axis=1)
