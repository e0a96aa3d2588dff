"""What the demo shows while the stream runs: rates from the worker's metrics, alerts from the topic."""

from __future__ import annotations

import threading
import time
import urllib.request
from collections import deque
from typing import Any

import msgspec
from kafka import KafkaConsumer, TopicPartition
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

SHOWN = 9


def scrape(address: str) -> dict[str, float]:
    """Read a worker's /metrics: each sample's value by its name, summed over labels; empty when it does not answer."""
    sums: dict[str, float] = {}
    try:
        with urllib.request.urlopen(f"{address}/metrics", timeout=2) as answer:  # noqa: S310 - our own worker's address
            text = answer.read().decode()
    except OSError:
        return sums
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name = line.split("{", 1)[0].split(" ", 1)[0]
            sums[name] = sums.get(name, 0.0) + float(line.rsplit(" ", 1)[1])
    return sums


class AlertFeed(threading.Thread):
    """Follows the alerts topic as a compliance client would, with kafka-python and read_committed."""

    def __init__(self, bootstrap: str, topic: str, partitions: list[int]) -> None:
        super().__init__(daemon=True, name="alert-feed")
        self.latest: deque[dict[str, Any]] = deque(maxlen=SHOWN)
        self.count = 0
        self.first_at: float | None = None
        self._stopping = threading.Event()
        self._address, self._topic, self._partitions = bootstrap, topic, partitions

    def run(self) -> None:
        """Poll until `stop`."""
        consumer = KafkaConsumer(bootstrap_servers=self._address, group_id=None, isolation_level="read_committed")
        tps = [TopicPartition(self._topic, p) for p in self._partitions]
        consumer.assign(tps)
        consumer.seek_to_beginning(*tps)
        while not self._stopping.is_set():
            for records in consumer.poll(timeout_ms=200).values():
                for record in records:
                    self.first_at = self.first_at or time.time()
                    self.count += 1
                    self.latest.append(msgspec.json.decode(record.value))
        consumer.close()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self.join(5)


def _alert_row(alert: dict[str, Any]) -> tuple[str, str, Text, str, str]:
    style = "bold red" if alert["outcome"] == "decline_recommended" else "yellow"
    shown = alert["transaction"]
    reasons = "; ".join(reason["text"] for reason in alert["reasons"][:3]) or ", ".join(alert["rules"])
    amount = f"{alert['amount_base']:,.2f}"
    return (
        alert["event_time"][5:16].replace("T", " "),
        amount,
        Text(f"{alert['score']:.3f}", style),
        shown["card_id"][:12],
        reasons,
    )


def screen(facts: dict[str, str], feed: AlertFeed) -> Group:
    """The live picture: facts on top, the newest alerts with their reasons below."""
    top = Table.grid(padding=(0, 3))
    for _ in range(4):
        top.add_column()
    items = [Text.assemble((f"{name} ", "dim"), (value, "bold")) for name, value in facts.items()]
    for start in range(0, len(items), 4):
        top.add_row(*items[start : start + 4])
    table = Table(expand=True, show_edge=False, header_style="dim")
    table.add_column("event time", no_wrap=True)
    table.add_column("EUR", justify="right", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("card", no_wrap=True)
    table.add_column("why", ratio=1)
    for alert in reversed(feed.latest):
        table.add_row(*_alert_row(alert))
    return Group(Panel(top, title="fraudstream demo", border_style="cyan"), table)
