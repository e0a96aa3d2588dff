"""What a decoder takes from a table: words, mixed habits, joint details of payments, sizes of pools; no card's own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.gan.book import DAY_MS, F64, I64, Book
from training.gan.catalogue import CATEGORIES, Catalogue
from training.gan.coding import Coder, new_habits
from training.gan.layout import KIND, NEW_SLOTS, STEPS
from training.gan.relations import Relations, states

DETAILS = ("type", "response_code", "channel", "entry_mode", "three_ds", "cvv_result", "avs_result")
PRESENT = (
    "customer_id", "terminal_id", "mcc", "bin", "country", "device_id", "ip", "ip_country", "latitude",
    "card_opened_at", "account_opened_at",
)  # fmt: skip
KEPT = ("merchant_id", "terminal_id", "mcc", "country", "currency", "bin", "ip_country", *DETAILS)
LEAST_ROWS = STEPS + 4
PROFILES = 4000


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What generated transactions are made of.

    Parameters
    ----------
    words
        Texts by field name, as codes of `shop` and `details` count them.
    habits, hours, ages
        (q, .) profiles of new cards, mixed of two real ones: standardised habits; cumulative hours; days from the
        opening of card and account to the start, negative when opened later.
    homes
        (p,) cards by home place.
    visits
        (p,) visits by place of people who do not live there.
    home_offset
        (p,) ms from UTC.
    masks
        (w, STEPS) which steps are fraud, of windows that hold one.
    details, detail_key, detail_count
        (t, len(DETAILS) + 1) distinct codes, the last one bits of `PRESENT`; their situation; how often.
    preauthorised
        (CATEGORIES,) share of purchases that begin as a preauthorisation.
    follow_share, follow_up
        (2,) share of preauthorisations that are cleared, of approved payments that come back; (2, 2, 33) for either the
        quantiles of the log delay (ms) and of the amount over the first one.
    rounded
        (CATEGORIES, 2) share of amounts that are multiples of ten in base, in local currency.
    cards_of_customer
        (k,) customers with 1, 2, ... cards.
    bins
        Cards by code of the bin.
    foreign_ips
        Weights of countries among addresses abroad.
    devices, addresses
        Estimated numbers of shared devices and of shared addresses.
    start, end
        ms since the epoch.
    """

    words: dict[str, list[str]]
    shop: Catalogue
    coder: Coder
    habits: F64
    hours: F64
    ages: F64
    homes: F64
    visits: F64
    home_offset: I64
    masks: npt.NDArray[np.float32]
    details: I64
    detail_key: I64
    detail_count: F64
    preauthorised: F64
    follow_share: F64
    follow_up: F64
    rounded: F64
    cards_of_customer: F64
    bins: F64
    foreign_ips: F64
    devices: int
    addresses: int
    start: int
    end: int

    @classmethod
    def of(cls, whole: Book, book: Book, shop: Catalogue, relations: Relations, coder: Coder, seed: int) -> Vocabulary:
        """Take the vocabulary from a whole book and from its openings, which the relations are of."""
        rng = np.random.default_rng(seed)
        merchant, honest = book.words["merchant_id"].codes, ~book.fraud
        places = len(shop.place_country)
        kept = np.flatnonzero(relations.rows >= LEAST_ROWS)
        mixed, one, other, share = new_habits(coder.standard(relations.habits[kept]).astype(np.float64), PROFILES, rng)
        one, other = kept[one], kept[other]
        hours = _mixed_hours(relations.hours, one, other, share, rng)
        home = relations.home[kept]
        away = honest & ~shop.online[merchant] & (shop.place[merchant] != relations.home[book.card])
        offset = np.zeros(places, np.int64)
        offset[home[home >= 0]] = relations.home_offset[kept][home >= 0]
        details, key, count = _details(whole, book, shop, relations)
        kind = states(book)
        follow_share, follow_up = _follow_ups(whole)
        return cls(
            words={name: book.words[name].pool for name in KEPT},
            shop=shop,
            coder=coder,
            habits=mixed,
            hours=hours,
            ages=_ages(book, one, rng),
            homes=np.bincount(home[home >= 0], minlength=places).astype(np.float64),
            visits=np.bincount(shop.place[merchant[away]], minlength=places).astype(np.float64),
            home_offset=offset,
            masks=_masks(book),
            details=details,
            detail_key=key,
            detail_count=count,
            preauthorised=_share(kind == KIND["preauth"], shop.category[merchant]),
            follow_share=follow_share,
            follow_up=follow_up,
            rounded=_rounded(book, shop, kind),
            cards_of_customer=_cards_of_customer(book),
            bins=_by_card(book, "bin"),
            foreign_ips=_foreign(book, relations),
            devices=_richness(book, "device_id", relations.heads[:, 3] > 0),
            addresses=_richness(book, "ip", relations.heads[:, 4] > 1),
            start=int(book.time.min()) // DAY_MS * DAY_MS,
            end=int(book.time.max()) + 1,
        )


def _mixed_hours(hours: F64, one: I64, other: I64, share: F64, rng: np.random.Generator) -> F64:
    """Hours of the one card with a little of the other's, moved by up to half an hour: a plain mean has no habits."""
    density = np.diff(hours, axis=1)
    weight = 0.3 * share[:, None]
    mixed = density[one] * (1 - weight) + density[other] * weight
    shift = rng.integers(-2, 3, len(one))
    mixed = mixed[np.arange(len(one))[:, None], (np.arange(mixed.shape[1]) - shift[:, None]) % mixed.shape[1]]
    return np.concatenate([np.zeros((len(one), 1)), np.cumsum(mixed, axis=1)], axis=1)


def situation(fraud: I64, online: I64, cash: I64, kind: I64, new: I64) -> I64:
    """One number for where the joint details of a payment are looked up."""
    return ((fraud * 2 + new) * 2 + online) * 2 + cash + 16 * kind


def _details(whole: Book, book: Book, shop: Catalogue, relations: Relations) -> tuple[I64, I64, F64]:
    follow = whole.take(np.isin(states(whole), (KIND["clearing"], KIND["back"])))
    new = np.isin(relations.heads[:, 0], NEW_SLOTS).astype(np.int64)
    parts = [_detail_rows(part, shop, flag) for part, flag in ((book, new), (follow, np.zeros(len(follow), np.int64)))]
    found, count = np.unique(np.concatenate(parts), axis=0, return_counts=True)
    order = np.argsort(found[:, -1], kind="stable")
    return found[order, :-1], found[order, -1], count[order].astype(np.float64)


def _detail_rows(book: Book, shop: Catalogue, new: I64) -> I64:
    merchant = book.words["merchant_id"].codes
    bits = np.zeros(len(book), np.int64)
    for b, name in enumerate(PRESENT):
        there = ~np.isnan(book.numbers[name]) if name in book.numbers else book.words[name].codes >= 0
        bits |= there.astype(np.int64) << b
    online, cash = shop.online[merchant].astype(np.int64), shop.cash[merchant].astype(np.int64)
    key = situation(book.fraud.astype(np.int64), online, cash, states(book), new)
    return np.stack([*(book.words[name].codes for name in DETAILS), bits, key], axis=1)


def _follow_ups(book: Book) -> tuple[F64, F64]:
    """How many holds are cleared and payments undone, how long after and for how much, at the same merchant."""
    kind, merchant = states(book), book.words["merchant_id"].codes
    shares, quantiles = np.zeros(2), np.zeros((2, 2, 33))
    for f, (first, second) in enumerate((("preauth", "clearing"), ("approved", "back"))):
        open_: dict[tuple[int, int], int] = {}
        delays: list[float] = []
        ratios: list[float] = []
        for row in np.flatnonzero(np.isin(kind, (KIND[first], KIND[second])) & ~book.fraud).tolist():
            key = (int(book.card[row]), int(merchant[row]))
            if kind[row] == KIND[first]:
                open_[key] = row
            elif key in open_:
                before = open_.pop(key)
                delays.append(float(np.log(max(book.time[row] - book.time[before], 1))))
                ratios.append(float(book.amount[row] / max(book.amount[before], 0.01)))
        number = int(((kind == KIND[first]) & ~book.fraud).sum())
        shares[f] = (kind == KIND[second]).sum() / max(number, 1) if delays else 0.0
        if delays:
            quantiles[f] = np.quantile([delays, ratios], np.linspace(0, 1, 33), axis=1).T
    return np.minimum(shares, 1.0), quantiles


def _ages(book: Book, cards: I64, rng: np.random.Generator) -> F64:
    begin = book.time.min()
    columns = []
    for name in ("card_opened_at", "account_opened_at"):
        of_card = np.full(int(book.card.max()) + 1, np.nan)
        known = ~np.isnan(book.numbers[name])
        of_card[book.card[known]] = (begin - book.numbers[name][known]) / DAY_MS
        age = of_card[cards]
        near = np.exp(rng.normal(0, 0.05, len(age)))
        columns.append(np.where(age > 3, age * near, age + rng.uniform(-2, 2, len(age))))
    return np.stack(columns, axis=1)


def _masks(book: Book) -> npt.NDArray[np.float32]:
    fraud = book.fraud
    begin = np.arange(len(book) - STEPS + 1)
    whole = begin[book.card[begin] == book.card[begin + STEPS - 1]]
    masks = fraud[whole[:, None] + np.arange(STEPS)]
    # a window of a chain begins anywhere: every offset of an episode counts once
    return masks[masks.any(1)].astype(np.float32)


def _share(mask: npt.NDArray[np.bool_], category: I64) -> F64:
    return np.asarray(
        np.bincount(category[mask], minlength=CATEGORIES) / np.maximum(np.bincount(category, minlength=CATEGORIES), 1)
    )


def _rounded(book: Book, shop: Catalogue, kind: I64) -> F64:
    bought = np.isin(kind, (KIND["approved"], KIND["declined"])) & (book.amount > 0)
    category = shop.category[book.words["merchant_id"].codes]
    near = np.abs(book.amount / 10 - np.round(book.amount / 10)) < 1e-3
    local = np.abs(book.numbers["amount"] / 10 - np.round(book.numbers["amount"] / 10)) < 1e-6
    found = []
    for mask in (near, local & ~near):
        share = np.bincount(category[bought & mask], minlength=CATEGORIES)
        found.append(share / np.maximum(np.bincount(category[bought], minlength=CATEGORIES), 1))
    out = np.stack(found, axis=1)
    return np.where(out > 0.3, out, 0.0)  # what is rounded by chance is made by chance


def _cards_of_customer(book: Book) -> F64:
    known = book.words["customer_id"].codes >= 0
    pairs = np.unique(np.stack([book.words["customer_id"].codes[known], book.card[known]], 1), axis=0)
    if not len(pairs):
        return np.array([1.0])
    _, count = np.unique(pairs[:, 0], return_counts=True)
    return np.bincount(count)[1:].astype(np.float64)


def _by_card(book: Book, name: str) -> F64:
    column = book.words[name]
    pairs = np.unique(np.stack([book.card, column.codes], 1)[column.codes >= 0], axis=0)
    return np.bincount(pairs[:, 1], minlength=max(len(column.pool), 1)).astype(np.float64)


def _foreign(book: Book, relations: Relations) -> F64:
    codes = book.words["ip_country"].codes
    abroad = (relations.heads[:, 4] == 3) & (codes >= 0)
    return np.asarray(
        np.bincount(codes[abroad], minlength=max(len(book.words["ip_country"].pool), 1)) + 1e-3, np.float64
    )


def _richness(book: Book, name: str, strange: npt.NDArray[np.bool_]) -> int:
    """Estimate how many things strangers share from how often cards met on one (Chao 1984)."""
    codes = np.where(strange, book.words[name].codes, -1)
    pairs = np.unique(np.stack([codes, book.card], 1)[codes >= 0], axis=0)
    if not len(pairs):
        return 1
    _, cards = np.unique(pairs[:, 0], return_counts=True)
    once, twice = int((cards == 1).sum()), int((cards == 2).sum())
    return int(len(cards) + once * (once - 1) / (2 * (twice + 1)))
