"""From what happened to what the bank's feed says: identifiers, currencies, absent and mislabelled fields, clocks."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from training.data.simulator.bank import Bank
from training.data.simulator.calendar import DAY_MS
from training.data.simulator.population import Population
from training.data.simulator.reference import (
    AVS_RESULTS,
    CATEGORIES,
    CHANNELS,
    COUNTRIES,
    CVV_RESULTS,
    ENTRY_MODES,
    RESPONSE_CODES,
    THREE_DS,
    TYPES,
)
from training.data.simulator.rows import DEFAULT, Array, Rows

ABSENT = -1


class Coded(NamedTuple):
    """A column of strings: `pool[code]` for each row, `ABSENT` where the feed says nothing."""

    codes: Array
    pool: list[str]


@dataclass(frozen=True)
class Feed:
    """The feed in order of event time: coded columns, numbers (NaN where absent), times in ms since the epoch."""

    event_time: Array
    offset_minutes: Array
    coded: dict[str, Coded]
    numbers: dict[str, Array]


def render(bank: Bank, people: Population, rows: Rows, start_ms: int, rng: np.random.Generator) -> Feed:
    """Say `rows` (sorted by time) as the bank would.

    Parameters
    ----------
    bank : Bank
        Whose parameters are used.
    people : Population
        Whom the indices of the rows name.
    rows : Rows
        Finished rows, times in ms since the start of the history.
    start_ms : int
        Start of the history, ms since the epoch.
    rng : numpy.random.Generator
        Source of chance.
    """
    merchants, merchant = people.merchants, rows["merchant"]
    country = merchants.country[merchant].astype(np.int32)
    online = merchants.online[merchant]
    numbers = _amounts(rows, country, rng)
    for name, place in (("latitude", merchants.latitude), ("longitude", merchants.longitude)):
        numbers[name] = np.where(online, np.nan, np.round(place[merchant], 4))
    coded = _parties(bank, people, rows, start_ms) | _codes(rows)
    coded["country"] = Coded(
        np.where(_some(len(merchants.online), bank.feed.lower_case, rng)[merchant], country + len(COUNTRIES), country),
        [c.code for c in COUNTRIES] + [c.code.lower() for c in COUNTRIES],
    )
    coded["currency"] = Coded(country, [c.currency for c in COUNTRIES])
    wrong = _some(len(merchants.online), bank.feed.wrong_mcc, rng)
    label = np.where(wrong, rng.integers(0, len(CATEGORIES), len(wrong)), merchants.category)
    coded["mcc"] = Coded(label[merchant].astype(np.int32), [category.mcc for category in CATEGORIES])
    _forget(bank, coded, numbers, rng)
    local = _some(len(merchants.online), bank.feed.local_offset, rng)[merchant]
    minutes = np.array([c.offset for c in COUNTRIES], dtype=np.int32)[country]
    return Feed(rows["time"] + start_ms, np.where(local, minutes, 0), coded, numbers)


def set_clocks(bank: Bank, people: Population, rows: Rows, end: int, rng: np.random.Generator) -> None:
    """Shift the rows of merchants whose clock is wrong; in place, times stay inside the history."""
    number = len(people.merchants.online)
    skew = rng.normal(0, bank.feed.clock_spread_s * 1000, number) * _some(number, bank.feed.skewed_clocks, rng)
    rows["time"] = np.clip(rows["time"] + skew[rows["merchant"]].astype(np.int64), 0, end - 1)


def _some(number: int, share: float, rng: np.random.Generator) -> Array:
    return rng.random(number) < share


def _amounts(rows: Rows, country: Array, rng: np.random.Generator) -> dict[str, Array]:
    rate = np.array([c.per_euro for c in COUNTRIES])[country]
    cents = 10.0 ** np.array([c.decimals for c in COUNTRIES])[country]
    local = np.maximum(np.round(rows["amount_base"] * rate * cents), 1.0) / cents
    return {"amount": local, "amount_base": np.round(local / rate, 2)}


def _parties(bank: Bank, people: Population, rows: Rows, start_ms: int) -> dict[str, Coded]:
    cards, card = people.cards, rows["card"]
    bins = sorted({pan[:6] for pan in cards.pan})
    bin_of = np.searchsorted(bins, [pan[:6] for pan in cards.pan]).astype(np.int32)
    merchants = [f"M{bank.seed % 1000:03d}{index:07d}" for index in range(len(people.merchants.online))]
    terminals = [f"T{index:08d}" for index in range(int(people.merchants.terminals.sum()))]
    return {
        "card_id": Coded(card, cards.pan),
        "customer_id": Coded(cards.customer[card].astype(np.int32), customer_names(people)),
        "merchant_id": Coded(rows["merchant"], merchants),
        "terminal_id": Coded(rows["terminal"], terminals),
        "bin": Coded(bin_of[card], bins),
        "device_id": compact(rows["device"], f"d{bank.seed:x}-"),
        "ip": addresses(rows["ip"]),
        "ip_country": Coded(
            np.where(rows["ip"] == DEFAULT, ABSENT, people.ip_country(rows["ip"])).astype(np.int32),
            [c.code for c in COUNTRIES],
        ),
        "card_opened_at": Coded(card, _dates(cards.opened, start_ms)),
        "account_opened_at": Coded(card, _dates(cards.account_opened, start_ms)),
    }


def customer_names(people: Population) -> list[str]:
    """Ids of the customers, in order."""
    return [f"C{index:08d}" for index in range(int(people.cards.customer[-1]) + 1)]


def _codes(rows: Rows) -> dict[str, Coded]:
    return {
        "type": Coded(rows["type"], list(TYPES)),
        "response_code": Coded(rows["response"], list(RESPONSE_CODES)),
        "channel": Coded(rows["channel"], list(CHANNELS)),
        "entry_mode": Coded(rows["entry"], list(ENTRY_MODES)),
        "three_ds": Coded(rows["three_ds"], list(THREE_DS)),
        "cvv_result": Coded(rows["cvv"], list(CVV_RESULTS)),
        "avs_result": Coded(rows["avs"], list(AVS_RESULTS)),
    }


def compact(index: Array, prefix: str) -> Coded:
    """Devices by their index: made-up ids that show no order."""
    values, codes = np.unique(index, return_inverse=True)
    scrambled = (values.astype(np.int64) * 2_654_435_761) % 2**40
    pool = [f"{prefix}{number:010x}" for number in scrambled.tolist()]
    return Coded(np.where(index == DEFAULT, ABSENT, codes).astype(np.int32), pool)


def addresses(index: Array) -> Coded:
    """Addresses by their index: numbers of a range that belongs to nobody."""
    values, codes = np.unique(index, return_inverse=True)
    # 198.18.0.0/15 is reserved for tests (RFC 2544); 240.0.0.0/4 was never given to anybody.
    numbers = (0xF0000000 + (values.astype(np.int64) * 48_271) % 2**27).tolist()
    pool = [f"{n >> 24}.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" for n in numbers]
    return Coded(np.where(index == DEFAULT, ABSENT, codes).astype(np.int32), pool)


def _dates(day: Array, start_ms: int) -> list[str]:
    moments = (start_ms + np.floor(day) * DAY_MS).astype("datetime64[ms]")
    return [f"{date}T00:00:00Z" for date in np.datetime_as_string(moments, unit="D").tolist()]


def _forget(bank: Bank, coded: dict[str, Coded], numbers: dict[str, Array], rng: np.random.Generator) -> None:
    for name, rate in bank.feed.missing.items():
        gone = _some(len(numbers["amount"]), rate, rng)
        if name in coded:
            codes, pool = coded[name]
            coded[name] = Coded(np.where(gone, ABSENT, codes).astype(codes.dtype), pool)
        else:
            for number in ("latitude", "longitude") if name == "latitude" else (name,):
                numbers[number] = np.where(gone, np.nan, numbers[number])
