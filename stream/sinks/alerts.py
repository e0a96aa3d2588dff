"""The alerts log: one partition per source partition, sealed into one chain, never a decision twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stream.events import Alert, DeadLetter
from stream.sinks.chain import Tip, seal
from stream.sinks.outbox import RECORD_BYTES, Row


@dataclass(frozen=True, slots=True)
class Sealed:
    """Alerts ready to be written: `tip` becomes the partition's only once `rows` are durable."""

    rows: list[Row]
    alerts: list[Alert]
    dead: list[DeadLetter]
    tip: Tip


class AlertLog:
    """Seals alerts onto the tip of each partition this worker holds.

    Parameters
    ----------
    card
        The transactions' field that holds the token which keys the topic.
    """

    def __init__(self, topic: str, topic_id: str, card: str = "card_id") -> None:
        self.topic, self._card = topic, card
        self._topic_id = topic_id.encode()
        self._tips: dict[int, Tip] = {}

    def take_over(self, partition: int, tip: Tip) -> None:
        """Continue a partition's chain from its tip, whose epoch is already ours."""
        self._tips[partition] = tip

    def holds(self, partition: int) -> bool:
        """Whether the partition's chain is ours to continue."""
        return partition in self._tips

    def tip(self, partition: int) -> Tip:
        """Tip of a partition's chain that is ours to continue."""
        return self._tips[partition]

    def release(self) -> None:
        """Forget every tip: the partitions may belong to another worker."""
        self._tips.clear()

    def seal(self, partition: int, alerts: Sequence[Alert]) -> Sealed:
        """Seal the alerts that are not decided yet; `settle` adopts the new tip once they are durable."""
        tip = self._tips[partition]
        decided = tip.decided_until
        rows: list[Row] = []
        sealed: list[Alert] = []
        dead: list[DeadLetter] = []
        for alert in alerts:
            if alert.source.offset <= decided:
                continue
            value, after = seal(alert, tip)
            if len(value) > RECORD_BYTES:
                dead.append(_too_large(alert, len(value)))
                continue
            rows.append(Row(value, _key(alert, self._card), self._headers(alert, after)))
            sealed.append(alert)
            tip = after
        return Sealed(rows, sealed, dead, tip)

    def settle(self, partition: int, sealed: Sealed) -> None:
        """Adopt the tip of alerts that are durable now."""
        self._tips[partition] = sealed.tip

    def _headers(self, alert: Alert, tip: Tip) -> list[tuple[str, bytes]]:
        source = alert.source
        return [
            ("schema_version", alert.schema_version.encode()),
            ("alert_id", alert.alert_id.encode()),
            ("outcome", alert.outcome.encode()),
            ("epoch", b"%d" % tip.epoch),
            ("sequence", b"%d" % tip.sequence),
            ("topic_id", self._topic_id),
            ("source_topic", source.topic.encode()),
            ("source_partition", b"%d" % source.partition),
            ("source_offset", b"%d" % source.offset),
        ]


def _key(alert: Alert, field: str) -> bytes | None:
    """The card's token; never the key of the source record, which may be a card number."""
    token = alert.transaction.get(field)
    return token.encode() if isinstance(token, str) and token.startswith("tok_") else None


def _too_large(alert: Alert, size: int) -> DeadLetter:
    return DeadLetter(
        topic=alert.source.topic,
        partition=alert.source.partition,
        offset=alert.source.offset,
        timestamp=0,
        stage="publish",
        error=f"the alert {alert.alert_id} has {size} bytes, more than the {RECORD_BYTES} that one record may have",
        payload=b"",
        payload_size=0,
        payload_sha256="",
    )
