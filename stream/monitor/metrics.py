"""The worker's metrics, by the names that dashboards and alert rules use; all are updated once per batch.

Every worker holds its own registry, so that two in one process (tests) never share a number. Labels are small
vocabularies only: an id of a card, customer or transaction is never one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

SECONDS_BUCKETS = (
    *(0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075),
    *(0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
STAGES = ("decode", "features", "score", "decide", "publish")


class Metrics:
    """Counters, histograms and gauges of one worker, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._counters()
        self._histograms()
        self._gauges()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _counters(self) -> None:
        self.transactions = self._counter("fraud_transactions_total", "Transactions processed.")
        self.alerts = self._counter("fraud_alerts_total", "Alerts durable in the broker.", "outcome")
        self.alert_reasons = self._counter("fraud_alert_reasons_total", "Reason codes given in alerts.", "code")
        self.dead_letters = self._counter("fraud_dead_letters_total", "Messages that could not be processed.", "stage")
        self.late = self._counter("fraud_late_total", "Transactions older than the horizon.")
        self.duplicates = self._counter("fraud_duplicates_total", "Transactions whose id was seen before.")
        self.clock_skew = self._counter("fraud_clock_skew_total", "Transactions ahead of their append time.")
        self.commit_failures = self._counter("fraud_commit_failures_total", "Offset commits that the broker refused.")

    def _histograms(self) -> None:
        self.stage = Histogram(
            "fraud_stage_seconds",
            "Duration of one stage of one batch.",
            ("stage",),
            buckets=SECONDS_BUCKETS,
            registry=self.registry,
        )
        self.event_to_alert = Histogram(
            "fraud_event_to_alert_seconds",
            "From the record's timestamp to its alert durable in the broker.",
            buckets=SECONDS_BUCKETS,
            registry=self.registry,
        )
        self.batch = Histogram(
            "fraud_batch_transactions",
            "Transactions scored at once.",
            buckets=BATCH_BUCKETS,
            registry=self.registry,
        )

        self._stages: dict[str, Histogram] = {}

    def _gauges(self) -> None:
        self.lag_messages = self._gauge("fraud_lag_messages", "Messages behind the log's end.", "partition")
        self.lag_seconds = self._gauge("fraud_lag_seconds", "Age of the last message processed.", "partition")
        self.state_rows = self._gauge("fraud_state_rows", "Cards held in memory.")
        self.state_bytes = self._gauge("fraud_state_bytes", "Bytes of entity state held in memory.")
        self.recovery = self._gauge("fraud_recovery_seconds", "Duration of the last rebuild of state.")
        self.model_info = self._gauge("fraud_model_info", "A model that scores.", "name", "version", "sha256")
        self.device_info = self._gauge("fraud_scorer_device_info", "Where a scorer runs.", "scorer", "device")
        self.degraded = self._gauge("fraud_degraded", "Detectors taken out of the panel.")
        self.superseded = self._gauge("fraud_superseded_alerts", "Alerts in the log written by a fenced worker.")

    def start(self, models: Iterable[tuple[str, str, str]], devices: Mapping[str, str]) -> None:
        """Set what is known at start, and the zeros that make a rate visible from the first event.

        Parameters
        ----------
        models
            Name, version and sha256 of each model.
        devices
            Device of each scorer.
        """
        for name, version, sha256 in models:
            self.model_info.labels(name, version, sha256).set(1)
        for scorer, device in devices.items():
            self.device_info.labels(scorer, device.split(" ", 1)[0]).set(1)  # "cpu (why)": the log says why
        for stage in STAGES:
            self.stage.labels(stage)
        for outcome in ("review", "step_up", "decline_recommended"):
            self.alerts.labels(outcome)
        for stage in ("decode", "mapping", "validate"):
            self.dead_letters.labels(stage)
        self.degraded.set(0)
        self.superseded.set(0)

    def observe_stages(self, seconds: Mapping[str, float]) -> None:
        """Record how long each stage of one batch took, in seconds."""
        for stage, value in seconds.items():
            child = self._stages.get(stage)
            if child is None:
                child = self._stages[stage] = self.stage.labels(stage)
            child.observe(value)

    def forget_partition(self, partition: int) -> None:
        """Drop the lag of a partition that this worker no longer holds."""
        for gauge in (self.lag_messages, self.lag_seconds):
            gauge.remove(str(partition))

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self.registry)
