"""Transactions as columns: the one door to the features, live and in training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields as dataclass_fields
from typing import Any

import msgspec
import numpy as np

from stream.codec.money import Rates, shipped_rates
from stream.codec.parsed import KEYS, WORDS, Fields, Parsed, parse
from stream.codec.places import local_time
from stream.codec.roles import CARD_ROLES, Roles
from stream.codec.times import INVALID
from stream.codec.tokens import Tokens
from stream.errors import DecodeError
from stream.events import F32, F64, I64, TYPES, U8, Columns, Flag, Transaction

FIELDS: tuple[str, ...] = Transaction.__struct_fields__
AMOUNT_MAX = 1e12
SKEW_MS = 300_000
DAY_MS = 86_400_000
UNKEYED = Tokens(b"cards of a history stay in their process")  # no secret: such keys leave no file of state
_BACK = (TYPES.index("refund"), TYPES.index("reversal"))
_SMALL = ("type", "channel", "entry_mode", "three_ds", "cvv_result", "avs_result")

Problems = dict[int, str]


def fields_of(rows: Sequence[Transaction]) -> Fields:
    """Turn rows into one sequence per field."""
    if not rows:
        return dict.fromkeys(FIELDS, ())
    return dict(zip(FIELDS, zip(*map(msgspec.structs.astuple, rows), strict=True), strict=True))


def _degrees(degrees: F64, limit: float) -> F32:
    return np.where(np.abs(degrees) <= limit, degrees, np.nan).astype(np.float32)


def _age_days(event_time: I64, since: I64) -> F32:
    known = since != INVALID
    days = np.full(len(since), np.nan, np.float64)
    days[known] = (event_time[known] - since[known]) / DAY_MS
    days[days < -1] = np.nan  # opened after it was used: not a fact to score by; a day is left to time zones
    return np.maximum(days, 0).astype(np.float32)


def _amounts(parsed: Parsed, back: Any, currency: Callable[[int], str], problems: Problems, roles: Roles) -> I64:
    """Base currency, hundredths, >= 0; `problems` gets the rows that have no usable amount."""
    amount, base, rate = parsed.numbers[0], parsed.numbers[1], parsed.numbers[4]
    amount, base = np.where(back, np.abs(amount), amount), np.where(back, np.abs(base), base)
    usable = (amount >= 0) & (amount <= AMOUNT_MAX)
    known_base = (base >= 0) & (base <= AMOUNT_MAX)  # no more: it is told as it is, and might be a card number
    value = np.where(known_base, base, amount * rate)
    priced = value <= 1000 * AMOUNT_MAX
    good = usable & priced
    if not good.all():
        for i in np.flatnonzero(~usable).tolist():
            problems[i] = _amount_problem(amount[i], roles)
        for i in np.flatnonzero(usable & ~priced).tolist():
            base_too = f" and {roles.name('amount_base')} is missing" if "amount_base" in roles.names else ""
            problems[i] = f"{roles.name('currency')} {currency(i)!r:.20} is unknown{base_too}"
        value = np.where(good, value, 0.0)
    return np.rint(value * 100).astype(np.int64)


def _amount_problem(amount: float, roles: Roles) -> str:
    name = roles.name("amount")
    if np.isnan(amount):
        return f"{name} is not a number"
    if amount < 0 and amount >= -AMOUNT_MAX:
        return f"{name} is negative and the {roles.name('type')} is neither refund nor reversal"
    return f"{name} is not between 0 and {AMOUNT_MAX:g}"


def _event_times(
    parsed: Parsed, append_time: I64 | None, skew_ms: int, problems: Problems, name: str
) -> tuple[I64, U8]:
    """Event times clamped to the append time, and the CLOCK_SKEW flags."""
    event_time = parsed.times[0]
    flags = np.zeros(len(event_time), np.uint8)
    for i in np.flatnonzero(event_time == INVALID).tolist():
        problems[i] = f"{name} is neither ISO 8601 nor an epoch number"
        event_time[i] = 0
    if append_time is not None:
        ahead = (append_time > 0) & (event_time > append_time + skew_ms)
        event_time = np.where(ahead, append_time, event_time)
        flags[ahead] = Flag.CLOCK_SKEW
    return event_time, flags


def columns_from(
    given: Fields,
    append_time: I64 | None = None,
    *,
    rates: Rates | None = None,
    skew_ms: int = SKEW_MS,
    tokens: Tokens = UNKEYED,
    roles: Roles = CARD_ROLES,
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
    tokens
        Those of the worker whose ``card_key`` is wanted; without them the keys mean nothing beyond this release.
    roles
        Names of the fields, for the texts of problems, and which of them must be there.
    """
    columns, problems = columns_from_parsed(
        parse(given, rates or shipped_rates(), roles.memos),
        append_time,
        given["currency"].__getitem__,
        skew_ms=skew_ms,
        roles=roles,
    )
    columns.card_key = tokens.keys_of([tokens[card] for card in given["card_id"]])
    return columns, problems


def columns_from_parsed(
    parsed: Parsed,
    append_time: I64 | None,
    currency: Callable[[int], str],
    *,
    skew_ms: int = SKEW_MS,
    roles: Roles = CARD_ROLES,
) -> tuple[Columns, Problems]:
    """Apply the rules to what was read; as `columns_from`, but ``card_key`` is left 0 for the caller to fill.

    Parameters
    ----------
    parsed
        Its arrays are taken over and may change.
    append_time, skew_ms, roles
        See `columns_from`.
    currency
        Tells the written currency of row i, for the text of a problem.
    """
    problems: Problems = {}
    for role in roles.required:
        for i in np.flatnonzero(parsed.lacks(role)).tolist():
            problems[i] = f"{roles.name(role)} is missing"
    codes: dict[str, Any] = dict(zip(WORDS, parsed.codes, strict=True))
    keys = dict(zip(KEYS, parsed.keys, strict=True))
    back = (codes["type"] == _BACK[0]) | (codes["type"] == _BACK[1])
    event_time, flags = _event_times(parsed, append_time, skew_ms, problems, roles.name("event_time"))
    amount_minor = _amounts(parsed, back, currency, problems, roles)
    for name in ("merchant_id", "transaction_id"):
        for i in np.flatnonzero(keys[name] == 0).tolist():
            problems[i] = f"{roles.name(name)} is empty"
    longitude = _degrees(parsed.numbers[3], 180.0)
    flags |= codes["response_code"].astype(np.uint8) * np.uint8(Flag.DECLINED)
    flags |= back.astype(np.uint8) * np.uint8(Flag.REVERSAL)
    small = parsed.codes.astype(np.uint8)
    return Columns(
        event_time=event_time,
        local_time=local_time(event_time, parsed.written, codes["country"], longitude),
        transaction_key=keys["transaction_id"],
        card_key=np.zeros(len(event_time), np.uint64),
        customer_key=keys["customer_id"],
        merchant_key=keys["merchant_id"],
        terminal_key=keys["terminal_id"],
        device_key=keys["device_id"],
        ip_key=keys["ip"],
        amount_minor=amount_minor,
        mcc=codes["mcc"],
        country=codes["country"],
        ip_country=codes["ip_country"],
        **{name: small[i] for i, name in enumerate(WORDS) if name in _SMALL},
        latitude=_degrees(parsed.numbers[2], 90.0),
        longitude=longitude,
        card_age_days=_age_days(event_time, parsed.times[1]),
        account_age_days=_age_days(event_time, parsed.times[2]),
        flags=flags,
    ), problems


def columns_of(
    rows: Sequence[Transaction],
    append_time: I64 | None = None,
    *,
    rates: Rates | None = None,
    skew_ms: int = SKEW_MS,
    tokens: Tokens = UNKEYED,
) -> Columns:
    """Columns of rows that are all known to be good, in their order.

    Raises
    ------
    DecodeError
        A row is no transaction; the text names its position and what is wrong.
    """
    columns, problems = columns_from(fields_of(rows), append_time, rates=rates, skew_ms=skew_ms, tokens=tokens)
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
