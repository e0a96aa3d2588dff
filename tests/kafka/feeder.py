"""Feeds a worker slice by slice and reads what its models got."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.request import urlopen

from kafka import KafkaProducer

from tests.kafka.parity_day import Day
from tests.kafka.recording_worker import Rows, read
from tests.kafka.worker_rig import Topics, wait_until

_ANSWERED = ("applied", "confirming", "contradicting", "double")


class Feeder:
    """Sends a day slice by slice; each waits until the one before was worked through.

    Parameters
    ----------
    record
        File of `recording_worker`.
    """

    def __init__(self, topics: Topics, day: Day, record: Path) -> None:
        self._topics, self._day, self._record = topics, day, record
        self._producer = KafkaProducer(bootstrap_servers=topics.bootstrap, linger_ms=2)
        self._sent = {"transactions": 0, "feedback": 0, "events": 0}

    def send(self, topic: str, messages: list[tuple[bytes, bytes]]) -> None:
        """Send messages to one of the topics."""
        name = self._topics.transactions if topic == "transactions" else self._topics.sides[topic]
        for key, value in messages:
            self._producer.send(name, value, key=key)
        self._producer.flush()
        self._sent[topic] += len(messages)

    def beside(self, number: int) -> None:
        """Send labels and events of a slice."""
        self.send("feedback", self._day.labels[number])
        self.send("events", self._day.events[number])

    def labels_known(self) -> None:
        """What was sent so far came to the worker by its state."""
        self._sent["feedback"] = 0

    def run(self, metrics: str, first: int = 0) -> Rows:
        """Send the slices from `first` on, the labels and events of `first` having been sent before."""
        for number, messages in enumerate(self._day.transactions[first:], first):
            if number > first:
                self.beside(number)
            wait_until(lambda: self._heard(metrics), 60)
            self.send("transactions", messages)
            wait_until(lambda: len(read(self._record)) == self._sent["transactions"], 60)
        self._producer.close()
        return read(self._record)

    def _heard(self, metrics: str) -> bool:
        """Whether the worker knows every label and event that was sent."""
        with urlopen(f"{metrics}/metrics") as answer:  # noqa: S310 - the worker's own address
            text = answer.read().decode()
        labels = dict(re.findall(r'^fraud_labels_total\{outcome="(\w+)"\} (\S+)', text, re.M))
        events = re.findall(r"^fraud_account_events_total\{.*\} (\S+)", text, re.M)
        told = sum(float(labels.get(outcome, 0)) for outcome in _ANSWERED), sum(map(float, events))
        return told == (self._sent["feedback"], self._sent["events"])
