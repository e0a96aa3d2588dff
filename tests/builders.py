"""Random but seeded batches of transactions as columns, for tests of everything that stands behind the codec."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.events import Columns
from stream.state.arena import Arena

START = 1_700_000_000_000  # ms
KEYS = ("transaction_key", "card_key", "customer_key", "merchant_key", "terminal_key", "device_key", "ip_key")
DTYPES = {
    **dict.fromkeys(("event_time", "local_time", "amount_minor"), np.int64),
    **dict.fromkeys(KEYS, np.uint64),
    **dict.fromkeys(("mcc", "country", "ip_country"), np.int32),
    **dict.fromkeys(("type", "channel", "entry_mode", "three_ds", "cvv_result", "avs_result", "flags"), np.uint8),
    **dict.fromkeys(("latitude", "longitude", "card_age_days", "account_age_days"), np.float32),
}


def columns_from(n: int, **values: Any) -> Columns:
    """Columns of n transactions: one approved purchase of 10.00 a minute on card 1, all else missing unless given."""
    minutes = START + 60_000 * np.arange(n)
    base: dict[str, Any] = {"event_time": minutes, "local_time": values.get("event_time", minutes)}
    base |= {"transaction_key": np.arange(1, n + 1), "card_key": 1, "amount_minor": 1000, "mcc": -1}
    base |= dict.fromkeys(("latitude", "longitude", "card_age_days", "account_age_days"), np.nan)
    base |= values
    return Columns(**{k: np.array(np.broadcast_to(np.asarray(base.get(k, 0)), n), d) for k, d in DTYPES.items()})


def random_columns(
    n: int, cards: int = 20, seed: int = 0, *, days: float = 40.0, disorder_s: float = 3600.0, missing: float = 0.2
) -> tuple[Columns, list[str]]:
    """A messy history: out of order, repeats, declines, reversals, missing fields. Returns columns and card tokens."""
    rng = np.random.default_rng(seed)
    time = START + np.sort(rng.integers(0, int(days * 86_400_000), n)) - rng.integers(0, int(disorder_s * 1000) + 1, n)
    holes = lambda values, hole: np.where(rng.random(n) < missing, hole, values)  # noqa: E731
    keys = lambda kinds: rng.integers(1, 2**63, kinds, dtype=np.uint64)[rng.zipf(1.4, n) % kinds]  # noqa: E731
    place = rng.integers(0, 30, n)
    transaction = rng.integers(1, 2**63, n, dtype=np.uint64)
    repeats = np.flatnonzero(rng.random(n) < 0.02)
    owner = rng.integers(0, cards, n)
    repeats = repeats[repeats > 0]
    transaction[repeats], owner[repeats] = transaction[repeats - 1], owner[repeats - 1]
    flags = np.where(rng.random(n) < 0.1, 8, 0) | np.where(rng.random(n) < 0.05, 16, 0)  # declined, reversal
    codes = ("type", "channel", "entry_mode", "three_ds", "cvv_result", "avs_result")
    columns = columns_from(
        n,
        event_time=time,
        local_time=time + rng.integers(-11, 13, n) * 3_600_000,
        transaction_key=transaction,
        card_key=owner + 1,
        customer_key=np.where(owner % 7 == 0, 0, 1 + owner // 2),
        ip_key=holes(keys(80), 0),
        merchant_key=keys(200),
        terminal_key=holes(keys(400), 0),
        device_key=holes(keys(60), 0),
        amount_minor=np.where(rng.random(n) < 0.1, 1000, np.round(np.exp(rng.normal(7.5, 1.6, n)))),
        mcc=holes(rng.integers(0, 9999, 40)[rng.integers(0, 40, n)], -1),
        country=holes(1 + place % 5, 0),
        ip_country=holes(1 + rng.integers(0, 5, n), 0),
        latitude=holes(-60.0 + 4 * place + rng.normal(0, 0.1, n), np.nan),
        longitude=-170.0 + 11 * place,
        card_age_days=holes(rng.uniform(0, 3000, n), np.nan),
        account_age_days=holes(rng.uniform(0, 9000, n), np.nan),
        flags=flags,
        **{name: rng.integers(0, 8 if name in ("type", "entry_mode") else 5, n) for name in codes},
    )
    return columns, [f"tok_{card:032x}" for card in owner]


def taken(columns: Columns, index: npt.NDArray[Any] | slice) -> Columns:
    """Own copies of some of the transactions."""
    return Columns(**{f.name: getattr(columns, f.name)[index].copy() for f in dataclasses.fields(Columns)})


def state(arena: Arena) -> dict[str, bytes]:
    """Rows of each table in the order of their keys, for comparison."""
    found = {}
    for name, table in arena.tables.items():
        rows = table.rows[: table.used]
        plain = rows.view(np.uint8).reshape(
            len(rows), table.dtype.itemsize
        )  # numpy leaves the gaps of structures as it likes
        found[name] = plain[np.argsort(rows["key"])].tobytes()
    return found
