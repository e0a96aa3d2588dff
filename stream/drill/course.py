"""One drill from its topics to its verdict."""

from __future__ import annotations

import math
import random
import shutil
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stream.broker import EmbeddedKafka
from stream.broker.cluster import Cluster
from stream.broker.topics import ensure_topics, product_topics
from stream.demo.topic import ends_of, read_all
from stream.drill.check import Verdict, expect, judge
from stream.drill.commits import CommitWatch, committed
from stream.drill.crew import Crew, Hand
from stream.drill.rounds import KINDS, Scene
from stream.errors import FraudstreamError, SettingError
from stream.judge import PanelLike
from stream.panels import load_panel
from stream.settings import Settings, load
from stream.standing import compare_state

ROUND_S = 25.0
OWN_BROKERS = ("broker", "zombie")
FEED_S = 120.0
DRAIN_S = 120.0
CHECKPOINT_S = 5.0
WORKER = ("stream", "worker")
CARELESS = ("stream.drill.careless",)  # the control: a drill of it has to fail
KEY = "drill-key-of-no-worth-0123456789"
RULES = """version = "1"

[[rules]]
id = "DRILL_ABOVE_USUAL"
outcome = "review"
text = "Above twice of what this card usually pays"
when = [{ feature = "amount_vs_mean", op = ">=", value = 2.0 }]
"""


@dataclass(frozen=True)
class Plan:
    """What is done, and to whom.

    Parameters
    ----------
    kind
        One of `KINDS`.
    rounds
        How often.
    rate
        Transactions a second while it goes on.
    bootstrap
        A cluster to use; one is started when left out.
    worker
        Module and arguments that run a worker.
    panel
        Panel of the run that says what must be told; the shipped one when left out.
    """

    kind: str
    directory: Path
    rounds: int = 10
    rate: float = 1_000.0
    seed: int = 42
    cards: int = 2_000
    partitions: int = 4
    session_s: float = 3.0
    compare_state: bool = False
    bootstrap: str | None = None
    worker: Sequence[str] = WORKER
    panel: PanelLike | None = None
    by_rules: bool = True


@dataclass
class Result:
    """What a drill found; `as_dict` has the keys that scripts rely on."""

    kind: str
    rounds: int
    transactions: int
    verdict: Verdict
    recoveries: list[float]
    state_equal: bool | None
    state_rows: int
    state_difference: str
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Nothing lost, extra or repeated, one chain, and state and labels equal where they were compared."""
        v = self.verdict
        told = not (v.lost or v.extra or v.repeats or v.dead_repeats or v.chain_problem) and v.alerts > 0
        kept = self.state_equal is not False and not self.notes.get("labels_behind")
        return told and kept and not self.notes["rewound_commits"]

    @property
    def two_writers(self) -> bool:
        """A second writer shows: a fork or repeat in the chain, or a commit that went back."""
        v = self.verdict
        return bool(v.chain_problem or v.repeats or self.notes["rewound_commits"])

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        v = self.verdict
        return {
            "drill": self.kind,
            "rounds": self.rounds,
            "lost": len(v.lost),
            "extra": len(v.extra),
            "repeats": v.repeats + v.dead_repeats,
            "superseded": v.superseded,
            "chain_ok": not v.chain_problem,
            "chain_problem": v.chain_problem,
            "state_equal": self.state_equal,
            "state_rows": self.state_rows,
            "state_difference": self.state_difference,
            "recovery_seconds": round(max(self.recoveries, default=0.0), 2),
            "recoveries": [round(seconds, 2) for seconds in self.recoveries],
            "transactions": self.transactions,
            "alerts": v.alerts,
            "alerts_by_score_alone": v.by_score_alone,
            "dead_letters": v.dead,
            **self.notes,
            "two_writers": self.two_writers,
            "ok": self.ok,
        }


def run(plan: Plan, say: Callable[[str], None]) -> Result:
    """Carry a drill out.

    Raises
    ------
    SettingError
        There is no such drill, or it needs a broker of its own.
    FraudstreamError
        A worker or the feed did not do what it has to; the text names its log.
    """
    if plan.kind not in KINDS:
        raise SettingError(f"there is no drill {plan.kind!r}; drills are {', '.join(KINDS)}")
    if plan.kind in OWN_BROKERS and plan.bootstrap:
        raise SettingError(f"the {plan.kind} drill stops its broker: leave --bootstrap out, so that it starts one")
    shutil.rmtree(plan.directory, ignore_errors=True)
    plan.directory.mkdir(parents=True)
    kafka = _brokers(plan)
    try:
        bootstrap = kafka.start() if kafka is not None else str(plan.bootstrap)
        return _play(plan, _settings(plan, bootstrap), kafka, say)
    finally:
        if kafka is not None:
            kafka.stop()
            shutil.rmtree(plan.directory / "kafka", ignore_errors=True)


def _brokers(plan: Plan) -> EmbeddedKafka | Cluster | None:
    if plan.bootstrap:
        return None
    directory = plan.directory / "kafka"
    return Cluster(directory) if plan.kind == "zombie" else EmbeddedKafka(directory, owned=True)


def _settings(plan: Plan, bootstrap: str) -> Settings:
    """Topics and group of this drill alone; account events are left out: each worker reads them in its own time."""
    tag = f"drill.{plan.kind}.{uuid.uuid4().hex[:8]}"
    rules = plan.directory / "rules.toml"
    rules.write_text(RULES, "utf-8")
    names = ("transactions", "alerts", "dead_letters", "profiles", "feedback", "checkpoints")
    decision: dict[str, Any] = {"rules": rules}
    if plan.by_rules:
        decision |= {"review_threshold": 0.9997, "step_up_threshold": 0.9998, "decline_threshold": 0.9999}
    return load(
        None,
        {
            "kafka": {
                "bootstrap": bootstrap,
                "group": tag,
                "session_timeout_s": plan.session_s,
                "rebalance_timeout_s": 2 * plan.session_s,
            },
            "topics": {**{name: f"{tag}.{name}" for name in names}, "events": ""},
            "engine": {"checkpoint_s": CHECKPOINT_S},
            "models": {"acknowledge_simulated": True, "device": "cpu"},
            "decision": decision,
            "security": {"token_key": KEY},
            "monitor": {"port": 0},
        },
    )


def _environment(settings: Settings) -> dict[str, str]:
    """The settings as a worker reads them from its environment."""
    found = {"FRAUDSTREAM_SECURITY__TOKEN_KEY": KEY}
    for section in ("kafka", "topics", "engine", "models", "decision", "monitor"):
        part = getattr(settings, section)
        for name, described in type(part).model_fields.items():
            value = getattr(part, name)
            if value is not None and value != described.default:
                found[f"FRAUDSTREAM_{section}__{name}".upper()] = str(value)
    return found


def _play(plan: Plan, settings: Settings, kafka: EmbeddedKafka | Cluster | None, say: Callable[[str], None]) -> Result:
    bootstrap = settings.kafka.bootstrap
    ensure_topics(bootstrap, product_topics(plan.partitions, settings.topics))
    crew = Crew(plan.directory, _environment(settings), plan.worker)
    watch = CommitWatch(settings)
    try:
        feed = crew.start("feed", _feed(plan, settings))
        worker = crew.start_worker()
        rng = random.Random(plan.seed)
        scene = Scene(crew, worker, plan.partitions, plan.session_s, rng, kafka, settings.topics.alerts)
        scene.recoveries.append(worker.wait_caught_up())
        _wait_flowing(feed, settings)
        watch.start()
        for number in range(plan.rounds):
            KINDS[plan.kind](scene, number)
            say(f"round {number + 1} of {plan.rounds}: {plan.kind}, recovered in {scene.recoveries[-1]:.1f} s")
        _stop_feed(feed)
        offsets = _drain(scene, settings, plan)
        scene.worker.stop()
    finally:
        crew.end()
        watch.stop()
    say("reading everything back and running it once more without interruption …")
    return _judge(plan, settings, scene.recoveries[1:], offsets, watch.rewinds)


def _feed(plan: Plan, settings: Settings) -> list[str]:
    """Arguments of the simulator: a bank long enough to last until the last round."""
    seconds = FEED_S + plan.rounds * ROUND_S * (2 if plan.kind in ("rebalance", "zombie") else 1)
    days = max(3, math.ceil(seconds * plan.rate / plan.cards / 1.5))
    arguments = ["stream", "simulate", "--bootstrap", settings.kafka.bootstrap]
    arguments += ["--topic", settings.topics.transactions, "--feedback-topic", settings.topics.feedback, "--no-events"]
    arguments += ["--cards", str(plan.cards), "--days", str(days), "--seed", str(plan.seed), "--bank", "7001"]
    return [*arguments, "--rate", f"{plan.rate:g}"]


def _wait_flowing(feed: Hand, settings: Settings) -> None:
    """Wait until the feed sends."""
    deadline = time.monotonic() + FEED_S
    while not sum(ends_of(settings.kafka.bootstrap, settings.topics.transactions).values()):
        if not feed.alive or time.monotonic() > deadline:
            raise FraudstreamError(f"the feed sends nothing: {feed.last_line()}; see {feed.log}")
        time.sleep(0.1)


def _stop_feed(feed: Hand) -> None:
    """End the feed; one that ended before has left the last rounds without transactions."""
    if not feed.alive:
        raise FraudstreamError(f"the feed ended before the last round: {feed.last_line()}; see {feed.log}")
    feed.stop()


def _drain(scene: Scene, settings: Settings, plan: Plan) -> dict[int, int]:
    """Wait until everything is committed and, where the state is compared, swept; the committed offsets."""
    ends = ends_of(settings.kafka.bootstrap, settings.topics.transactions)
    deadline = time.monotonic() + DRAIN_S
    while (found := committed(settings)) != ends:
        if not scene.worker.alive or time.monotonic() > deadline:
            raise FraudstreamError(f"committed {found} of {ends}: {scene.worker.last_line()}; see {scene.worker.log}")
        time.sleep(0.2)
    if plan.compare_state:
        time.sleep(2 * CHECKPOINT_S)  # a round of sweeps at the end, so that memory itself is what is compared
    return found


def _judge(
    plan: Plan, settings: Settings, recoveries: list[float], offsets: dict[int, int], rewinds: list[str]
) -> Result:
    bootstrap = settings.kafka.bootstrap
    source = read_all(bootstrap, settings.topics.transactions)
    expected = expect(settings, plan.panel or load_panel(settings), source, by_rules=plan.by_rules)
    verdict = judge(bootstrap, settings, expected, by_rules=plan.by_rules)
    equal, rows, difference = None, 0, ""
    notes: dict[str, Any] = {"rewound_commits": rewinds}
    if plan.compare_state:
        found = compare_state(settings, offsets)
        equal = all(one.comparison.equal for one in found)
        rows = sum(one.comparison.rows for one in found)
        difference = next((f"[{v.partition}] {v.comparison.difference}" for v in found if not v.comparison.equal), "")
        notes["labels"] = sum(one.side_offset for one in found)
        notes["labels_behind"] = sum(one.side_offset - one.side_checkpoint for one in found)
        notes["state_from_checkpoint"] = sum(one.checkpoint for one in found) / max(1, sum(offsets.values()))
    return Result(plan.kind, plan.rounds, expected.transactions, verdict, recoveries, equal, rows, difference, notes)
