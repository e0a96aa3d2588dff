"""Send a simulated history into Kafka or write it to files, and say what it held."""

import datetime as dt
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from stream.errors import SettingError
from training.data.pace import CHUNK, Progress, due_chunks, due_times
from training.data.sender import Sender, open_sender
from training.data.simulator import Encoder, History
from training.data.simulator.delivery import Delivery
from training.data.simulator.rows import Array
from training.data.simulator.stories import STORIES

Encode = Callable[[Array], tuple[list[bytes], list[bytes]]]


@dataclass(frozen=True)
class Target:
    """Where messages go and how fast: `rate` a second, or event time compressed by `speed`, or flat out.

    A topic without a name gets nothing. Transactions and labels are keyed by `key`, account events by customer.
    """

    bootstrap: str
    topic: str
    feedback_topic: str = ""
    events_topic: str = ""
    rate: float = 0.0
    speed: float = 0.0
    key: Literal["card_id", "customer_id"] = "card_id"


class Side:
    """Messages that go along with the transactions as their time comes.

    Parameters
    ----------
    topic
        Where to; nowhere when empty.
    position, arrival
        What to send, in order, and when it arrives (m,), ms.
    encode
        Gives keys and messages of positions.
    """

    def __init__(self, topic: str, position: Array, arrival: Array, encode: Encode) -> None:
        self._topic, self._position, self._arrival, self._encode = topic, position, arrival, encode
        self.sent = 0

    def send(self, sender: Sender, until: int | None = None) -> None:
        """Send what has arrived up to a time; all of it without one."""
        if not self._topic:
            return
        end = len(self._position) if until is None else int(np.searchsorted(self._arrival, until, side="right"))
        for low in range(self.sent, end, CHUNK):
            sender.send(self._topic, *self._encode(self._position[low : min(end, low + CHUNK)]))
        self.sent = max(self.sent, end)


def send(
    history: History, delivery: Delivery, target: Target, stop: threading.Event, progress: Progress
) -> dict[str, int]:
    """Send a delivery; account events go before, labels after the transactions that arrive at the same time.

    Parameters
    ----------
    history : History
        What is sent.
    delivery : Delivery
        In which order.
    target : Target
        Where to, and how fast.
    stop : threading.Event
        Ends early when set; what was sent until then is durable.
    progress : Progress
        Counts and speaks.

    Returns
    -------
    dict
        Numbers of labels and account events sent; transactions are counted by `progress`.

    Raises
    ------
    SettingError
        If a topic does not exist.
    BrokerError
        If no broker answers or it stops taking messages.
    """
    due = due_times(delivery.arrival, rate=target.rate, speed=target.speed)
    expected = 0.0 if due is None or not len(due) else len(due) / max(float(due[-1]), 1e-3)
    encoder = Encoder(history, target.key)
    labels = Side(target.feedback_topic, delivery.label, delivery.label_arrival, encoder.feedback)
    events = Side(target.events_topic, delivery.event, delivery.event_arrival, encoder.events)
    sender = open_sender(target.bootstrap, expected)
    try:
        for low, high in due_chunks(due, len(delivery.row), stop):
            rows, now = delivery.row[low:high], int(delivery.arrival[high - 1])
            events.send(sender, now)
            sender.send(target.topic, encoder.keys(rows), encoder.values(rows))
            progress.add(high - low, lambda now=now: moment(now))  # type: ignore[misc]
            labels.send(sender, now)
        if not stop.is_set():
            events.send(sender)
            labels.send(sender)
    finally:
        sender.close()
    return {"labels": labels.sent, "events": events.sent}


def moment(time_ms: int) -> str:
    """ISO 8601 in UTC, to the minute."""
    return dt.datetime.fromtimestamp(time_ms / 1000, dt.UTC).strftime("%Y-%m-%dT%H:%MZ")


def write_truth(history: History, rows: Array, path: Path) -> None:
    """Write the truth of the rows that were sent: JSON Lines, CSV or Parquet by the file's suffix.

    Raises
    ------
    SettingError
        If the suffix is none of .jsonl, .csv, .parquet.
    """
    chosen = pa.array(np.unique(rows))
    table = history.truth.append_column("card", pa.array(history.feed.coded["card_id"].codes))
    table = table.append_column("event_time", pa.array(history.feed.event_time)).take(chosen)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(table, path, compression="zstd")
    elif path.suffix == ".csv":
        causes = pa.array([" ".join(causes) for causes in table["cause"].to_pylist()])
        pa_csv.write_csv(table.set_column(table.schema.get_field_index("cause"), "cause", causes), path)
    elif path.suffix in (".jsonl", ".json"):
        encode = msgspec.json.Encoder().encode
        with path.open("wb") as file:
            for batch in table.to_batches(max_chunksize=50_000):
                file.writelines(encode(row) + b"\n" for row in batch.to_pylist())
    else:
        raise SettingError(f"--truth {path} ends in {path.suffix!r}: name a .jsonl, .csv or .parquet file.")


def describe(history: History, rows: Array) -> dict[str, Any]:
    """What the rows at these positions hold: counts, prevalence, stories, look-alikes, first and last event."""
    story = history.story[rows]
    fraud = int((story > 0).sum())
    times = history.feed.event_time[rows]
    return {
        "transactions": len(rows),
        "fraudulent": fraud,
        "prevalence_bp": round(10_000 * fraud / max(len(rows), 1), 2),
        "stories": {told.name: int((story == code).sum()) for code, told in enumerate(STORIES, start=1)},
        "fraud_cases": len(np.unique(history.case[rows][story > 0])),
        "look_alikes": int((history.look_alike[rows] > 0).sum()),
        "first_event": moment(int(times.min())) if len(times) else None,
        "last_event": moment(int(times.max())) if len(times) else None,
    }
