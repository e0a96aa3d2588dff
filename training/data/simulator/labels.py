"""What the bank learns later: chargebacks after weeks, calls after days, analysts after hours; not all of it true."""

import numpy as np

from training.data.simulator.bank import Bank
from training.data.simulator.calendar import DAY_MS
from training.data.simulator.reference import ECOM
from training.data.simulator.rows import Array, Rows, size

SOURCES = ("chargeback", "customer", "analyst")
CHARGEBACK, CUSTOMER, ANALYST = range(3)
FRAUD, GENUINE = 0, 1
VERDICTS = ("fraud", "genuine")


def report(bank: Bank, rows: Rows, rng: np.random.Generator) -> Array:
    """Which fraudulent rows are ever reported; a case is reported as a whole or not at all."""
    cases = int(rows["case"].max(initial=-1)) + 1
    told = rng.random(max(cases, 1)) >= bank.fraud.unreported
    return (rows["case"] >= 0) & told[rows["case"]]


def decide(bank: Bank, rows: Rows, reported: Array, rng: np.random.Generator) -> dict[str, Array]:
    """Labels with their arrival.

    Parameters
    ----------
    bank : Bank
        Whose parameters are used.
    rows : Rows
        Sorted by time.
    reported : numpy.ndarray of bool, shape (n,)
        Which rows are ever reported (see `report`).
    rng : numpy.random.Generator
        Source of chance.

    Returns
    -------
    dict of numpy.ndarray
        `row` (position in `rows`), `verdict`, `source` (codes), `decided` (ms since the start), `revision`;
        sorted by `decided`.
    """
    fraud = bank.fraud
    known = np.flatnonzero(reported)
    # One person decides on one case: all of its rows share source and delay.
    per_case = max(int(rows["case"].max(initial=-1)) + 1, 1)
    kind = rng.choice([CHARGEBACK, CUSTOMER, ANALYST], per_case, p=_sources(fraud.analyst_share))
    delay = _delay(bank, kind, rng)
    case = rows["case"][known]
    last = np.zeros(per_case, dtype=np.int64)
    np.maximum.at(last, case, rows["time"][known])
    blocks = [_block(known, FRAUD, kind[case], last[case] + delay[case], 0)]
    friendly, disputed = _friendly(bank, rows, len(known), rng)
    blocks.append(_block(friendly, FRAUD, CHARGEBACK, disputed, 0))
    won = rng.random(len(friendly)) < 0.3
    blocks.append(_block(friendly[won], GENUINE, CHARGEBACK, disputed[won] + 20 * DAY_MS, 1))
    looked = _reviewed(rows, rng)
    blocks.append(_block(looked, GENUINE, ANALYST, rows["time"][looked] + _hours(len(looked), rng), 0))
    labels = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
    order = np.argsort(labels["decided"], kind="stable")
    return {name: column[order] for name, column in labels.items()}


def _sources(analyst: float) -> Array:
    return np.array([0.75 * (1 - analyst), 0.25 * (1 - analyst), analyst])


def _hours(number: int, rng: np.random.Generator) -> Array:
    return (rng.gamma(1.5, 10.0, number) * DAY_MS / 24).astype(np.int64)


def _delay(bank: Bank, kind: Array, rng: np.random.Generator) -> Array:
    weeks = np.clip(bank.fraud.chargeback_days * np.exp(rng.normal(0, 0.6, len(kind))), 3, 120) * DAY_MS
    days = rng.uniform(0.3, 8, len(kind)) * DAY_MS
    return np.choose(kind, [weeks, days, _hours(len(kind), rng)]).astype(np.int64)


def _friendly(bank: Bank, rows: Rows, reported: int, rng: np.random.Generator) -> tuple[Array, Array]:
    honest = np.flatnonzero((rows["story"] == 0) & (rows["channel"] == ECOM) & (rows["response"] == 0))
    number = min(rng.poisson(reported * bank.fraud.friendly), len(honest))
    chosen = rng.choice(honest, number, replace=False) if number else honest[:0]
    delay = rng.uniform(15, 100, number) * DAY_MS
    return chosen, rows["time"][chosen] + delay.astype(np.int64)


def _reviewed(rows: Rows, rng: np.random.Generator) -> Array:
    odd = rng.random(size(rows))
    chance = np.where(rows["look_alike"] > 0, 0.02, 0.002)
    return np.flatnonzero((rows["story"] == 0) & (odd < chance))


def _block(row: Array, verdict: int, source: Array | int, decided: Array, revision: int) -> dict[str, Array]:
    return {
        "row": row,
        "verdict": np.full(len(row), verdict, dtype=np.int8),
        "source": np.broadcast_to(np.asarray(source, dtype=np.int8), row.shape),
        "decided": decided,
        "revision": np.full(len(row), revision, dtype=np.int8),
    }
