"""Read files that somebody else wrote, block by block: CSV, JSON Lines or Parquet, only the columns that are needed."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from stream.errors import SettingError

BLOCK = 8_192
Block = dict[str, pa.Array]


class Foreign:
    """A file of rows.

    Parameters
    ----------
    path : pathlib.Path
        Its suffix says what it is: .csv, .jsonl, .ndjson, .json or .parquet.
    columns : sequence of str
        The columns to read.

    Attributes
    ----------
    broken : collections.Counter
        Rows that could not even be read, by reason; counted while `blocks` runs.

    Raises
    ------
    SettingError
        If the file cannot be read or lacks a column.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._path, self._columns = path, list(columns)
        self.broken: Counter[str] = Counter()
        readers = {".csv": self._csv, ".parquet": self._parquet}
        self._read = readers.get(path.suffix.lower(), self._json_lines)
        if path.suffix.lower() not in (*readers, ".jsonl", ".ndjson", ".json"):
            raise SettingError(f"{path} ends in {path.suffix!r}: give a .csv, .jsonl or .parquet file.")
        if not path.is_file():
            raise SettingError(f"the file {path} does not exist.")

    def blocks(self) -> Iterator[Block]:
        """Blocks of at most `BLOCK` rows, each column an Arrow array of that length."""
        self.broken.clear()
        try:
            yield from self._read()
        except (pa.ArrowInvalid, OSError) as error:
            raise SettingError(f"the file {self._path} cannot be read: {str(error).splitlines()[0]}") from error

    def _demand(self, present: Sequence[str]) -> None:
        for name in self._columns:
            if name not in present:
                raise SettingError(
                    f"the file {self._path} has no column {name!r}, which the mapping asks for; "
                    f"it has {', '.join(map(str, present[:30]))}."
                )

    def _parquet(self) -> Iterator[Block]:
        file = pq.ParquetFile(self._path)
        self._demand(file.schema_arrow.names)
        for batch in file.iter_batches(batch_size=BLOCK, columns=self._columns):
            yield {name: batch.column(name) for name in self._columns}

    def _csv(self) -> Iterator[Block]:
        def skip(_row: pa_csv.InvalidRow) -> str:
            self.broken["the row has another number of columns"] += 1
            return "skip"

        with self._path.open("rb") as raw:
            header = raw.readline()
        delimiter = max(",;\t|", key=lambda mark: header.count(mark.encode()))
        reader = pa_csv.open_csv(
            self._path,
            read_options=pa_csv.ReadOptions(block_size=4 << 20),
            parse_options=pa_csv.ParseOptions(delimiter=delimiter, invalid_row_handler=skip),
            # Texts: what a column holds in its first block says nothing about the last one.
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(self._columns, pa.string()), strings_can_be_null=True, check_utf8=False
            ),
        )
        self._demand(reader.schema.names)
        for batch in reader:
            for low in range(0, batch.num_rows, BLOCK):
                part = batch.slice(low, BLOCK)
                yield {name: part.column(name) for name in self._columns}

    def _json_lines(self) -> Iterator[Block]:
        decode = msgspec.json.Decoder(dict[str, Any]).decode
        checked = False
        with self._path.open("rb") as lines:
            while chunk := list(islice(lines, BLOCK)):
                rows = []
                for line in chunk:
                    if not line.strip():
                        continue
                    try:
                        rows.append(decode(line))
                    except (msgspec.DecodeError, UnicodeDecodeError):
                        self.broken["the line is no JSON object"] += 1
                if rows and not checked:
                    self._demand(list(dict.fromkeys(name for row in rows for name in row)))
                    checked = True
                yield {name: _texts([row.get(name) for row in rows]) for name in self._columns}


def _texts(values: list[Any]) -> pa.Array:
    """An array of whatever type fits all values; texts where several types meet."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if value is None else str(value) for value in values], pa.string())
