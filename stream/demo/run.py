"""Start the parts in order, watch them, stop them, judge what they did."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import secrets
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.live import Live

from stream.broker import EmbeddedKafka
from stream.broker.topics import ensure_topics, product_topics
from stream.demo.parts import Parts
from stream.demo.topic import commit_at, ends_of
from stream.demo.watch import AlertFeed, scrape, screen
from stream.errors import FraudstreamError, SettingError
from stream.panels import load_panel
from stream.pipeline import Pipeline
from stream.settings import Settings, load
from stream.warm import warm_up

GROUP = "fraudstream-demo"
DRAIN_SECONDS = 60.0


@dataclass(frozen=True)
class Plan:
    """What the demo plays: a bank that training never saw, a month of warm-up, then some weeks in a minute."""

    directory: Path
    seconds: float = 60.0
    cards: int = 2_500
    warmup_days: int = 31
    live_days: int = 14
    bank: int = 7_001
    seed: int = 42
    prevalence_bp: int = 80
    partitions: int = 4
    device: str = "auto"
    keep: bool = False
    svg: Path | None = None
    start: str = ""

    @property
    def speed(self) -> float:
        """Compression of event time in the live part."""
        return self.live_days * 86_400 / self.seconds


@dataclass
class Ran:
    """What a run leaves for the judge."""

    settings: Settings
    bootstrap: str
    metrics: str
    warm_until: dict[int, int]
    truth: Path
    worker_code: int | None = None
    live_seconds: float = 0.0
    first_alert_seconds: float | None = None
    notes: dict[str, float] = field(default_factory=dict)


def _compile_kernels() -> None:
    """Fill the compiler's cache while the broker starts; the worker and the judge then load from it."""
    settings = load()
    warm_up(Pipeline(settings, load_panel(settings), topic_id="warm-up"))


def first_day(days: int) -> str:
    """ISO date so that a history of that many days ends at the last midnight UTC: event time is never ahead."""
    today = dt.datetime.now(dt.UTC).date()
    return (today - dt.timedelta(days=days)).isoformat()


def _simulate(plan: Plan, bootstrap: str, topics: Settings, part: str) -> list[str]:
    days = plan.warmup_days + plan.live_days
    arguments = ["simulate", "--bootstrap", bootstrap, "--topic", topics.topics.transactions]
    arguments += ["--feedback-topic", topics.topics.feedback, "--events-topic", topics.topics.events]
    arguments += ["--cards", str(plan.cards), "--days", str(days)]
    arguments += ["--bank", str(plan.bank), "--seed", str(plan.seed), "--prevalence-bp", str(plan.prevalence_bp)]
    arguments += ["--start", plan.start, "--part", part, "--warmup-days", str(plan.warmup_days)]
    arguments += ["--truth", str(plan.directory / f"truth-{part}.jsonl")]
    return [*arguments, *(["--speed", f"{plan.speed:.3f}"] if part == "live" else ["--rate", "0"])]


class Demo:
    """One run; `run` returns what the judge needs, and leaves nothing behind unless told to keep it."""

    def __init__(self, plan: Plan, console: Console) -> None:
        self.plan, self.console = plan, console
        self.parts = Parts(plan.directory)
        self.kafka = EmbeddedKafka(plan.directory / "kafka", owned=not plan.keep)
        self.started = time.monotonic()

    def say(self, text: str) -> None:
        """One line of progress with the seconds since the start."""
        self.console.print(
            f"[dim]{time.monotonic() - self.started:5.1f} s[/dim]  {text}", highlight=False, soft_wrap=True
        )

    def prepare(self) -> None:
        """Clear what an earlier run left, running or not."""
        try:
            self.plan.directory.mkdir(parents=True, exist_ok=True)
            if self.plan.svg:
                self.plan.svg.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingError(f"--dir or --svg cannot be made ({error}); name a folder that can be written") from None
        ended = self.parts.end_leftovers()
        self.kafka.stop()
        if ended:
            self.say(f"ended what an earlier run left behind: {', '.join(ended)}")
        shutil.rmtree(self.plan.directory / "kafka", ignore_errors=True)

    def play(self) -> Ran:
        """Broker, topics, warm-up, worker, live part, drain; the parts still run when it returns."""
        plan = self.plan
        self.say("starting a real Apache Kafka on this machine (first time: its jars are fetched) …")
        compiling = threading.Thread(target=_compile_kernels, name="kernels", daemon=True)
        compiling.start()
        bootstrap = self.kafka.start()
        settings = load(None, {"kafka": {"bootstrap": bootstrap, "group": GROUP}})
        ensure_topics(bootstrap, product_topics(plan.partitions, settings.topics))
        self.say(f"Apache Kafka answers on {bootstrap}; topics with {plan.partitions} partitions are there")
        warm = f"{plan.warmup_days} days of history of {plan.cards:,} cards, bank {plan.bank}, seed {plan.seed}"
        self.say(f"sending the warm-up: {warm} …")
        self.parts.start("warmup", _simulate(plan, bootstrap, settings, "warmup"))
        self.parts.wait("warmup", 180)
        warm_until = ends_of(bootstrap, settings.topics.transactions)
        commit_at(bootstrap, GROUP, settings.topics.transactions, warm_until)
        self.say(
            f"{sum(warm_until.values()):,} warm-up transactions are in the topic; they are learnt from, not scored"
        )
        if compiling.is_alive():
            self.say("compiling the feature kernels, once on this machine …")
            compiling.join()
        metrics = self._start_worker(bootstrap)
        ran = Ran(settings, bootstrap, metrics, warm_until, plan.directory / "truth-live.jsonl")
        self._live(ran)
        return ran

    def _start_worker(self, bootstrap: str) -> str:
        self.say("starting the worker: it rebuilds its state from the topic, then goes live …")
        arguments = ["worker", "--bootstrap", bootstrap, "--group", GROUP, "--device", self.plan.device]
        key = {"FRAUDSTREAM_SECURITY__TOKEN_KEY": secrets.token_hex(32)}
        self.parts.start("worker", [*arguments, "--acknowledge-simulated", "--metrics-port", "0"], key)
        for line in self.parts.follow("worker", 90):
            if line.startswith("ready "):
                facts = dict(item.split("=", 1) for item in line.split()[1:] if "=" in item)
                self.say(f"the worker is ready; metrics at {facts['metrics']}/metrics")
                return facts["metrics"]
        raise FraudstreamError(
            f"the worker did not become ready; its log {self.plan.directory / 'worker.log'} ends: "
            f"{self.parts.last_line('worker')}"
        )

    def _live(self, ran: Ran) -> None:
        feed = AlertFeed(ran.bootstrap, ran.settings.topics.alerts, list(ran.warm_until))
        feed.start()
        try:
            self._follow(feed, ran)
        finally:
            feed.stop()
        if feed.first_at is not None:
            ran.first_alert_seconds = feed.first_at - time.time() + (time.monotonic() - self.started)

    def _follow(self, feed: AlertFeed, ran: Ran) -> None:
        """Play the live part and wait until the worker has told all of it."""
        plan = self.plan
        self.say(
            f"live: {plan.live_days} days of card traffic in {plan.seconds:.0f} s (event time ×{plan.speed:,.0f}), "
            f"{plan.prevalence_bp} frauds in 10,000"
        )
        began = time.monotonic()
        self.parts.start("live", _simulate(plan, ran.bootstrap, ran.settings, "live"))
        self._watch(feed, ran, lambda: self.parts.code("live") is not None, plan.seconds + 60)
        self.parts.wait("live", 1)
        ends = ends_of(ran.bootstrap, ran.settings.topics.transactions)
        goal = sum(ends.values()) - sum(ran.warm_until.values())
        self._watch(feed, ran, lambda: scrape(ran.metrics).get("fraud_transactions_total", 0) >= goal, DRAIN_SECONDS)
        ran.live_seconds = time.monotonic() - began
        time.sleep(0.5)

    def _watch(self, feed: AlertFeed, ran: Ran, done: Callable[[], bool], seconds: float) -> None:
        """Draw until `done`; lines every five seconds where there is no terminal."""
        deadline = time.monotonic() + seconds
        before, rate, spoken = (time.monotonic(), 0.0), 0.0, 0.0
        facts = _facts(scrape(ran.metrics), 0.0, feed.count)
        live = Live(console=self.console, refresh_per_second=4, transient=True) if self.console.is_terminal else None
        with live or contextlib.nullcontext():
            while not done():
                if self.parts.code("worker") is not None:
                    raise FraudstreamError(f"the worker died: {self.parts.last_line('worker')}")
                if time.monotonic() > deadline:
                    raise FraudstreamError(f"the stream did not end within {seconds:.0f} s; see {self.plan.directory}")
                sample, now = scrape(ran.metrics), time.monotonic()
                total = sample.get("fraud_transactions_total", 0.0)
                if now - before[0] >= 1.0:
                    rate, before = (total - before[1]) / (now - before[0]), (now, total)
                facts = _facts(sample, rate, feed.count)
                if live:
                    live.update(screen(facts, feed))
                elif now - spoken >= 5:
                    spoken = now
                    self.say("  ".join(f"{name} {value}" for name, value in facts.items()))
                time.sleep(0.25)
        if self.plan.svg and feed.count:
            recorder = Console(record=True, width=130, force_terminal=True, file=io.StringIO())
            recorder.print(screen(facts, feed))
            recorder.save_svg(str(self.plan.svg), title="fraudstream demo")

    def stop_worker(self) -> int | None:
        """SIGTERM the worker, which drains; return its exit code."""
        return self.parts.stop("worker")

    def close(self, *, ended_well: bool) -> None:
        """Stop everything; Kafka's data goes, except where somebody has to look why it ended badly."""
        self.parts.stop_all()
        self.kafka.stop()
        if ended_well:
            shutil.rmtree(self.plan.directory / "kafka", ignore_errors=True)


def _facts(sample: dict[str, float], rate: float, alerts: int) -> dict[str, str]:
    return {
        "transactions": f"{sample.get('fraud_transactions_total', 0):,.0f}",
        "per second": f"{rate:,.0f}",
        "lag": f"{sample.get('fraud_lag_messages', 0):,.0f}",
        "alerts": f"{alerts:,}",
        "dead letters": f"{sample.get('fraud_dead_letters_total', 0):,.0f}",
        "duplicates": f"{sample.get('fraud_duplicates_total', 0):,.0f}",
        "late": f"{sample.get('fraud_late_total', 0):,.0f}",
        "cards": f"{sample.get('fraud_state_rows', 0):,.0f}",
    }
