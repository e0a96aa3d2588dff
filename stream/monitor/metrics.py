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
ACCOUNT_OUTCOMES = ("taken", "known", "ignored", "ahead", "unreadable", "full")
LABEL_OUTCOMES = ("applied", "confirming", "contradicting", "double", "early", "late", "unreadable")
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
        self.checkpoint_bytes = self._counter("fraud_checkpoint_bytes_total", "Bytes written into checkpoints.")
        self.checkpoint_failures = self._counter(
            "fraud_checkpoint_failures_total", "Checkpoints that the broker refused; the one before stands."
        )
        self.account_events = self._counter(
            "fraud_account_events_total", "Messages about accounts read, by what became of them.", "outcome"
        )
        self.labels = self._counter("fraud_labels_total", "Labels read, by what they led to.", "outcome")
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
        self.recovery = self._gauge("fraud_recovery_seconds", "Duration of the last recovery of state.")
        self.checkpoint_age = self._gauge("fraud_checkpoint_age_seconds", "Age of the oldest partition's checkpoint.")
        self.checkpoint_age_ratio = self._gauge(
            "fraud_checkpoint_age_retention_ratio", "That age over how long the source keeps its records; 0 for good."
        )
        self.checkpoint_seconds = self._gauge("fraud_checkpoint_seconds", "Duration of the last round of checkpoints.")
        self.checkpoint_live = self._gauge("fraud_checkpoint_live_bytes", "Bytes of checkpoints that count.")
        self.checkpoint_log = self._gauge("fraud_checkpoint_log_bytes", "Bytes of the checkpoints' log in the broker.")
        self.source_retention = self._gauge(
            "fraud_source_retention_seconds", "How long the source keeps its records; +Inf when for good."
        )
        self.account_lag = self._gauge("fraud_account_events_lag_messages", "Messages about accounts not yet read.")
        self.account_bytes = self._gauge("fraud_account_events_bytes", "Bytes of account events held in memory.")
        self.model_info = self._gauge("fraud_model_info", "A model that scores.", "name", "version", "sha256")
        self.device_info = self._gauge("fraud_scorer_device_info", "Where a scorer runs.", "scorer", "device")
        self.degraded = self._gauge("fraud_degraded", "Detectors taken out of the panel.")
        self.profile_staleness = self._gauge(
            "fraud_profile_staleness_seconds", "Event time by which the partition merged least far is behind."
        )
        self.profile_entities = self._gauge("fraud_profile_entities", "Merchants and terminals in merged profiles.")
        self.profile_untold = self._gauge("fraud_profile_untold_hours", "Closed hours not durable on their topic yet.")
        self.profile_turned_away = self._gauge(
            "fraud_profile_turned_away", "Rows of profiles that found no room in memory."
        )
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
        for outcome in LABEL_OUTCOMES:
            self.labels.labels(outcome)
        for stage in ("decode", "mapping", "validate", "events"):
            self.dead_letters.labels(stage)
        for outcome in ACCOUNT_OUTCOMES:
            self.account_events.labels(outcome)
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
