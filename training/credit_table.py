"""Applicants' tables of any mix of columns: read, find the target, code for a kernel machine."""

from __future__ import annotations

import datetime
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from stream.errors import SettingError

F64 = npt.NDArray[np.float64]
USUAL_TARGETS = ("bad", "default", "defaulted", "target", "label", "class", "y")
_BAD_WORDS = {"1", "true", "yes", "y", "bad", "default", "defaulted", "charged off"}
_GOOD_WORDS = {"0", "false", "no", "n", "good", "paid", "repaid", "fully paid"}
_CATEGORIES = 30
_CLIP = 4.0


@dataclass(frozen=True, slots=True)
class Column:
    """One attribute of applicants: numbers with NaN for missing, or words with "" for missing."""

    name: str
    numbers: F64 | None
    words: tuple[str, ...] = ()

    def take(self, index: npt.NDArray[np.int64]) -> Column:
        """Give the column of some rows."""
        if self.numbers is not None:
            return Column(self.name, self.numbers[index])
        return Column(self.name, None, tuple(self.words[i] for i in index))

    def said(self, row: int) -> str:
        """Give one row's value in words."""
        if self.numbers is None:
            return self.words[row] or "missing"
        return "missing" if math.isnan(self.numbers[row]) else f"{self.numbers[row]:.6g}"


def read_table(path: Path) -> dict[str, list[Any]]:
    """Read CSV (comma, semicolon or tab) or Parquet into lists by column name.

    Raises
    ------
    SettingError
        No such file, not a table, no rows, or a name twice.
    """
    if not path.is_file():
        raise SettingError(f"{path} is not a file; name a CSV or Parquet file with one applicant a row")
    try:
        with path.open("rb") as stream:
            head = stream.read(65536)
        if head[:4] == b"PAR1":
            table = pa_parquet.read_table(path)
        else:
            first = head.split(b"\n", 1)[0]
            mark = max((",", ";", "\t"), key=lambda c: first.count(c.encode()))
            table = pa_csv.read_csv(path, parse_options=pa_csv.ParseOptions(delimiter=mark))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        why = "".join(c for c in str(error).splitlines()[0][:120] if c.isprintable())
        raise SettingError(f"{path} is no CSV or Parquet table ({why})") from None
    if not table.num_rows or table.num_columns < 2:
        raise SettingError(f"{path} holds no table: it needs a header, two columns and rows")
    twice = [name for name, count in Counter(table.column_names).items() if count > 1]
    if twice:
        raise SettingError(f"{path} has the column {twice[0]} twice; rename one")
    return {name: table.column(name).to_pylist() for name in table.column_names}


def find_target(table: dict[str, list[Any]], name: str | None, bad: str | None) -> tuple[str, F64]:
    """Find the target and what its values mean: 1.0 = bad, 0.0 = good, NaN = not known.

    Raises
    ------
    SettingError
        No such column, or values that do not say which of them is bad.
    """
    if name is None:
        usual = [column for word in USUAL_TARGETS for column in table if column.lower() == word]
        if not usual:
            raise SettingError("the file has no column like bad, default or target; name the target with --target")
        name = usual[0]
    elif name not in table:
        raise SettingError(f"--target {name} is no column of the file; it has {', '.join(list(table)[:30])}")
    words = [_word(value).lower() for value in table[name]]
    kinds = sorted(set(words) - {""})
    if not kinds:
        raise SettingError(f"the target {name} is empty in every row; nothing can be learnt from it")
    if len(kinds) > 2:
        raise SettingError(f"the target {name} has {len(kinds)} different values; it needs two, such as 0 and 1")
    wanted = _bad_value(kinds, name, bad)
    return name, np.array([math.nan if not word else float(word == wanted) for word in words])


def _bad_value(kinds: list[str], name: str, bad: str | None) -> str:
    if bad is not None:
        wanted = _word(float(bad) if bad.replace(".", "", 1).isdigit() else bad).lower()
        if wanted not in kinds:
            raise SettingError(f"--bad {bad} is no value of the target {name}; it has {' and '.join(kinds)}")
        return wanted
    if kinds == ["1", "2"]:  # as the Statlog tables code it
        return "2"
    found = [kind for kind in kinds if kind in _BAD_WORDS]
    if len(found) == 1:
        return found[0]
    if not found and len(kinds) == 1 and kinds[0] in _GOOD_WORDS:
        return "1"
    raise SettingError(f"the target {name} has the values {' and '.join(kinds)}; say which is bad with --bad")


def attributes(table: dict[str, list[Any]], target: str) -> tuple[list[Column], list[str]]:
    """Turn every usable column into an attribute; the second answer says what was left out and why.

    Raises
    ------
    SettingError
        No column is left.
    """
    columns, notes = [], []
    for name, values in table.items():
        if name == target:
            continue
        why = _unusable(name, values)
        if why:
            notes.append(f"column {name} is not used: {why}")
        else:
            columns.append(_column(name, values))
    if not columns:
        raise SettingError(f"no column beside the target {target} can be used ({'; '.join(notes) or 'there is none'})")
    return columns, notes


def same_attributes(table: dict[str, list[Any]], columns: Sequence[Column]) -> list[Column]:
    """Read the attributes of another file as those that were learnt.

    Raises
    ------
    SettingError
        An attribute is missing, or holds words where numbers were learnt.
    """
    out = []
    for column in columns:
        if column.name not in table:
            raise SettingError(f"the file to apply to lacks the column {column.name} that the machine learnt from")
        values = table[column.name]
        if column.numbers is None:
            out.append(Column(column.name, None, tuple(_word(value) for value in values)))
            continue
        if not all(_is_number(value) or _word(value) == "" for value in values):
            raise SettingError(f"the file to apply to has words in {column.name}; the machine learnt numbers there")
        out.append(_column(column.name, [value if _is_number(value) else None for value in values], numeric=True))
    return out


def _unusable(name: str, values: list[Any]) -> str:
    seen = [value for value in values if value is not None and _word(value) != ""]
    if len({_word(value) for value in seen}) < 2:
        return "it holds one value only"
    if any(isinstance(value, datetime.date | datetime.time | bytes | list | dict) for value in seen):
        return "it holds dates, times or nested values; turn them into numbers first"
    lowered = name.lower()
    if lowered in {"id", "row", "index"} or lowered.endswith("_id"):
        return "its name says that it identifies rows"
    if not _numeric(seen) and len(set(map(_word, seen))) > max(_CATEGORIES, len(seen) // 2):
        return "it has a word of its own for most rows"
    return ""


def _column(name: str, values: list[Any], *, numeric: bool = False) -> Column:
    if numeric or _numeric([value for value in values if value is not None]):
        filled = [math.nan if value is None else float(value) for value in values]
        return Column(name, np.array([value if math.isfinite(value) else math.nan for value in filled]))
    return Column(name, None, tuple(_word(value) for value in values))


def _is_number(value: object) -> bool:
    return hasattr(value, "__float__") and not isinstance(value, bool | str)


def _numeric(values: list[Any]) -> bool:
    return bool(values) and all(_is_number(value) for value in values)


def _word(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


class Coder:
    """Attributes to a matrix: numbers standardised with a mask where they go missing, words as 0/1 columns.

    Learnt from training rows alone: a word that they do not have is all zeros.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self._parts: list[tuple[float, float, bool] | tuple[str, ...]] = []
        self.slices: dict[str, slice] = {}
        start = 0
        for column in columns:
            part = _scale(column.numbers) if column.numbers is not None else _words(column.words)
            width = (2 if part[2] else 1) if column.numbers is not None else len(part)
            self._parts.append(part)
            self.slices[column.name] = slice(start, start + width)
            start += width
        self.width = start

    def __call__(self, columns: Sequence[Column]) -> F64:
        """Code rows, (n, width) float64."""
        blocks = []
        for column, part in zip(columns, self._parts, strict=True):
            if column.numbers is not None:
                centre, scale, gaps = part
                missing = np.isnan(column.numbers)
                z = np.where(missing, 0.0, np.clip((column.numbers - float(centre)) / float(scale), -_CLIP, _CLIP))
                blocks.append(np.column_stack([z, missing]) if gaps else z[:, None])
            else:
                words = np.array(column.words, dtype=object)
                blocks.append(np.column_stack([words == word for word in part]).astype(np.float64))
        return np.concatenate(blocks, axis=1)


def _scale(numbers: F64) -> tuple[float, float, bool]:
    seen = numbers[np.isfinite(numbers)]
    if not len(seen):
        return 0.0, 1.0, False
    deviation = float(seen.std())
    return float(seen.mean()), deviation if deviation > 1e-12 else 1.0, len(seen) < len(numbers)


def _words(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(word for word, _ in Counter(words).most_common(_CATEGORIES)))
