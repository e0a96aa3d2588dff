"""How kernels are compiled, the event they read, and arithmetic that several families share."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np

F = TypeVar("F")

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000  # ms
UNIT = 100  # minor units in a major one; also what keeps ratios of tiny amounts calm
LOG_QUANTUM = 1024.0  # logarithms are summed as integers of this many parts, so that order never matters


def kernel(function: F) -> F:
    """Compile with numba, to be called from other kernels only: without the wrappers for Python it takes a third of it.

    No fast-math: results must not depend on the machine's vector width.
    """
    return cast(F, numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, error_model="numpy")(function))


class Event(NamedTuple):
    """One transaction as a kernel sees it: scalars; 0, -1 or NaN where `Columns` says missing."""

    time: int
    local: int
    card: int
    customer: int
    ip: int
    merchant: int
    terminal: int
    device: int
    amount: int
    mcc: int
    country: int
    ip_country: int
    type: int
    channel: int
    entry_mode: int
    three_ds: int
    cvv_result: int
    avs_result: int
    latitude: float
    longitude: float
    card_age: float
    account_age: float
    declined: bool
    attempt: bool  # asks for money: all but the clearing of what was authorised before
    spend: bool  # moves money: approved, and no mere pre-authorisation, whose clearing will


# Column of `Columns` behind each field of `Event`; the last three are made from flags and type.
COLUMN_OF = {
    "time": "event_time",
    "local": "local_time",
    "card": "card_key",
    "customer": "customer_key",
    "ip": "ip_key",
    "merchant": "merchant_key",
    "terminal": "terminal_key",
    "device": "device_key",
    "amount": "amount_minor",
    "card_age": "card_age_days",
    "account_age": "account_age_days",
}

# 64-bit in kernels, whatever width a row keeps a field in; for the type checker it is anything.
wide: Any = np.int64


@kernel
def clip(value: float, low: float, high: float) -> float:
    """Into [low, high]; NaN stays NaN."""
    if value < low:
        return low
    if value > high:
        return high
    return value


@kernel
def log_ratio(value: float, base: float) -> float:
    """ln of the ratio of two amounts in minor units, calm near nought."""
    return math.log((value + UNIT) / (base + UNIT))


@kernel
def log_plus(value: float) -> float:
    """ln(1 + value), not below 0; as good as log1p in single precision, and half its price."""
    return math.log(1.0 + value)


_LOGS = np.log1p(np.arange(256.0))


@kernel
def log_count(count: int) -> float:
    """ln(1 + count), from a table: small counts are what most features are made of."""
    return _LOGS[count] if 0 <= count < len(_LOGS) else log_plus(count)


@kernel
def log_amount(minor: float) -> float:
    """ln(1 + amount in major units)."""
    return log_plus(minor / UNIT) if minor != 0 else 0.0


@kernel
def log_quantum(amount: int) -> int:
    """Quantised ln(1 + amount)."""
    return wide(np.rint(math.log(1.0 + amount) * LOG_QUANTUM))


@kernel
def fold16(key: int) -> int:
    """16 bits of a 64-bit hash, never 0 (0 is "none")."""
    bits = wide((key ^ (key >> np.uint64(32))) & np.uint64(0xFFFF))
    return bits if bits != 0 else wide(1)


@kernel
def fold32(key: int) -> int:
    """32 bits of a 64-bit hash, never 0."""
    bits = wide((key ^ (key >> np.uint64(32))) & np.uint64(0xFFFFFFFF))
    return bits if bits != 0 else wide(1)


@kernel
def flag_of(code: int, wanted: int) -> float:
    """1.0 when a vocabulary code is the wanted one, 0.0 when another, NaN when missing."""
    if code == 0:
        return np.nan
    return 1.0 if code == wanted else 0.0
