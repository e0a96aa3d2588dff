"""Transactions and labels of a history as the JSON messages that a bank would put on its topics."""

import datetime as dt

import msgspec
import numpy as np

from training.data.simulator.history import FIELDS, History
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
    """

    def __init__(self, history: History) -> None:
        self._history = history
        feed = history.feed
        self._pools = {name: np.array([*column.pool, None], dtype=object) for name, column in feed.coded.items()}
        self._keys = np.array([pan.encode() for pan in feed.coded["card_id"].pool], dtype=object)
        self._encode = msgspec.json.Encoder().encode

    def keys(self, index: Array) -> list[bytes]:
        """Message keys, the card ids, at positions `index`."""
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
        """Keys and JSON messages of the labels at positions `index` of `history.decisions`."""
        labels = self._history.decisions
        rows = labels["row"][index]
        keys = self.keys(rows)
        columns = zip(
            self._history.ids(rows),
            (key.decode() for key in keys),
            (VERDICTS[code] for code in labels["verdict"][index]),
            (SOURCES[code] for code in labels["source"][index]),
            _moments(self._history.feed.event_time[rows], np.zeros(len(rows), dtype=np.int32)),
            _moments(labels["decided"][index], np.zeros(len(rows), dtype=np.int32)),
            labels["revision"][index].tolist(),
            strict=True,
        )
        names = ("transaction_id", "card_id", "verdict", "source", "event_time", "decided_at", "revision")
        return keys, [self._encode(dict(zip(names, values, strict=True))) for values in columns]


def _moments(time_ms: Array, offset_minutes: Array) -> list[str]:
    """ISO 8601 with milliseconds: in UTC, or in local time with its offset where one is given."""
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
