"""A simulated history: the feed, the truth behind it and the labels that arrive later, as Arrow tables."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from training.data.simulator.account import TYPES as EVENT_TYPES
from training.data.simulator.account import AccountEvents
from training.data.simulator.bank import Bank
from training.data.simulator.feed import ABSENT, Coded, Feed
from training.data.simulator.labels import SOURCES, VERDICTS
from training.data.simulator.reference import LOOK_ALIKES
from training.data.simulator.rows import Array
from training.data.simulator.stories import STORIES

FIELDS = (
    "transaction_id",
    "event_time",
    "card_id",
    "customer_id",
    "merchant_id",
    "terminal_id",
    "type",
    "amount",
    "currency",
    "amount_base",
    "response_code",
    "mcc",
    "bin",
    "country",
    "channel",
    "entry_mode",
    "three_ds",
    "cvv_result",
    "avs_result",
    "device_id",
    "ip",
    "ip_country",
    "latitude",
    "longitude",
    "card_opened_at",
    "account_opened_at",
)
EVENT_FIELDS = ("event_id", "customer_id", "card_id", "type", "event_time", "device_id", "ip")
LABEL_FIELDS = ("merchant_id", "terminal_id", "device_id")
_TIME = pa.timestamp("ms", tz="UTC")


@dataclass(frozen=True)
class History:
    """Simulated transactions of one bank in order of event time.

    Attributes
    ----------
    bank : Bank
    seed : int
        Stream seed.
    feed : Feed
        What the bank's feed says, as columns.
    story, case, look_alike : numpy.ndarray, shape (n,)
        Truth: 1-based story (0 honest), fraud case (-1 honest), kind of honest look-alike (0 none).
    reported : numpy.ndarray of bool, shape (n,)
        Fraud that becomes known.
    decisions : dict of numpy.ndarray
        Labels: `row`, `verdict`, `source`, `decided` (ms since the epoch), `revision`; sorted by arrival.
    account : AccountEvents
        What happened to the accounts, in order of time.
    customer_of : numpy.ndarray, shape (cards,)
        Code of each card's customer, whatever the feed says of him.
    """

    bank: Bank
    seed: int
    feed: Feed
    story: Array
    case: Array
    look_alike: Array
    reported: Array
    decisions: dict[str, Array]
    account: AccountEvents
    customer_of: Array

    def __len__(self) -> int:
        return len(self.story)

    @property
    def fraud(self) -> Array:
        """Which transactions are fraudulent, boolean, shape (n,)."""
        return self.story > 0

    def ids(self, index: Array) -> list[str]:
        """Transaction ids at positions `index`."""
        prefix = f"{self.bank.seed:x}-{self.seed:x}-"
        return [f"{prefix}{number:09d}" for number in index.tolist()]

    def event_ids(self, index: Array) -> list[str]:
        """Ids of the account events at positions `index`."""
        prefix = f"{self.bank.seed:x}-{self.seed:x}-e"
        return [f"{prefix}{number:09d}" for number in index.tolist()]

    def table(self) -> pa.Table:
        """The transactions with the canonical columns, in order of event time; absent values are null."""
        columns: dict[str, pa.Array] = {
            "transaction_id": pa.array(self.ids(np.arange(len(self)))),
            "event_time": pa.array(self.feed.event_time, pa.int64()).cast(_TIME),
        }
        columns |= {name: _text(column) for name, column in self.feed.coded.items()}
        columns |= {name: pa.array(values, from_pandas=True) for name, values in self.feed.numbers.items()}
        return pa.table({name: columns[name] for name in FIELDS})

    @property
    def truth(self) -> pa.Table:
        """One row a transaction: fraud, story, planted causes, fraud case, look-alike, reported."""
        names = ["", *(story.name for story in STORIES)]
        causes = pa.array([[], *(list(story.causes) for story in STORIES)], pa.list_(pa.string()))
        return pa.table(
            {
                "transaction_id": self.ids(np.arange(len(self))),
                "fraud": self.fraud,
                "story": pa.array(names).take(pa.array(self.story)),
                "cause": causes.take(pa.array(self.story)),
                "fraud_case": pa.array(self.case, mask=self.case < 0),
                "look_alike": pa.array(LOOK_ALIKES).take(pa.array(self.look_alike)),
                "reported": self.reported,
            }
        )

    @property
    def labels(self) -> pa.Table:
        """Feedback in order of arrival: verdict, source, event time, decision time, revision; and whom it concerns."""
        rows = self.decisions["row"]
        coded = {name: Coded(column.codes[rows], column.pool) for name, column in self.feed.coded.items()}
        return pa.table(
            {
                "transaction_id": pa.array(self.ids(rows), pa.string()),
                "card_id": _text(coded["card_id"]),
                **{name: _text(coded[name]) for name in LABEL_FIELDS},
                "verdict": pa.array(VERDICTS).take(pa.array(self.decisions["verdict"])),
                "source": pa.array(SOURCES).take(pa.array(self.decisions["source"])),
                "event_time": pa.array(self.feed.event_time[rows], pa.int64()).cast(_TIME),
                "decided_at": pa.array(self.decisions["decided"], pa.int64()).cast(_TIME),
                "revision": pa.array(self.decisions["revision"]),
            }
        )

    @property
    def events(self) -> pa.Table:
        """What happened to the accounts, in order of time; absent values are null."""
        columns = {name: _text(column) for name, column in self.account.coded.items()}
        columns["event_id"] = pa.array(self.event_ids(np.arange(len(self.account))), pa.string())
        columns["type"] = pa.array(EVENT_TYPES).take(pa.array(self.account.type))
        columns["event_time"] = pa.array(self.account.time, pa.int64()).cast(_TIME)
        return pa.table({name: columns[name] for name in EVENT_FIELDS})

    def write(self, directory: Path) -> None:
        """Write transactions, truth, labels and events, each a Parquet file, into a folder, made if need be."""
        directory.mkdir(parents=True, exist_ok=True)
        tables = {"transactions": self.table(), "truth": self.truth, "labels": self.labels, "events": self.events}
        for name, table in tables.items():
            pq.write_table(table, directory / f"{name}.parquet", compression="zstd")


def _text(column: Coded) -> pa.Array:
    codes = pa.array(column.codes.astype(np.int32), mask=column.codes == ABSENT)
    return pa.array(column.pool, pa.string()).take(codes)
