"""Replay a foreign file: its rows as canonical messages, in its order, with its times; no row silently dropped."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from training.data import convert
from training.data.foreign import Block, Foreign
from training.data.mapping import NUMBERS, REQUIRED, TIMES, Mapping
from training.data.pace import Progress, due_chunks
from training.data.sender import Sender, open_sender
from training.data.simulate import moment

_PLAIN_SPEED_ROWS = 1_000.0


@dataclass(frozen=True)
class Mapped:
    """Rows of one block that could be mapped: JSON messages, keys, event times (ms); `kept` are their positions."""

    ids: list[str]
    keys: list[bytes]
    values: list[bytes]
    event_ms: list[int]
    kept: list[int]


@dataclass(frozen=True)
class Labelled:
    """Rows of one block with the file's verdicts: ids, cards, days since the epoch, fraud, scenario ("" if none)."""

    ids: list[str]
    cards: list[str]
    days: list[int]
    fraud: list[bool]
    scenario: list[str]


class Replay:
    """A file with its mapping.

    Parameters
    ----------
    path : pathlib.Path
    mapping : Mapping
    limit : int
        Read only so many rows; 0: all.

    Attributes
    ----------
    unmapped : collections.Counter
        Rows that did not become a message, by reason; counted while the file is read.

    Raises
    ------
    SettingError
        If the file cannot be read or lacks a column that the mapping names.
    """

    def __init__(self, path: Path, mapping: Mapping, *, limit: int = 0) -> None:
        self._file = Foreign(path, mapping.needed())
        self._stem, self._mapping, self._limit = path.stem, mapping, limit
        self.unmapped: Counter[str] = Counter()
        self._encode = msgspec.json.Encoder().encode

    def mapped(self) -> Iterator[Mapped]:
        """Messages block by block, in the order of the file."""
        for first, block in self._blocks():
            yield self._map(first, block)

    def mapped_blocks(self) -> Iterator[tuple[int, Mapped]]:
        """As `mapped`, each with the place in the file of its block's first row."""
        for first, block in self._blocks():
            yield first, self._map(first, block)

    def labelled(self) -> Iterator[Labelled]:
        """The verdicts of the mapped rows, block by block; `mapping.labels` must be there."""
        for first, block in self._blocks():
            mapped = self._map(first, block)
            labels = self._mapping.labels
            assert labels is not None  # noqa: S101 - `judge` refuses mappings without labels
            fraud = convert.is_fraud(block[labels.truth], self._mapping)
            told = convert.texts(block[labels.scenario]) if labels.scenario else ["all"] * len(fraud)
            yield Labelled(
                mapped.ids,
                [key.decode() for key in mapped.keys],
                [time_ms // 86_400_000 for time_ms in mapped.event_ms],
                [fraud[row] for row in mapped.kept],
                [_scenario(told[row], labels.scenarios) if fraud[row] else "" for row in mapped.kept],
            )

    @property
    def has_labels(self) -> bool:
        """Whether the mapping names a column with the truth."""
        return self._mapping.labels is not None

    def _blocks(self) -> Iterator[tuple[int, Block]]:
        self.unmapped.clear()
        first = 0
        for block in self._file.blocks():
            size = len(next(iter(block.values())))
            if self._limit and first + size > self._limit:
                size = self._limit - first
            yield first, {name: column.slice(0, size) for name, column in block.items()}
            first += size
            if self._limit and first >= self._limit:
                break
        self.unmapped.update(self._file.broken)

    def _map(self, first: int, block: Block) -> Mapped:
        mapping = self._mapping
        size = len(next(iter(block.values())))
        fields: dict[str, list[Any]] = {}
        for name, column in mapping.columns.items():
            fields[name] = self._field(name, block[column])
        for name, value in mapping.constants.items():
            fields[name] = [value] * size
        if "transaction_id" not in fields:
            fields["transaction_id"] = [f"{self._stem}-{first + row}" for row in range(size)]
        kept = self._complete(fields, size)
        event_ms = [fields["event_time"][row] for row in kept]
        for name in TIMES:
            if name in mapping.columns:
                present = [row for row in kept if fields[name][row] is not None]
                for row, text in zip(present, convert.iso([fields[name][row] for row in present]), strict=True):
                    fields[name][row] = text
        names = list(fields)
        rows = zip(*fields.values(), strict=True)
        values = [
            self._encode({name: value for name, value in zip(names, row, strict=True) if value is not None})
            for row in (rows if len(kept) == size else _only(rows, kept))
        ]
        cards = fields["card_id"]
        ids = fields["transaction_id"]
        return Mapped([ids[row] for row in kept], [cards[row].encode() for row in kept], values, event_ms, kept)

    def _field(self, name: str, column: Any) -> list[Any]:
        if name in TIMES:
            return convert.times(column, self._mapping.time)
        if name in NUMBERS:
            return convert.numbers(column, self._mapping.units.get(name) == "minor")
        found = convert.texts(column)
        if name in self._mapping.values:
            translate = self._mapping.values[name]
            found = [value if value is None else translate.get(value, value) for value in found]
        if name in self._mapping.prefix:
            prefix = self._mapping.prefix[name]
            found = [value if value is None else prefix + value for value in found]
        return list(found)

    def _complete(self, fields: dict[str, list[Any]], size: int) -> list[int]:
        """Rows that have everything a transaction needs; the others are counted by the first thing they lack."""
        lacking: dict[int, str] = {}
        for name in ("transaction_id", *REQUIRED):
            for row, value in enumerate(fields[name]):
                if value is None:
                    lacking.setdefault(row, name)
        for name in lacking.values():
            self.unmapped[f"{name} is missing or cannot be read"] += 1
        return [row for row in range(size) if row not in lacking] if lacking else list(range(size))

    def send(
        self, bootstrap: str, topic: str, speed: float, stop: threading.Event, progress: Progress
    ) -> dict[str, Any]:
        """Send the file into a topic.

        Parameters
        ----------
        bootstrap : str
            Kafka, host:port.
        topic : str
            It must exist.
        speed : float
            Factor by which event time is compressed; 0: flat out.
        stop : threading.Event
            Ends early when set.
        progress : Progress
            Counts and speaks.

        Returns
        -------
        dict
            Counts, rate and the reasons why rows could not be mapped.

        Raises
        ------
        SettingError, BrokerError
            If the topic does not exist, or no broker answers.
        """
        sender: Sender = open_sender(bootstrap, _PLAIN_SPEED_ROWS if 0 < speed <= _PLAIN_SPEED_ROWS else 0)
        begin, origin = time.monotonic(), None
        times: list[int] = []
        try:
            for mapped in self.mapped():
                if not mapped.kept:
                    continue
                event_ms = np.array(mapped.event_ms, dtype=np.int64)
                origin = int(event_ms[0]) if origin is None else origin
                # Rows before their predecessors are due at once: the order of the file is kept.
                due = np.maximum.accumulate(event_ms - origin) / 1000 / speed if speed > 0 else None
                for low, high in due_chunks(due, len(event_ms), stop, begin=begin):
                    sender.send(topic, mapped.keys[low:high], mapped.values[low:high])
                    progress.add(high - low, lambda now=int(event_ms[high - 1]): moment(now))  # type: ignore[misc]
                times = [min([*times[:1], int(event_ms.min())]), max([*times[1:], int(event_ms.max())])]
                if stop.is_set():
                    break
        finally:
            sender.close()
        return {
            "sent": progress.sent,
            "unmapped": sum(self.unmapped.values()),
            "unmapped_reasons": dict(self.unmapped),
            "seconds": round(progress.seconds, 3),
            "rate": round(progress.rate, 1),
            "first_event": moment(times[0]) if times else None,
            "last_event": moment(times[1]) if times else None,
            "stopped": stop.is_set(),
        }


def _only(rows: Iterator[tuple[Any, ...]], kept: list[int]) -> Iterator[tuple[Any, ...]]:
    wanted = set(kept)
    return (row for index, row in enumerate(rows) if index in wanted)


def _scenario(told: str | None, names: dict[str, str]) -> str:
    return names.get(told, told) if told else "unnamed"
