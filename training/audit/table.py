"""A user's table as the checks need it: numbers, codes, label, times and entities, whatever the file's types are."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.errors import SettingError

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

LABELS = ("is_fraud", "isfraud", "fraud", "tx_fraud", "fraud_bool", "label", "class", "target", "y")
TIMES = (
    "event_time", "tx_datetime", "timestamp", "datetime", "transaction_time", "tx_time", "time", "date", "step",
    "trans_date_trans_time", "unix_time", "transactiondt",
)  # fmt: skip
LABEL_TIMES = ("label_time", "label_arrival", "label_arrived_at", "decided_at", "labelled_at", "labeled_at")
_ENTITY = re.compile(r"(card|customer|client|account|terminal|merchant|store|device|user|entity)[_ ]?(id|no|number)?")
_AMOUNT = re.compile(r"(amount|amt)")
_DERIVED = re.compile(r"prev|last|next|lead|lag|mean|avg|sum|total|max|min|std|ratio|\d+ ?(h|d|m|w|day|hour)|log|count")
_UNITS = {"s": 1e3, "ms": 1.0, "us": 1e-3, "ns": 1e-6, "h": 3.6e6, "d": 8.64e7}
_HONEST = {"", "0", "0.0", "false", "no", "n", "genuine", "legit", "none"}


@dataclass(slots=True)
class Column:
    """One column: `values` are numbers with NaN where missing; for texts they are codes of `categories`."""

    name: str
    values: F64
    kind: str  # number | text | time (values in ms)
    categories: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Sheet:
    """A table in order of time.

    Parameters
    ----------
    columns
        Features: every column that plays no other part.
    y, time
        (n,) fraud, and milliseconds.
    position
        (n,) the rows' places in the file.
    entities
        By name, (n,) codes; -1 where missing.
    ids
        Columns that name a row: (n,) codes by name.
    amount
        (n,) the transaction's amount, where the table has one.
    label_time
        (n,) milliseconds, NaN where unknown.
    """

    columns: list[Column]
    y: Mask
    time: F64
    position: I64
    entities: dict[str, I64]
    ids: dict[str, I64]
    amount: F64 | None
    label_time: F64 | None
    roles: dict[str, Any]
    notes: list[str] = field(default_factory=list)


def read_sheet(
    path: Path,
    *,
    label: str = "",
    time: str = "",
    entities: Sequence[str] = (),
    label_time: str = "",
    ignore: Sequence[str] = (),
    unit: str = "",
) -> Sheet:
    """Read a CSV or Parquet table; columns not named are found by their usual names.

    Raises
    ------
    SettingError
        No such file or column, no label or time that can be found, or labels of one class only.
    """
    found = {name: column_of(name, values) for name, values in read_columns(path).items()}
    label = _named(found, label, LABELS, "--label", path)
    time = _named(found, time, TIMES, "--time", path)
    for name in (*entities, *ignore, *([label_time] if label_time else [])):
        if name not in found:
            raise SettingError(f"{path} has no column {name!r}; it has {', '.join(list(found)[:30])}")
    late = label_time or next((name for name in found if name.lower() in LABEL_TIMES), "")
    keys = list(entities) or [n for n, c in found.items() if n not in (label, time) and _looks_like_entity(n, c)]
    y, known = _labels(found[label])
    at = _times(found[time], unit)
    notes = _dropped(~known, f"rows have no {label}") + _dropped(~np.isfinite(at), f"rows have no {time}")
    known &= np.isfinite(at)
    if not known.any() or len(np.unique(y[known])) < 2:
        raise SettingError(
            f"{path} has no rows of both classes with a time that can be read: see its columns {label} (--label) and "
            f"{time} (--time)"
        )
    order = np.flatnonzero(known)[np.argsort(at[known], kind="stable")]
    rest = [c for n, c in found.items() if n not in {label, time, late, *keys, *ignore}]
    ids = {c.name: codes_of(c)[order] for c in rest if _is_id(c)}
    amount = _amount(rest)
    for column in rest:
        column.values = column.values[order]
    return Sheet(
        [c for c in rest if c.name not in ids],
        y[order],
        at[order],
        order,
        {n: codes_of(found[n])[order] for n in keys},
        ids,
        None if amount is None else amount.values,
        _times(found[late], unit)[order] if late else None,
        {"label": label, "time": time, "entities": keys, "ids": list(ids), "label_time": late},
        notes,
    )


def read_columns(path: Path) -> dict[str, Any]:
    """Read every column of a CSV or Parquet file as an Arrow array.

    Raises
    ------
    SettingError
        It does not exist or is no such file.
    """
    import pyarrow as pa
    import pyarrow.csv as pa_csv
    import pyarrow.parquet as pq

    if not path.is_file():
        raise SettingError(f"the file {path} does not exist")
    try:
        if path.suffix.lower() == ".parquet":
            table = pq.read_table(path)
        elif path.suffix.lower() == ".csv":
            with path.open("rb") as raw:
                header = raw.readline()
            mark = max(",;\t|", key=lambda one: header.count(one.encode()))
            # Types from all of a column: what the first block holds says nothing about the last one.
            size = max(1 << 20, min(path.stat().st_size + 1, (1 << 31) - 1))
            table = pa_csv.read_csv(
                path,
                read_options=pa_csv.ReadOptions(block_size=size),
                parse_options=pa_csv.ParseOptions(delimiter=mark),
                convert_options=pa_csv.ConvertOptions(strings_can_be_null=True),
            )
        else:
            raise SettingError(f"{path} ends in {path.suffix!r}: give a .csv or .parquet file")
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise SettingError(f"the file {path} cannot be read: {str(error).splitlines()[0][:160]}") from None
    if not table.num_rows:
        raise SettingError(f"the file {path} has no rows")
    return {name: table.column(name).combine_chunks() for name in table.column_names}


def column_of(name: str, array: Any) -> Column:
    """An Arrow array as a column of numbers; texts are coded, times become milliseconds."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = array.type
    if pa.types.is_dictionary(kind):
        array, kind = array.dictionary_decode(), kind.value_type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        plain = array.cast(pa.timestamp("ms", tz=getattr(kind, "tz", None)), safe=False).cast(pa.int64())
        return Column(name, _numbers(plain), "time")
    if (
        pa.types.is_boolean(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
    ):
        return Column(name, _numbers(array.cast(pa.int8()) if pa.types.is_boolean(kind) else array), "number")
    if pa.types.is_null(kind):
        return Column(name, np.full(len(array), np.nan), "number")
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        array = pa.array([None if v is None else str(v) for v in array.to_pylist()], pa.string())
    empty = pc.equal(pc.utf8_trim_whitespace(array), "")
    coded = pc.if_else(empty, pa.nulls(len(array), array.type), array).dictionary_encode()
    values = coded.indices.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return Column(name, np.array(values), "text", [str(text) for text in coded.dictionary.to_pylist()])


def _numbers(array: Any) -> F64:
    import pyarrow as pa

    values = np.array(array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)
    values[~np.isfinite(values)] = np.nan
    return values


def _named(found: dict[str, Column], given: str, usual: Sequence[str], option: str, path: Path) -> str:
    if given:
        if given not in found:
            raise SettingError(f"{path} has no column {given!r} for {option}; it has {', '.join(list(found)[:30])}")
        return given
    by_name = {name.lower(): name for name in reversed(list(found))}
    for name in usual:
        if name in by_name:
            return by_name[name]
    raise SettingError(f"{path} has no column with a usual name for {option}; name it: one of {', '.join(found)}")


def _labels(column: Column) -> tuple[Mask, Mask]:
    known = np.isfinite(column.values)
    if column.kind != "text":
        levels = np.unique(column.values[known])
        honest = float(levels[0]) if len(levels) == 2 else 0.0  # 0 and 1, -1 and 1, 1 and 2: the larger is fraud
        return np.nan_to_num(column.values, nan=honest) > honest, known
    fraud = np.array([text.strip().lower() not in _HONEST for text in column.categories] or [False])
    return fraud[np.where(known, column.values, 0).astype(np.int64)] & known, known


def _times(column: Column, unit: str) -> F64:
    """Milliseconds; a number's unit is told by its size unless it is given: epochs, else seconds since a start."""
    if column.kind == "time":
        return column.values
    if column.kind == "text":
        parsed = np.array([_instant(text) for text in column.categories] or [np.nan])
        known = np.isfinite(column.values)
        return np.where(known, parsed[np.where(known, column.values, 0).astype(np.int64)], np.nan)
    if unit:
        return column.values * _UNITS[unit]
    largest = float(np.nanmax(np.abs(column.values), initial=0.0))
    for name, above in (("ns", 1e17), ("us", 1e14), ("ms", 1e11)):
        if largest > above:
            return column.values * _UNITS[name]
    return column.values * _UNITS["s"]


def _instant(text: str) -> float:
    try:
        moment = dt.datetime.fromisoformat(text.strip())
    except ValueError:
        return float("nan")
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp() * 1000


def as_times(column: Column) -> F64 | None:
    """A text column's values as milliseconds when nearly all of them are times; None when they are not."""
    if column.kind == "time":
        return column.values
    if column.kind != "text" or not column.categories:
        return None
    sample = column.categories[:: max(1, len(column.categories) // 200)]
    if sum(np.isfinite(_instant(text)) for text in sample) < 0.9 * len(sample):
        return None
    return _times(column, "")


def _looks_like_entity(name: str, column: Column) -> bool:
    """Named like one, whole numbers or texts, and most of its values on several rows."""
    if not _ENTITY.fullmatch(name.lower()) or column.kind == "time":
        return False
    seen = column.values[np.isfinite(column.values)]
    if not len(seen) or (column.kind == "number" and (seen != np.round(seen)).any()):
        return False
    return 1 < len(np.unique(seen)) <= 0.6 * len(seen)


def _is_id(column: Column) -> bool:
    """Nearly as many different values as rows, and not a measure: a text, or a whole number called an id."""
    seen = column.values[np.isfinite(column.values)]
    if len(seen) < 0.9 * len(column.values) or len(np.unique(seen)) < 0.8 * len(seen) or column.kind == "time":
        return False
    return column.kind == "text" or bool(re.search(r"(^|_)id$|^id|^unnamed|^index$", column.name.lower()))


def codes_of(column: Column) -> I64:
    """Number the values of a column, (n,); -1 where missing."""
    known = np.isfinite(column.values)
    codes = np.full(len(known), -1, np.int64)
    codes[known] = np.unique(column.values[known], return_inverse=True)[1]
    return codes


def _amount(columns: Sequence[Column]) -> Column | None:
    named = [c for c in columns if c.kind == "number" and _AMOUNT.search(c.name.lower())]
    plain = [c for c in named if not _DERIVED.search(c.name.lower())]
    return min(plain, key=lambda c: len(c.name), default=None)


def _dropped(mask: Mask, why: str) -> list[str]:
    return [f"{int(mask.sum()):,} {why} and are left out"] if mask.any() else []
