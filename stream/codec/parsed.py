"""What messages say, field by field as numbers, before any rule is applied; either way of decoding ends here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.codec import words
from stream.codec.hashing import hash_column
from stream.codec.money import Rates
from stream.codec.times import INVALID, NO_OFFSET, time_column
from stream.codec.words import Memo
from stream.events import F64, I32, I64, U64

# The rows of the arrays in `Parsed`; "rate" stands for the currency.
NUMBERS = ("amount", "amount_base", "latitude", "longitude", "rate")
TIMES = ("event_time", "card_opened_at", "account_opened_at")
KEYS = ("transaction_id", "merchant_id", "terminal_id", "device_id", "customer_id", "ip")
WORDS: Mapping[str, Memo] = {
    "type": words.TYPE,
    "response_code": words.DECLINED,
    "channel": words.CHANNEL,
    "entry_mode": words.ENTRY_MODE,
    "three_ds": words.THREE_DS_RESULT,
    "cvv_result": words.CVV_RESULT,
    "avs_result": words.AVS_RESULT,
    "mcc": words.MCC,
    "country": words.COUNTRY,
    "ip_country": words.COUNTRY,
}
ABSENT = np.array([memo[None] for memo in WORDS.values()], np.int32)  # codes of what is not there

Fields = Mapping[str, Sequence[Any]]


@dataclass(slots=True)
class Parsed:
    """n messages.

    Parameters
    ----------
    numbers
        float64 (5, n) in the order of `NUMBERS`, NaN where missing or no number.
    times
        int64 (3, n) in the order of `TIMES`, ms UTC or `INVALID`.
    written
        Offset written in the event time, minutes, or `NO_OFFSET`: int32 (n,).
    keys
        uint64 (6, n) in the order of `KEYS`, 0 where missing.
    codes
        int32 (10, n) in the order of `WORDS`.
    """

    numbers: F64
    times: I64
    written: I32
    keys: U64
    codes: I32

    @classmethod
    def blank(cls, n: int) -> Parsed:
        """n messages without any field."""
        codes = np.empty((len(WORDS), n), np.int32)
        codes[:] = ABSENT[:, None]
        return cls(
            numbers=np.full((len(NUMBERS), n), np.nan),
            times=np.full((len(TIMES), n), INVALID, np.int64),
            written=np.full(n, NO_OFFSET, np.int32),
            keys=np.zeros((len(KEYS), n), np.uint64),
            codes=codes,
        )

    def put(self, index: Any, other: Parsed) -> None:
        """Set the messages at positions `index` to those of `other`."""
        for name in self.__slots__:
            getattr(self, name)[..., index] = getattr(other, name)

    def lacks(self, role: str) -> npt.NDArray[np.bool_]:
        """Which messages lack a field, or hold one of no use; for the names of the arrays' rows."""
        if role in KEYS:
            return self.keys[KEYS.index(role)] == 0
        if role in TIMES:
            return self.times[TIMES.index(role)] == INVALID
        if role in NUMBERS:
            return np.isnan(self.numbers[NUMBERS.index(role)])
        row = tuple(WORDS).index(role)
        return self.codes[row] == ABSENT[row]

    def take(self, index: I64) -> Parsed:
        """The messages at positions `index`."""
        return Parsed(*(np.take(getattr(self, name), index, axis=-1) for name in self.__slots__))


def parse(given: Fields, rates: Rates, words: Mapping[str, Memo] = WORDS) -> Parsed:
    """Read decoded values, one sequence of length n per field name.

    Parameters
    ----------
    given
        Values as `Transaction` types them; None where missing.
    rates
        Currency table.
    words
        What codes the words of each of `WORDS`.
    """
    event_time, written = time_column(given["event_time"])
    plain = (np.array(given[name], np.float64) for name in NUMBERS[1:4])
    opened = (time_column(given[name])[0] for name in TIMES[1:])
    n = len(event_time)
    return Parsed(
        numbers=np.stack([_amounts(given["amount"]), *plain, rates.column(given["currency"])]),
        times=np.stack([event_time, *opened]),
        written=written,
        keys=np.stack([hash_column(given[name]) for name in KEYS]),
        codes=np.stack([np.fromiter(map(memo.__getitem__, given[name]), np.int32, n) for name, memo in words.items()]),
    )


def parse_number(value: object) -> float:
    """A number from a number or a plain decimal text; NaN for anything else (also ``1_000``, ``1,5`` and booleans)."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return np.nan
    if isinstance(value, str) and ("_" in value or len(value) > 64):
        return np.nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return np.nan


def _amounts(values: Sequence[Any]) -> F64:
    """Floats with NaN for None; numeric texts are read, other texts are NaN."""
    if any(type(value) is str for value in values):
        return np.array([parse_number(value) for value in values], np.float64)
    return np.array(values, np.float64)
