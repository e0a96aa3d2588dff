"""The chain of alerts: each names its predecessor's hash, so that a gap, a change or a second writer shows.

The hash of an alert is the SHA-256 of its message without the last member, ``,"hash":"<64 hexadecimal digits>"``: cut
it off the bytes of the message and the hashed bytes are back. No client has to write JSON as we do to verify a feed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from stream.errors import FraudstreamError
from stream.events import Alert

_ENCODE = msgspec.json.Encoder().encode
_OPEN = b',"hash":""}'  # what an alert that is not sealed yet ends in
_DIGITS = 64
_REMEMBERED = 65_536  # alerts of a partition among which a fork is told from a break


class ChainError(FraudstreamError):
    """A message of the alerts topic that is no sealed alert."""


@dataclass(frozen=True, slots=True)
class Tip:
    """Where a partition's chain ends.

    Parameters
    ----------
    epoch
        Of the writer; it grows at every take-over, so that no two writers share one.
    sequence, hash
        Of the last alert; 0 and "" before the first.
    decided_until
        Highest source offset that has an alert; -1 before the first.
    """

    epoch: int = 0
    sequence: int = 0
    hash: str = ""
    decided_until: int = -1


def seal(alert: Alert, tip: Tip) -> tuple[bytes, Tip]:
    """Append an alert to a chain.

    Returns
    -------
    bytes, Tip
        The message to publish and the chain's new end.
    """
    sequence = tip.sequence + 1
    linked = msgspec.structs.replace(alert, epoch=tip.epoch, sequence=sequence, previous_hash=tip.hash, hash="")
    text = _ENCODE(linked)[: -len(_OPEN)]
    digest = hashlib.sha256(text + b"}").hexdigest()
    message = b'%b,"hash":"%b"}' % (text, digest.encode())
    return message, Tip(tip.epoch, sequence, digest, max(tip.decided_until, alert.source.offset))


def read(message: bytes) -> dict[str, Any]:
    """Parse one message of the alerts topic.

    Raises
    ------
    ChainError
        It is no JSON object with the fields of the chain.
    """
    try:
        alert = json.loads(message)
        tip_of(alert)
        str(alert["alert_id"] + alert["previous_hash"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ChainError("the message is no sealed alert") from None
    return dict(alert)


def tip_of(last_alert: Mapping[str, Any]) -> Tip:
    """The tip that an alert leaves behind, from its parsed JSON."""
    return Tip(
        epoch=int(last_alert["epoch"]),
        sequence=int(last_alert["sequence"]),
        hash=str(last_alert["hash"]),
        decided_until=int(last_alert["source"]["offset"]),
    )


def hash_of(message: bytes) -> str:
    """Recompute the hash of a message of the alerts topic."""
    return hashlib.sha256(message[: -len(_OPEN) - _DIGITS] + b"}").hexdigest()


@dataclass(slots=True)
class ChainReport:
    """What `verify` found.

    Parameters
    ----------
    alerts
        Messages read.
    breaks
        Messages that do not follow their predecessor, were changed, or are no alerts.
    forks
        Messages that follow an alert which already had a successor of the same epoch.
    superseded
        Messages of a fenced writer that its successor's chain passes over; readers ignore them.
    repeats
        Alert ids that stand in the log again.
    first_problem
        The first break, fork or repeat, by partition and offset; "" when there is none.
    """

    alerts: int = 0
    breaks: int = 0
    forks: int = 0
    superseded: int = 0
    repeats: int = 0
    first_problem: str = ""

    @property
    def ok(self) -> bool:
        """One chain per partition, each alert once; superseded messages are allowed."""
        return not (self.breaks or self.forks or self.repeats)


@dataclass(slots=True)
class _Partition:
    """The chain of one partition as far as it was read; `recent` maps hashes to alert ids, oldest first."""

    tip: Tip
    recent: dict[str, str]

    def extend(self, tip: Tip, alert_id: str) -> None:
        self.tip = tip
        self.recent[tip.hash] = alert_id
        if len(self.recent) > _REMEMBERED:
            del self.recent[next(iter(self.recent))]

    def cut_back(self, to_hash: str) -> list[str]:
        """Drop everything behind one alert; the ids of what was dropped."""
        dropped = []
        for digest in reversed(list(self.recent)):
            if digest == to_hash:
                break
            dropped.append(self.recent.pop(digest))
        return dropped


class Verifier:
    """Follows the chains of all partitions of an alerts topic, message by message, each partition in its order.

    The first message of a partition anchors it, so that a range can be verified. What a fenced writer adds, before or
    behind its successor's first alert, is superseded: the successor's chain is the one that counts.
    """

    def __init__(self) -> None:
        self.report = ChainReport()
        self._partitions: dict[int, _Partition] = {}
        self._ids: set[str] = set()

    def add(self, partition: int, offset: int, message: bytes) -> None:
        """Judge the next message of a partition."""
        self.report.alerts += 1
        where = f"partition {partition} offset {offset}"
        try:
            alert = read(message)
            genuine = message.endswith(b',"hash":"%b"}' % alert["hash"].encode()) and hash_of(message) == alert["hash"]
        except (ChainError, ValueError):
            self._problem("breaks", f"{where}: the message is no sealed alert")
            return
        if not genuine:
            self._problem("breaks", f"{where}: the alert was changed after it was sealed")
        found, known = tip_of(alert), self._partitions.get(partition)
        if known is None:
            if (found.sequence == 1) != (alert["previous_hash"] == ""):
                self._problem("breaks", f"{where}: number {found.sequence} has the wrong predecessor")
            known = self._partitions[partition] = _Partition(found, {alert["previous_hash"]: ""})
        elif found.epoch < known.tip.epoch:
            self.report.superseded += 1
            return
        else:
            self._follow(where, known, alert["previous_hash"], found)
        if alert["alert_id"] in self._ids:
            self._problem("repeats", f"{where}: alert {alert['alert_id']} stands in the log before")
        self._ids.add(alert["alert_id"])
        known.extend(found, alert["alert_id"])

    def _follow(self, where: str, known: _Partition, previous: str, found: Tip) -> None:
        tip = known.tip
        if previous == tip.hash:
            if found.sequence != tip.sequence + 1:
                self._problem("breaks", f"{where}: number {found.sequence} comes after number {tip.sequence}")
        elif previous not in known.recent:
            self._problem("breaks", f"{where}: number {found.sequence} does not follow number {tip.sequence}")
        elif found.epoch > tip.epoch:
            surplus = known.cut_back(previous)
            self.report.superseded += len(surplus)
            self._ids.difference_update(surplus)
        else:
            self._problem("forks", f"{where}: a second alert follows number {found.sequence - 1}")

    def _problem(self, kind: str, text: str) -> None:
        setattr(self.report, kind, getattr(self.report, kind) + 1)
        if not self.report.first_problem:
            self.report.first_problem = text


def verify(messages: Iterable[tuple[int, int, bytes]]) -> ChainReport:
    """Verify ``(partition, offset, message)`` triples, each partition's in the order of its log."""
    verifier = Verifier()
    for partition, offset, message in messages:
        verifier.add(partition, offset, message)
    return verifier.report
