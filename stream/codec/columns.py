"""Transactions as columns: the one door to the features, live and in training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields as dataclass_fields
from typing import Any

import msgspec
import numpy as np

from stream.codec import words
from stream.codec.hashing import hash_column
from stream.codec.money import Rates, shipped_rates
from stream.codec.places import local_time
from stream.codec.times import INVALID, time_column
from stream.errors import DecodeError
from stream.events import F32, F64, I64, TYPES, U8, Columns, Flag, Transaction

FIELDS: tuple[str, ...] = Transaction.__struct_fields__
AMOUNT_MAX = 1e12
SKEW_MS = 300_000
DAY_MS = 86_400_000
_BACK = (TYPES.index("refund"), TYPES.index("reversal"))

Fields = Mapping[str, Sequence[Any]]
Problems = dict[int, str]


def fields_of(rows: Sequence[Transaction]) -> Fields:
    """Turn rows into one sequence per field."""
    if not rows:
        return dict.fromkeys(FIELDS, ())
    return dict(zip(FIELDS, zip(*map(msgspec.structs.astuple, rows), strict=True), strict=True))


def _codes(memo: words.Memo, values: Sequence[Any], dtype: type) -> Any:
    return np.fromiter(map(memo.__getitem__, values), dtype, len(values))


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


def _numbers(values: Sequence[Any]) -> F64:
    """Floats with NaN for None; numeric texts are read, other texts are NaN."""
    if any(type(value) is str for value in values):
        return np.array([parse_number(value) for value in values], np.float64)
    return np.array(values, np.float64)


def _degrees(values: Sequence[Any], limit: float) -> F32:
    degrees = np.array(values, np.float64)
    degrees[~(np.abs(degrees) <= limit)] = np.nan
    return degrees.astype(np.float32)


def _age_days(event_time: I64, opened: Sequence[Any]) -> F32:
    since, _ = time_column(opened)
    known = since != INVALID
    days = np.full(len(since), np.nan, np.float64)
    days[known] = (event_time[known] - since[known]) / DAY_MS
    days[days < -1] = np.nan  # opened after it was used: not a fact to score by; a day is left to time zones
    return np.maximum(days, 0).astype(np.float32)


def _amounts(given: Fields, kind: U8, rates: Rates, problems: Problems) -> I64:
    """Base currency, hundredths, >= 0; `problems` gets the rows that have no usable amount."""
    amount, base = _numbers(given["amount"]), np.array(given["amount_base"], np.float64)
    back = (kind == _BACK[0]) | (kind == _BACK[1])
    amount = np.where(back, np.abs(amount), amount)
    base = np.where(back, np.abs(base), base)
    usable = (amount >= 0) & (amount <= AMOUNT_MAX)
    rate = rates.column(given["currency"])
    known_base = (base >= 0) & (base <= 1000 * AMOUNT_MAX)
    value = np.where(known_base, base, amount * rate)
    priced = value <= 1000 * AMOUNT_MAX
    for i in np.flatnonzero(~usable).tolist():
        problems[i] = _amount_problem(amount[i])
    for i in np.flatnonzero(usable & ~priced).tolist():
        problems[i] = f"currency {given['currency'][i]!r:.20} is unknown and amount_base is missing"
    return np.rint(np.where(usable & priced, value, 0.0) * 100).astype(np.int64)


def _amount_problem(amount: float) -> str:
    if np.isnan(amount):
        return "amount is not a number"
    if amount < 0 and amount >= -AMOUNT_MAX:
        return "amount is negative and the type is neither refund nor reversal"
    return f"amount is not between 0 and {AMOUNT_MAX:g}"


def _event_times(given: Fields, append_time: I64 | None, skew_ms: int, problems: Problems) -> tuple[I64, Any, U8]:
    """Event times clamped to the append time, the written offsets and the CLOCK_SKEW flags."""
    event_time, written = time_column(given["event_time"])
    flags = np.zeros(len(event_time), np.uint8)
    for i in np.flatnonzero(event_time == INVALID).tolist():
        problems[i] = "event_time is neither ISO 8601 nor an epoch number"
        event_time[i] = 0
    if append_time is not None:
        ahead = (append_time > 0) & (event_time > append_time + skew_ms)
        event_time = np.where(ahead, append_time, event_time)
        flags[ahead] = Flag.CLOCK_SKEW
    return event_time, written, flags


def columns_from(
    given: Fields, append_time: I64 | None = None, *, rates: Rates | None = None, skew_ms: int = SKEW_MS
) -> tuple[Columns, Problems]:
    """Build the columns and say which rows are no transaction; a bad row leaves arbitrary values in its place.

    Parameters
    ----------
    given
        One sequence of length n per name of `FIELDS`.
    append_time
        The log's append time of each record, ms (n,); 0 or less is unknown. None: event times are taken as they are.
    rates
        Currency table; the shipped one when None.
    skew_ms
        Tolerated lead of the event time over the append time.
    """
    problems: Problems = {}
    kind: U8 = _codes(words.TYPE, given["type"], np.uint8)
    event_time, written, flags = _event_times(given, append_time, skew_ms, problems)
    amount_minor = _amounts(given, kind, rates or shipped_rates(), problems)
    keys = {name: hash_column(given[name]) for name in ("transaction_id", "merchant_id", "terminal_id", "device_id")}
    for name in ("merchant_id", "transaction_id"):
        for i in np.flatnonzero(keys[name] == 0).tolist():
            problems[i] = f"{name} is empty"
    country, longitude = _codes(words.COUNTRY, given["country"], np.int32), _degrees(given["longitude"], 180.0)
    flags |= _codes(words.DECLINED, given["response_code"], np.uint8) * np.uint8(Flag.DECLINED)
    flags |= ((kind == _BACK[0]) | (kind == _BACK[1])).astype(np.uint8) * np.uint8(Flag.REVERSAL)
    return Columns(
        event_time=event_time,
        local_time=local_time(event_time, written, country, longitude),
        slot=np.full(len(event_time), -1, np.int64),
        transaction_key=keys["transaction_id"],
        merchant_key=keys["merchant_id"],
        terminal_key=keys["terminal_id"],
        device_key=keys["device_id"],
        amount_minor=amount_minor,
        mcc=_codes(words.MCC, given["mcc"], np.int32),
        country=country,
        ip_country=_codes(words.COUNTRY, given["ip_country"], np.int32),
        type=kind,
        channel=_codes(words.CHANNEL, given["channel"], np.uint8),
        entry_mode=_codes(words.ENTRY_MODE, given["entry_mode"], np.uint8),
        three_ds=_codes(words.THREE_DS_RESULT, given["three_ds"], np.uint8),
        cvv_result=_codes(words.CVV_RESULT, given["cvv_result"], np.uint8),
        avs_result=_codes(words.AVS_RESULT, given["avs_result"], np.uint8),
        latitude=_degrees(given["latitude"], 90.0),
        longitude=longitude,
        card_age_days=_age_days(event_time, given["card_opened_at"]),
        account_age_days=_age_days(event_time, given["account_opened_at"]),
        flags=flags,
    ), problems


def columns_of(
    rows: Sequence[Transaction],
    append_time: I64 | None = None,
    *,
    rates: Rates | None = None,
    skew_ms: int = SKEW_MS,
) -> Columns:
    """Columns of rows that are all known to be good, in their order.

    Raises
    ------
    DecodeError
        A row is no transaction; the text names its position and what is wrong.
    """
    columns, problems = columns_from(fields_of(rows), append_time, rates=rates, skew_ms=skew_ms)
    if problems:
        first = min(problems)
        raise DecodeError("validate", f"row {first}: {problems[first]}")
    return columns


def take(columns: Columns, index: Any) -> Columns:
    """The rows at `index` (positions, a mask or a slice)."""
    return Columns(**{field.name: getattr(columns, field.name)[index] for field in dataclass_fields(columns)})


def concat(parts: Sequence[Columns]) -> Columns:
    """One batch out of several, in their order (at least one)."""
    names = [field.name for field in dataclass_fields(Columns)]
    return Columns(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})
