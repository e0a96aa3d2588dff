"""What a table's merchants, places and usual amounts are: the vocabulary that generated transactions draw from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.gan.book import F64, I64, Book, Mask

CATEGORIES = 24  # merchant categories told apart; rarer ones share the last code
_RADIUS = 0.7  # degrees around a place's centre
CASH = ("6010", "6011")


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Merchants (m of them, by their code in the book), places (p), currencies (c) and categories.

    Parameters
    ----------
    merchant_mcc, merchant_country, merchant_currency
        (m,) the usual code of each, -1 unknown.
    category
        (m,) 0..CATEGORIES-1.
    online
        (m,) sells at a distance.
    place
        (m,) code of the place, -1 for online merchants.
    latitude, longitude
        (m,) of the merchant, NaN unknown.
    offset
        (m,) usual ms from UTC to the merchant's local time.
    popularity
        (m,) genuine transactions.
    terminals
        (t, 2) merchant, terminal code.
    place_country
        (p,) code of the country.
    usual
        (CATEGORIES,) mean log amount of genuine purchases.
    rate, decimals
        (c,) base currency a unit; decimal places written.
    """

    merchant_mcc: I64
    merchant_country: I64
    merchant_currency: I64
    category: I64
    online: Mask
    place: I64
    latitude: F64
    longitude: F64
    offset: I64
    popularity: F64
    terminals: I64
    place_country: I64
    usual: F64
    rate: F64
    decimals: I64
    cash: Mask

    @classmethod
    def of(cls, book: Book) -> Catalogue:
        """Look up what a book's merchants are; the book's own codes stay valid."""
        words, merchant = book.words, book.words["merchant_id"].codes
        m = len(words["merchant_id"].pool)
        usual_code = {
            name: modes(merchant, words[name].codes, m, len(words[name].pool))
            for name in ("mcc", "country", "currency")
        }
        popularity = np.bincount(merchant[~book.fraud], minlength=m).astype(np.float64)
        remote = book.is_word("channel", "ecom", "moto")
        online = np.bincount(merchant, remote, m) > 0.5 * np.maximum(np.bincount(merchant, minlength=m), 1)
        latitude, longitude = (_mean(merchant, book.numbers[name], m) for name in ("latitude", "longitude"))
        place, place_country = _places(latitude, longitude, popularity, online, usual_code["country"])
        mcc = usual_code["mcc"]
        common = np.argsort(-np.bincount(mcc[mcc >= 0], popularity[mcc >= 0] + 1e-9, max(len(words["mcc"].pool), 1)))
        number = np.full(len(common) + 1, CATEGORIES - 1)
        number[common[: CATEGORIES - 1]] = np.arange(len(common[: CATEGORIES - 1]))
        number[-1] = CATEGORIES - 1
        category = number[mcc]
        bought = ~book.fraud & ~book.back & (book.amount > 0)
        logs, kind = np.log(book.amount[bought]), category[merchant[bought]]
        count = np.bincount(kind, minlength=CATEGORIES)
        usual = (np.bincount(kind, logs, CATEGORIES) + 5 * logs.mean()) / (count + 5)
        rate, decimals = _currencies(book)
        cash = np.array([*(text in CASH for text in words["mcc"].pool), False])[mcc]
        pairs = np.unique(np.stack([merchant, words["terminal_id"].codes], 1), axis=0)
        return cls(
            mcc, usual_code["country"], usual_code["currency"], category, online, place, latitude, longitude,
            _offsets(book, merchant, m), popularity, pairs[pairs[:, 1] >= 0], place_country, usual, rate, decimals,
            cash,
        )  # fmt: skip


def modes(group: I64, code: I64, groups: int, codes: int) -> I64:
    """Most frequent code of each group, -1 where it has none."""
    known = code >= 0
    pair, count = np.unique(group[known] * max(codes, 1) + code[known], return_counts=True)
    best = np.full(groups, -1, np.int64)
    order = np.argsort(count, kind="stable")
    best[pair[order] // max(codes, 1)] = pair[order] % max(codes, 1)  # the last assignment, the most frequent, stays
    return best


def _mean(group: I64, values: F64, groups: int) -> F64:
    known = ~np.isnan(values)
    count = np.bincount(group[known], minlength=groups)
    with np.errstate(invalid="ignore"):
        return np.bincount(group[known], values[known], groups) / np.where(count > 0, count, np.nan)


def _offsets(book: Book, merchant: I64, m: int) -> I64:
    values, code = np.unique(book.offset, return_inverse=True)
    return np.asarray(values[modes(merchant, code.astype(np.int64), m, len(values))], np.int64)


def _places(latitude: F64, longitude: F64, popularity: F64, online: Mask, country: I64) -> tuple[I64, I64]:
    """Merchants within a radius of a popular one share its place; those without coordinates, a place of the country."""
    place = np.full(len(latitude), -1, np.int64)
    countries: list[int] = []
    located = ~np.isnan(latitude) & ~online
    for m in np.argsort(-popularity, kind="stable"):
        if located[m] and place[m] < 0:
            near = located & (place < 0)
            near &= np.hypot(latitude - latitude[m], longitude - longitude[m]) < _RADIUS
            place[near] = len(countries)
            countries.append(int(country[m]))
    for m in np.flatnonzero(~located & ~online):
        if country[m] not in countries:
            countries.append(int(country[m]))
        place[m] = countries.index(int(country[m]))
    return place, np.array(countries, np.int64)


def _currencies(book: Book) -> tuple[F64, I64]:
    codes, amount = book.words["currency"].codes, np.abs(book.numbers["amount"])
    number = len(book.words["currency"].pool)
    rate, decimals = np.ones(number), np.full(number, 2, np.int64)
    for code in range(number):
        rows = (codes == code) & (amount > 0)
        if rows.any():
            rate[code] = np.median(book.amount[rows] / amount[rows])
            decimals[code] = 0 if (amount[rows] == np.round(amount[rows])).all() else 2
    return rate, decimals


def draw(weights: npt.NDArray[np.float64], n: int, rng: np.random.Generator) -> I64:
    """Draw n positions by weight."""
    sums = np.cumsum(weights)
    return np.minimum(np.searchsorted(sums, rng.random(n) * sums[-1], side="right"), len(weights) - 1)
