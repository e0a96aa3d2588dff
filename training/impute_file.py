"""A file with gaps as a matrix and back: each column keeps its type, each known cell its value."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from stream.errors import SettingError
from training.audit.table import Column, column_of, read_columns
from training.impute import Layout

F64 = npt.NDArray[np.float64]


class Filling:
    """A table of which some columns are filled.

    Parameters
    ----------
    file
        CSV or Parquet.
    leave
        Columns that are neither used nor filled.
    most
        Texts with more values than this are left, too.

    Attributes
    ----------
    X
        (n, d) numbers, and codes of categories; NaN where missing.
    layout
        Which is which.

    Raises
    ------
    SettingError
        It cannot be read, has too few rows, or no column that can be filled.
    """

    def __init__(self, file: Path, leave: Sequence[str], most: int) -> None:
        self._arrays = read_columns(file)
        for name in leave:
            if name not in self._arrays:
                raise SettingError(f"{file} has no column {name!r}; it has {', '.join(list(self._arrays)[:30])}")
        every = [column_of(name, array) for name, array in self._arrays.items()]
        self._columns = [one for one in every if one.name not in leave and _usable(one, most)]
        self._left = [one.name for one in every if one not in self._columns]
        if not self._columns:
            raise SettingError(f"{file} has no column of numbers or of at most {most} categories")
        self.X: F64 = np.column_stack([one.values for one in self._columns])
        self.layout = Layout(tuple(len(one.categories) if one.kind == "text" else 0 for one in self._columns))
        if len(self.X) < 10:
            raise SettingError(f"{file} has {len(self.X)} rows; at least 10 are needed to learn from")

    def described(self) -> dict[str, Any]:
        """Rows, columns, gaps by column and in all, and what was left."""
        gaps = {one.name: int((~np.isfinite(one.values)).sum()) for one in self._columns}
        used = {"rows": len(self.X), "columns": [one.name for one in self._columns]}
        return used | {"left": self._left, "gaps": sum(gaps.values()), "gaps_by_column": gaps}

    def write(self, filled: F64, out: Path) -> None:
        """Write the table with the gaps of its columns filled.

        Raises
        ------
        SettingError
            The file cannot be written.
        """
        arrays = dict(self._arrays)
        for j, column in enumerate(self._columns):
            gap = ~np.isfinite(column.values)
            if gap.any():
                arrays[column.name] = _filled(arrays[column.name], column, filled[:, j], gap)
        table = pa.table(arrays)
        try:
            pq.write_table(table, out) if out.suffix.lower() == ".parquet" else pa_csv.write_csv(table, out)
        except OSError as error:
            raise SettingError(f"--out {out} cannot be written: {error.strerror or error}") from None


def _usable(column: Column, most: int) -> bool:
    if column.kind == "time" or not np.isfinite(column.values).any():
        return False
    return column.kind == "number" or len(column.categories) <= most


def _filled(array: Any, column: Column, values: F64, gap: npt.NDArray[np.bool_]) -> Any:
    """The Arrow array with its gaps filled, of the same type; whole numbers are rounded within their seen range."""
    kind = array.type.value_type if pa.types.is_dictionary(array.type) else array.type
    if column.kind == "text":
        texts = pa.array(column.categories, pa.string())
        answers = texts.take(pa.array(np.where(gap, values, 0).astype(np.int64)))
    elif pa.types.is_boolean(kind):
        answers = pa.array(values >= 0.5)
    else:
        seen = column.values[~gap]
        whole = pa.types.is_integer(kind) or bool((seen == np.round(seen)).all())
        got = np.clip(np.round(values), seen.min(), seen.max()) if whole else values
        answers = pa.array(np.where(gap, got, 0.0)).cast(kind, safe=False)
    plain = array.dictionary_decode() if pa.types.is_dictionary(array.type) else array
    chosen = pa.array(gap)
    return pc.if_else(chosen, answers.cast(plain.type, safe=False), plain)
