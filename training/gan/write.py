"""Decoded rows as a table of transactions, as a file, and with the mapping that ``replay`` reads it by."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from stream.errors import SettingError
from training.gan.book import I64, Mask
from training.gan.cards import Cards
from training.gan.decode import present
from training.gan.vocabulary import DETAILS, Vocabulary

if TYPE_CHECKING:
    import pyarrow as pa

ENTRIES = ("chip", "contactless")
TIMED = ("event_time", "card_opened_at", "account_opened_at")


def table(words: Vocabulary, cards: Cards, rows: dict[str, np.ndarray], prefix: str) -> pa.Table:
    """Transactions in order of event time, with the canonical columns and ``fraud``, the condition they were made for.

    Parameters
    ----------
    prefix
        Begins every new id.
    """
    import pyarrow as pa

    order = np.argsort(rows["time"], kind="stable")
    rows = {name: values[order] for name, values in rows.items()}
    card, merchant, shop = rows["card"], rows["merchant"], words.shop
    detail = words.details[rows["detail"]]
    bits = detail[:, -1]
    online = shop.online[merchant]
    currency = shop.merchant_currency[merchant]
    scale = 10.0 ** shop.decimals[currency]
    amount = np.maximum(np.round(rows["amount"] / shop.rate[currency] * scale), 1.0) / scale
    customer = cards.customer[card]
    columns: dict[str, Any] = {
        "transaction_id": _named(f"{prefix}-{{}}", np.arange(len(card)), None),
        "event_time": pa.array(rows["time"], pa.int64()).cast(pa.timestamp("ms", tz="UTC")),
        "card_id": _named(f"{prefix}-card-{{}}", card, None),
        "customer_id": _named(f"{prefix}-customer-{{}}", customer, present(bits, "customer_id")),
        "merchant_id": _coded(words.words["merchant_id"], merchant, None),
        "terminal_id": _coded(words.words["terminal_id"], rows["terminal"], present(bits, "terminal_id")),
        "amount": pa.array(amount),
        "currency": _coded(words.words["currency"], currency, None),
        "mcc": _coded(words.words["mcc"], shop.merchant_mcc[merchant], present(bits, "mcc")),
        "bin": _coded(words.words["bin"], cards.bin[card], present(bits, "bin")),
        "country": _coded(words.words["country"], shop.merchant_country[merchant], present(bits, "country")),
    }
    for d, name in enumerate(DETAILS):
        columns[name] = _coded(words.words[name], detail[:, d], None)
    columns["entry_mode"] = _entries(words, detail[:, DETAILS.index("entry_mode")], rows["entry_swap"])
    columns |= _remote(words, cards, rows, bits, prefix)
    for name, values in (("latitude", shop.latitude), ("longitude", shop.longitude)):
        there = present(bits, "latitude") & ~online
        columns[name] = pa.array(np.where(there, np.round(values[merchant], 4), np.nan), from_pandas=True)
    for name, opened in (("card_opened_at", cards.opened), ("account_opened_at", cards.account_opened)):
        columns[name] = _dates(opened[card], present(bits, name))
    return pa.table({**columns, "fraud": pa.array(rows["fraud"])})


def _remote(words: Vocabulary, cards: Cards, rows: dict[str, np.ndarray], bits: I64, prefix: str) -> dict[str, Any]:
    """Devices and addresses: the customer's own, or those that strangers share."""
    customer = cards.customer[rows["card"]]
    device = np.where(rows["device"] < 0, customer, len(cards) + rows["device"])
    own = customer * 8 - 1 - rows["address"]
    address = np.where(rows["address"] < 0, own, len(cards) * 8 + rows["address"]) * 48_271 % 2**24
    numbers, code = np.unique(address, return_inverse=True)
    # 240.0.0.0/4 was never given to anybody
    ips = [f"250.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" for n in numbers.tolist()]
    home = _home_countries(words)[cards.home[rows["card"]]]
    country = np.where(rows["ip_country"] < 0, home, rows["ip_country"])
    return {
        "device_id": _named(f"{prefix}-device-{{}}", device, present(bits, "device_id")),
        "ip": _coded(ips, code, present(bits, "ip")),
        "ip_country": _coded(words.words["ip_country"], country, present(bits, "ip_country")),
    }


def _home_countries(words: Vocabulary) -> I64:
    """Code among the addresses' countries of each place's country, -1 where there is none."""
    known = {text.upper(): code for code, text in enumerate(words.words["ip_country"])}
    names = words.words["country"]
    return np.array([known.get(names[c].upper() if c >= 0 else "", -1) for c in words.shop.place_country], np.int64)


def _entries(words: Vocabulary, code: I64, contactless: Mask) -> Any:
    """Chip or contactless by the card's habit."""
    pool = words.words["entry_mode"]
    at = {text.lower(): place for place, text in enumerate(pool)}
    if all(name in at for name in ENTRIES):
        either = np.isin(code, [at[name] for name in ENTRIES])
        code = np.where(either, np.where(contactless, at["contactless"], at["chip"]), code)
    return _coded(pool, code, None)


def _coded(pool: list[str], code: I64, there: Mask | None) -> Any:
    import pyarrow as pa

    gone = code < 0 if there is None else (code < 0) | ~there
    if not pool:
        return pa.nulls(len(code), pa.string())
    return pa.array(pool, pa.string()).take(pa.array(np.where(gone, 0, code), mask=gone))


def _named(pattern: str, number: I64, there: Mask | None) -> Any:
    values, code = np.unique(number, return_inverse=True)
    return _coded([pattern.format(f"{value:07d}") for value in values.tolist()], code.astype(np.int64), there)


def _dates(opened: np.ndarray, there: Mask) -> Any:
    import pyarrow as pa

    gone = np.isnan(opened) | ~there
    days = np.where(gone, 0, opened).astype(np.int64).astype("datetime64[ms]")
    return pa.array([f"{day}T00:00:00Z" for day in np.datetime_as_string(days, unit="D").tolist()], mask=gone)


def write_table(made: pa.Table, path: Path) -> Path:
    """Write Parquet or JSON Lines by the suffix, and beside it the mapping ``<name>.toml`` for ``replay``.

    Returns
    -------
    The mapping.

    Raises
    ------
    SettingError
        Another suffix.
    """
    import pyarrow.parquet as pq

    if path.suffix not in (".parquet", ".jsonl"):
        raise SettingError(f"-o {path} ends in {path.suffix!r}; name a .parquet or .jsonl file")
    path.parent.mkdir(parents=True, exist_ok=True)
    made = made.select([name for name in made.column_names if made.column(name).null_count < len(made)])
    if path.suffix == ".parquet":
        pq.write_table(made, path, compression="zstd")
    else:
        encode = msgspec.json.Encoder().encode
        with path.open("wb") as file:
            for batch in made.to_batches(max_chunksize=20_000):
                file.writelines(
                    encode(row | {"event_time": _iso(row["event_time"])}) + b"\n" for row in batch.to_pylist()
                )
    mapping = path.with_suffix(".toml")
    names = [name for name in made.column_names if name != "fraud"]
    lines = [f'{name} = "{name}"' for name in names]
    mapping.write_text("[columns]\n" + "\n".join(lines) + '\n\n[labels]\ntruth = "fraud"\n', encoding="utf-8")
    return mapping


def _iso(moment: dt.datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
