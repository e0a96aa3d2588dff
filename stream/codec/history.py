"""Training history: Parquet with canonical columns, through the same door as the live messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from stream.codec.columns import FIELDS, UNKEYED, columns_from, concat
from stream.codec.money import Rates
from stream.codec.parsed import Fields
from stream.codec.roles import CARD_ROLES, REQUIRED, Roles
from stream.codec.tokens import Tokens
from stream.errors import DecodeError, SettingError
from stream.events import Columns, Transaction

_BLOCK = 131_072


def _values(column: Any) -> Sequence[Any]:
    """A column as Python values; repeated texts share one object, times become epoch milliseconds."""
    import pyarrow as pa

    if pa.types.is_timestamp(column.type):
        return column.cast(pa.timestamp("ms", tz=column.type.tz), safe=False).cast(pa.int64()).to_pylist()
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        encoded = column.dictionary_encode()
        texts = encoded.dictionary.to_pylist()
        return [None if i is None else texts[i] for i in encoded.indices.to_pylist()]
    return column.to_pylist()


def _blocks(path: Path, roles: Roles) -> Iterator[Fields]:
    import pyarrow.parquet as pq

    try:
        source = pq.ParquetFile(path)
    except (OSError, ValueError) as error:
        raise SettingError(f"the history {path} cannot be read as Parquet: {str(error)[:120]}") from None
    names = set(source.schema_arrow.names)
    lacking = [roles.name(role) for role in REQUIRED if roles.name(role) not in names]
    if lacking:
        raise SettingError(f"the history {path} lacks the column {lacking[0]}; see deploy/schemas/transaction.json")
    present = {role: name for role, name in roles.names.items() if name in names}
    with source:
        for batch in source.iter_batches(_BLOCK, columns=list(present.values())):
            absent = [None] * batch.num_rows
            yield {role: _values(batch.column(present[role])) if role in present else absent for role in FIELDS}


def _checked(given: Fields, first_row: int, tokens: Tokens, roles: Roles, rates: Rates | None = None) -> Columns:
    columns, problems = columns_from(given, tokens=tokens, roles=roles, rates=rates)
    if problems:
        row = min(problems)
        raise DecodeError("validate", f"row {first_row + row}: {problems[row]}")
    return columns


def read_columns(
    path: Path, tokens: Tokens = UNKEYED, roles: Roles = CARD_ROLES, *, rates: Rates | None = None
) -> tuple[Columns, list[str]]:
    """Read a history as columns and card ids, in the file's order; the lean way for training.

    Parameters
    ----------
    tokens
        Those of the worker whose ``card_key`` is wanted; see `columns_from`.
    roles
        Which column plays which part; those of a card's transactions unless told.
    rates
        Currency table; the shipped one unless told.

    Raises
    ------
    SettingError
        The file is no Parquet or lacks a required column.
    DecodeError
        A row is no transaction; the text names its number.
    """
    parts: list[Columns] = []
    cards: list[str] = []
    for given in _blocks(path, roles):
        parts.append(_checked(given, len(cards), tokens, roles, rates))
        cards.extend(given["card_id"])
    return (concat(parts) if parts else columns_from(dict.fromkeys(FIELDS, ()))[0]), cards


def read_history(
    path: Path, tokens: Tokens = UNKEYED, roles: Roles = CARD_ROLES
) -> tuple[list[Transaction], Columns, list[str]]:
    """Read a history as rows too (about 0.5 KB each); see `read_columns`, which raises the same."""
    parts: list[Columns] = []
    rows: list[Transaction] = []
    for given in _blocks(path, roles):
        parts.append(_checked(given, len(rows), tokens, roles))
        rows.extend(map(Transaction, *(given[name] for name in FIELDS)))
    columns = concat(parts) if parts else columns_from(dict.fromkeys(FIELDS, ()))[0]
    return rows, columns, [row.card_id for row in rows]
