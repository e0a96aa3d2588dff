"""A history as a generator learns from it: coded columns sorted by card and time, with what was reported as fraud."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from stream.codec import read_columns
from stream.errors import SettingError
from stream.events import Flag

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
TEXTS = (
    "customer_id", "merchant_id", "terminal_id", "type", "currency", "response_code", "mcc", "bin", "country",
    "channel", "entry_mode", "three_ds", "cvv_result", "avs_result", "device_id", "ip", "ip_country",
)  # fmt: skip
TIMES = ("card_opened_at", "account_opened_at")
NUMBERS = ("amount", "latitude", "longitude")
DAY_MS = 86_400_000
LEAST_FRAUDS = 20


class Words(NamedTuple):
    """A column of texts: ``pool[code]`` of each row, -1 where there is none."""

    codes: I64
    pool: list[str]


@dataclass(frozen=True, slots=True)
class Book:
    """Transactions sorted by card, then time; n rows.

    Parameters
    ----------
    row
        (n,) place in the file.
    time, offset
        (n,) event time, and from it to the merchant's local time, ms.
    amount
        (n,) in base currency.
    card, words
        Codes; texts by field name.
    numbers
        (n,) float64 by field name, NaN where missing; times as ms since the epoch.
    declined, back, fraud
        (n,) refused; refund or reversal; reported as fraud.
    """

    row: I64
    time: I64
    offset: I64
    amount: F64
    card: I64
    declined: Mask
    back: Mask
    fraud: Mask
    words: dict[str, Words]
    numbers: dict[str, F64]

    def __len__(self) -> int:
        return len(self.time)

    def take(self, chosen: Any) -> Book:
        """Select rows by mask or positions, which must keep the order; pools stay."""
        plain = {f.name: getattr(self, f.name)[chosen] for f in fields(Book) if f.name not in ("words", "numbers")}
        words = {name: Words(column.codes[chosen], column.pool) for name, column in self.words.items()}
        return Book(**plain, words=words, numbers={name: values[chosen] for name, values in self.numbers.items()})

    def is_word(self, name: str, *texts: str) -> Mask:
        """Which rows hold one of these texts, in any case."""
        column = self.words[name]
        held = np.array([*(text.lower() in texts for text in column.pool), False])
        return np.asarray(held[column.codes], bool)


def read_book(path: Path) -> Book:
    """Read a history folder, or a Parquet file of transactions with ``labels.parquet`` beside it.

    Raises
    ------
    SettingError
        It cannot be read, has no labels, or fewer than `LEAST_FRAUDS` reported frauds or as many genuine rows.
    """
    import pyarrow.parquet as pq

    file = path / "transactions.parquet" if path.is_dir() else path
    if not file.is_file():
        raise SettingError(f"--history {path} holds no transactions.parquet; make one with: fraudstream simulate --out")
    columns, cards = read_columns(file)
    table = pq.read_table(file)
    pool, card = np.unique(np.asarray(cards, object), return_inverse=True)
    labels = file.with_name("labels.parquet")
    if not labels.is_file():
        raise SettingError(f"{labels} is missing; a conditional generator needs to know which transactions were fraud")
    fraud = _reported(labels, table.column("transaction_id").to_pylist())
    book = Book(
        row=np.arange(len(card)),
        time=columns.event_time,
        offset=columns.local_time - columns.event_time,
        amount=columns.amount_minor / 100.0,
        card=card.astype(np.int64),
        declined=(columns.flags & Flag.DECLINED) > 0,
        back=(columns.flags & Flag.REVERSAL) > 0,
        fraud=fraud,
        words={name: _words(table, name) for name in TEXTS} | {"card_id": Words(card.astype(np.int64), list(pool))},
        numbers={name: _floats(table, name) for name in NUMBERS} | {name: _moments(table, name) for name in TIMES},
    )
    if min(fraud.sum(), (~fraud).sum()) < LEAST_FRAUDS:
        raise SettingError(
            f"--history {path} holds {int(fraud.sum())} reported frauds among {len(fraud)} transactions; "
            f"a conditional generator needs at least {LEAST_FRAUDS} of either kind"
        )
    return book.take(np.lexsort((book.time, book.card)))


def with_fraud(book: Book, path: Path) -> Book:
    """Replace reported fraud by the truth where the folder has it; for figures only."""
    import pyarrow.parquet as pq

    truth = path / "truth.parquet"
    if not truth.is_file():
        return book
    ids = pq.read_table(path / "transactions.parquet", columns=["transaction_id"]).column(0).to_pylist()
    table = pq.read_table(truth, columns=["transaction_id", "fraud"])
    known = dict(zip(table.column(0).to_pylist(), table.column(1).to_pylist(), strict=True))
    return replace(book, fraud=np.array([known.get(name, False) for name in ids], bool)[book.row])


def split_cards(book: Book, seed: int) -> tuple[Book, Book]:
    """Halve a history by customer: one half to learn from, the other held out.

    Cards of one customer stay together; a card without a customer is one.
    """
    customer = book.words["customer_id"].codes
    number = int(book.card.max()) + 1
    of_card = np.full(number, -1, np.int64)
    known = customer >= 0
    of_card[book.card[known]] = customer[known]
    alone = of_card < 0
    of_card[alone] = of_card.max() + 1 + np.arange(int(alone.sum()))
    chosen = np.random.default_rng(seed).random(int(of_card.max()) + 1) < 0.5
    kept = chosen[of_card[book.card]]
    return book.take(kept), book.take(~kept)


def _reported(path: Path, ids: list[str]) -> Mask:
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=["transaction_id", "verdict"])  # in order of arrival: revisions overwrite
    verdict = dict(zip(table.column(0).to_pylist(), table.column(1).to_pylist(), strict=True))
    return np.array([verdict.get(name) == "fraud" for name in ids], bool)


def _words(table: Any, name: str) -> Words:
    import pyarrow as pa
    import pyarrow.compute as pc

    if name not in table.column_names:
        return Words(np.full(len(table), -1, np.int64), [])
    encoded = pc.dictionary_encode(table.column(name).cast(pa.string()).combine_chunks())
    return Words(
        encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64), encoded.dictionary.to_pylist()
    )


def _floats(table: Any, name: str) -> F64:
    import pyarrow as pa

    if name not in table.column_names:
        return np.full(len(table), np.nan)
    return np.asarray(table.column(name).cast(pa.float64()).to_numpy(), np.float64)


def _moments(table: Any, name: str) -> F64:
    """Times as ms since the epoch, NaN where there is none or it is no ISO 8601 text."""
    words = _words(table, name)
    known = np.array([*(_moment(text) for text in words.pool), np.nan])
    return np.asarray(known[words.codes], np.float64)


def _moment(text: str) -> float:
    import datetime as dt

    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        return float("nan")
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp() * 1000
