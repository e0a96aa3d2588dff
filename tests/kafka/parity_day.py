"""Thirty hours of a simulated bank, as messages for the topics of a worker and as the files that training reads."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stream.codec.history import read_columns
from stream.codec.tokens import Tokens
from stream.entities.history import read_event_history
from stream.entities.hours import HOUR, SEEN_LAG
from stream.entities.label_history import partitions_of, read_label_history
from stream.replay import History
from training.data.simulator import generate
from training.data.simulator.delivery import deliver
from training.data.simulator.encode import Encoder

HOURS, DAYS, PROBE_MS = 30, 20, 240_000

Messages = list[tuple[bytes, bytes]]


@dataclass
class Day:
    """What was sent, in order, and where each transaction came to lie; slices end ten minutes after each hour.

    The first slice is what starts the clocks: before it, a partition does not tell what labels say of earlier hours.

    A card of a probe that pays in every partition every four minutes keeps all clocks going: an hour is shown to
    transactions as soon as the next one is ten minutes old, and whoever is silent until then has not told it yet.
    """

    folder: Path
    transactions: list[Messages]
    labels: list[Messages]  # before the first slice, then with each
    events: list[Messages]
    places: list[tuple[int, int]]
    partitions: int

    def history(self, token_key: bytes) -> History:
        """The same through the doors of training."""
        tokens = Tokens(token_key)
        columns, cards = read_columns(self.folder / "transactions.parquet", tokens)
        labels = read_label_history(self.folder / "labels.parquet", self.partitions)
        events = read_event_history(self.folder / "events.parquet", tokens)
        return History(columns, partitions_of(cards, self.partitions), labels, events)


def simulate(folder: Path, partitions: int, cards: int = 700) -> Day:
    """Make a day; the files are written into `folder`."""
    made = generate(bank_seed=77, seed=3, cards=cards, days=DAYS, prevalence_bp=150.0)
    end = int(dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0).timestamp() * 1000)
    begin = end - HOURS * HOUR
    sent = deliver(made, end - DAYS * 24 * HOUR, part="all", warmup_days=0, late=0.01, repeated=0.01)
    inside = (sent.arrival >= begin) & (sent.arrival < end)
    row, arrival = sent.row[inside], sent.arrival[inside]
    encoder = Encoder(made)
    probes = _probes(partitions, begin, end)
    order = np.argsort(np.concatenate([arrival, [time for time, _ in probes]]), kind="stable")
    bodies = [*zip(encoder.keys(row), encoder.values(row), strict=True), *((_key(b), _value(b)) for _, b in probes)]
    times = np.concatenate([arrival, [time for time, _ in probes]])[order]
    table = pa.concat_tables([made.table().take(pa.array(row)), _table(probes)], promote_options="default")
    pq.write_table(table.take(pa.array(order)), folder / "transactions.parquet")
    decided, happened = made.decisions["decided"], made.account.time
    chosen, known = np.flatnonzero(decided < end), np.flatnonzero(happened < end)
    pq.write_table(made.labels.take(pa.array(chosen)), folder / "labels.parquet")
    pq.write_table(made.events.take(pa.array(known)), folder / "events.parquet")
    messages = [bodies[i] for i in order.tolist()]
    cuts = begin + np.array([1, *(SEEN_LAG + HOUR * np.arange(HOURS + 1))])
    return Day(
        folder,
        _sliced(messages, times, cuts),
        _sliced(list(zip(*encoder.feedback(chosen), strict=True)), decided[chosen], cuts),
        _sliced(list(zip(*encoder.events(known), strict=True)), happened[known], cuts),
        _places([key.decode() for key, _ in messages], partitions),
        partitions,
    )


def _sliced(messages: Messages, times: Any, cuts: Any) -> list[Messages]:
    ends = np.searchsorted(times, cuts).tolist()
    return [messages[low:high] for low, high in zip([0, *ends], [*ends, len(messages)], strict=True)]


def _places(cards: list[str], partitions: int) -> list[tuple[int, int]]:
    seen: Counter[int] = Counter()
    places = []
    for partition in partitions_of(cards, partitions).tolist():
        places.append((partition, seen[partition]))
        seen[partition] += 1
    return places


def _probes(partitions: int, begin: int, end: int) -> list[tuple[int, dict[str, Any]]]:
    names = [f"probe-{i}" for i in range(64)]
    of = dict(zip(partitions_of(names, partitions).tolist(), names, strict=True))
    common = {"merchant_id": "probe", "amount": 1.0, "currency": "EUR"}
    return [
        (time, {"transaction_id": f"{of[p]}-{time}", "event_time": time, "card_id": of[p], **common})
        for time in range(begin, end, PROBE_MS)
        for p in range(partitions)
    ]


def _key(body: dict[str, Any]) -> bytes:
    return str(body["card_id"]).encode()


def _value(body: dict[str, Any]) -> bytes:
    return json.dumps(body).encode()


def _table(probes: list[tuple[int, dict[str, Any]]]) -> Any:
    table = pa.Table.from_pylist([body for _, body in probes])
    at = table.schema.get_field_index("event_time")
    return table.set_column(at, "event_time", table["event_time"].cast(pa.timestamp("ms", tz="UTC")))
