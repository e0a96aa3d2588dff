"""Transactions, labels and account events of a history as the JSON messages that a bank would put on its topics."""

import datetime as dt
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import numpy as np

from training.data.simulator.account import TYPES as EVENT_TYPES
from training.data.simulator.feed import Coded
from training.data.simulator.history import FIELDS, LABEL_FIELDS, History
from training.data.simulator.labels import SOURCES, VERDICTS
from training.data.simulator.rows import Array

_Message = msgspec.defstruct(
    "_Message",
    [(name, str | float | None, None) for name in FIELDS],
    omit_defaults=True,
    gc=False,
)


class Encoder:
    """Encodes rows of one history; prepares the string pools once.

    Parameters
    ----------
    history : History
    key : {"card_id", "customer_id"}
        What the messages about transactions are keyed by. With customers, all cards of one share a partition; the
        customer is known here even where the feed leaves him out.
    """

    def __init__(self, history: History, key: Literal["card_id", "customer_id"] = "card_id") -> None:
        self._history = history
        feed = history.feed
        self._pools = {name: np.array([*column.pool, None], dtype=object) for name, column in feed.coded.items()}
        self._customers = np.array([name.encode() for name in feed.coded["customer_id"].pool], dtype=object)
        cards = np.array([pan.encode() for pan in feed.coded["card_id"].pool], dtype=object)
        self._keys = self._customers[history.customer_of] if key == "customer_id" else cards
        self._encode = msgspec.json.Encoder().encode

    def keys(self, index: Array) -> list[bytes]:
        """Message keys at positions `index`."""
        return list(self._keys[self._history.feed.coded["card_id"].codes[index]])

    def values(self, index: Array) -> list[bytes]:
        """JSON messages at positions `index`; absent fields are left out."""
        feed = self._history.feed
        columns: dict[str, list[object]] = {
            "transaction_id": list(self._history.ids(index)),
            "event_time": list(_moments(feed.event_time[index], feed.offset_minutes[index])),
        }
        for name, (codes, _pool) in feed.coded.items():
            columns[name] = self._pools[name][codes[index]].tolist()
        for name, values in feed.numbers.items():
            chosen = values[index]
            gone = np.isnan(chosen)
            boxed = chosen.astype(object)
            boxed[gone] = None
            columns[name] = boxed.tolist()
        return list(map(self._encode, map(_Message, *(columns[name] for name in FIELDS))))

    def feedback(self, index: Array) -> tuple[list[bytes], list[bytes]]:
        """Keys, those of their transactions, and JSON messages of the labels at positions `index` of `decisions`."""
        labels, coded = self._history.decisions, self._history.feed.coded
        rows = labels["row"][index]
        columns: dict[str, Sequence[Any]] = {
            "transaction_id": self._history.ids(rows),
            **{name: self._pools[name][coded[name].codes[rows]].tolist() for name in ("card_id", *LABEL_FIELDS)},
            "verdict": [VERDICTS[code] for code in labels["verdict"][index]],
            "source": [SOURCES[code] for code in labels["source"][index]],
            "event_time": _moments(self._history.feed.event_time[rows]),
            "decided_at": _moments(labels["decided"][index]),
            "revision": labels["revision"][index].tolist(),
        }
        return self.keys(rows), self._messages(columns)

    def events(self, index: Array) -> tuple[list[bytes], list[bytes]]:
        """Keys, the customers, and JSON messages of the account events at positions `index`."""
        account = self._history.account
        columns: dict[str, Sequence[Any]] = {
            "event_id": self._history.event_ids(index),
            **{name: _texts(Coded(column.codes[index], column.pool)) for name, column in account.coded.items()},
            "type": [EVENT_TYPES[code] for code in account.type[index]],
            "event_time": _moments(account.time[index]),
        }
        return self._customers[account.coded["customer_id"].codes[index]].tolist(), self._messages(columns)

    def _messages(self, columns: dict[str, Sequence[Any]]) -> list[bytes]:
        rows = zip(*columns.values(), strict=True)
        return [
            self._encode({name: value for name, value in zip(columns, row, strict=True) if value is not None})
            for row in rows
        ]


def _texts(column: Coded) -> list[str | None]:
    return [column.pool[code] if code >= 0 else None for code in column.codes.tolist()]


def _moments(time_ms: Array, offset_minutes: Array | None = None) -> list[str]:
    """ISO 8601 with milliseconds: in UTC, or in local time with its offset where one is given."""
    if offset_minutes is None:
        offset_minutes = np.zeros(len(time_ms), dtype=np.int32)
    shifted = (time_ms + offset_minutes.astype(np.int64) * 60_000).astype("datetime64[ms]")
    texts = np.datetime_as_string(shifted, unit="ms").tolist()
    if not offset_minutes.any():
        return [text + "Z" for text in texts]
    suffix = {minutes: _suffix(minutes) for minutes in np.unique(offset_minutes).tolist()}
    return [text + suffix[minutes] for text, minutes in zip(texts, offset_minutes.tolist(), strict=True)]


def _suffix(minutes: int) -> str:
    if minutes == 0:
        return "Z"
    offset = dt.timezone(dt.timedelta(minutes=minutes))
    return dt.datetime(2000, 1, 1, tzinfo=offset).isoformat()[-6:]
