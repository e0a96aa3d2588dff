"""One column of a foreign file as the values of one field: texts, numbers, times; what does not fit becomes None."""

import datetime as dt
import math
import zoneinfo
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from training.data.mapping import Mapping, Time

_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_LARGEST_MS = 253_402_300_799_000


def texts(column: pa.Array) -> list[str | None]:
    """Texts; whole numbers without a decimal point."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_floating(column.type):
        values = column.to_pylist()
        return [None if v is None or not math.isfinite(v) else str(int(v)) if v == int(v) else str(v) for v in values]
    if pa.types.is_string(column.type) or pa.types.is_integer(column.type):
        try:
            return [value or None for value in column.cast(pa.string()).to_pylist()]
        except UnicodeDecodeError:
            return [_utf8(value) for value in column.cast(pa.binary()).to_pylist()]
    return [None if value is None else str(value) for value in column.to_pylist()]


def _utf8(value: bytes | None) -> str | None:
    try:
        return value.decode() or None if value else None
    except UnicodeDecodeError:
        return None


def numbers(column: pa.Array, minor: bool) -> list[float | None]:
    """Finite numbers, divided by a hundred where the file counts cents."""
    try:
        values = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError):
        values = np.array([_number(text) for text in texts(column)], dtype=np.float64)
    values = np.round(values / 100, 2) if minor else values
    return [value if math.isfinite(value) else None for value in values.tolist()]


def _number(text: str | None) -> float:
    try:
        return float(text) if text else math.nan
    except ValueError:
        return math.nan


def times(column: pa.Array, how: Time) -> list[int | None]:
    """Milliseconds since the epoch."""
    if pa.types.is_timestamp(column.type):
        zoned = column if column.type.tz else _in_zone(column, how.zone)
        return zoned.cast(pa.timestamp("ms", tz="UTC"), safe=False).cast(pa.int64()).to_pylist()
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return [_scaled(value, how) for value in column.to_pylist()]
    if how.format:
        parsed = pc.strptime(column.cast(pa.string()), how.format, "ms", error_is_null=True)
        return _in_zone(parsed, how.zone).cast(pa.int64()).to_pylist()
    if pa.types.is_date(column.type):
        return _in_zone(column.cast(pa.timestamp("ms")), how.zone).cast(pa.int64()).to_pylist()
    zone = zoneinfo.ZoneInfo(how.zone)
    return [_instant(text, zone, how) for text in texts(column)]


def _in_zone(column: pa.Array, zone: str) -> pa.Array:
    return pc.assume_timezone(column, zone, ambiguous="earliest", nonexistent="latest")


def _scaled(value: float | None, how: Time) -> int | None:
    if value is None or not math.isfinite(value):
        return None
    time_ms = value * 1000 / _PER_SECOND[how.unit]
    return int(time_ms) if abs(time_ms) <= _LARGEST_MS else None


def _instant(text: str | None, zone: dt.tzinfo, how: Time) -> int | None:
    if not text:
        return None
    try:
        moment = dt.datetime.fromisoformat(text)
        return round((moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        return _scaled(_number(text), how)


def is_fraud(column: pa.Array, mapping: Mapping) -> list[bool]:
    """The file's verdicts; without `fraud_values`, everything but empty, 0, false, no, n, genuine is fraud."""
    assert mapping.labels is not None  # noqa: S101 - callers ask only when there are labels
    wanted = {str(value).lower() for value in mapping.labels.fraud_values}
    found = [(text or "").strip().lower() for text in texts(column)]
    if wanted:
        return [text in wanted for text in found]
    return [text not in ("", "0", "false", "no", "n", "genuine", "legit") for text in found]


def iso(time_ms: list[int]) -> list[Any]:
    """ISO 8601 in UTC with milliseconds."""
    moments = np.array(time_ms, dtype=np.int64).astype("datetime64[ms]")
    return [text + "Z" for text in np.datetime_as_string(moments, unit="ms").tolist()]
