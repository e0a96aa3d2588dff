"""Throughput of the worker and of a tuned confluent-kafka loop on the same records, in alternating rounds.

Each contestant is a process of its own that starts on a full topic. Its rate is taken between the moment it has
processed a tenth and the moment it has processed all, so that neither start-up nor warm-up counts.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.load import fill_topic, threshold_for
from stream.broker import EmbeddedKafka
from stream.broker.topics import ensure_topics, product_topics
from stream.demo.watch import scrape
from stream.errors import FraudstreamError
from stream.settings import TopicSettings

ALERT_SHARE = 0.01
PARTITIONS = 8
WARM = 0.1
PATIENCE_S = 240.0
_OWN = ("alerts", "dead_letters", "profiles", "checkpoints")  # topics that no two runs share


def _environment(bootstrap: str, group: str, topics: TopicSettings, threshold: float) -> dict[str, str]:
    prefix = "FRAUDSTREAM_"
    return {
        **os.environ,
        f"{prefix}KAFKA__BOOTSTRAP": bootstrap,
        f"{prefix}KAFKA__GROUP": group,
        **{f"{prefix}TOPICS__{name.upper()}": getattr(topics, name) for name in _OWN},
        f"{prefix}DECISION__REVIEW_THRESHOLD": repr(threshold),
        f"{prefix}MODELS__ACKNOWLEDGE_SIMULATED": "true",
        f"{prefix}MODELS__DEVICE": "cpu",
        f"{prefix}SECURITY__TOKEN_KEY": "bench-key-of-no-worth-0123456789",
    }


def _ours(environment: dict[str, str], total: int, log: Path) -> dict[str, float]:
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "stream", "worker", "--metrics-port", "0"],
            stdout=sink,
            stderr=subprocess.STDOUT,
            env=environment,
        )
    try:
        address = _address(process, log)
        samples = _sample(process, address, total, log)
    finally:
        process.terminate()
        process.wait(30)
    first = next(s for s in samples if s[1] >= WARM * total)
    last = samples[-1]
    count = last[1] - first[1]
    return {"tps": count / (last[0] - first[0]), "cpu_us": (last[2] - first[2]) / count * 1e6, "alerts": last[3]}


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        for line in log.read_text(errors="replace").splitlines():
            if "metrics=" in line:
                return line.split("metrics=", 1)[1].split()[0]
        time.sleep(0.02)
    raise FraudstreamError(f"the worker did not start: {log.read_text(errors='replace')[-500:]}")


def _sample(
    process: subprocess.Popen[bytes], address: str, total: int, log: Path
) -> list[tuple[float, float, float, float]]:
    """(seconds, transactions, CPU seconds, alerts) every 100 ms until all is done."""
    samples: list[tuple[float, float, float, float]] = []
    deadline = time.monotonic() + PATIENCE_S
    while not samples or samples[-1][1] < total:
        if process.poll() is not None or time.monotonic() > deadline:
            raise FraudstreamError(f"the worker ended or stalled: {log.read_text(errors='replace')[-500:]}")
        got = scrape(address)
        if got:
            now = time.monotonic()
            samples.append(
                (now, got["fraud_transactions_total"], got["process_cpu_seconds_total"], got["fraud_alerts_total"])
            )
        time.sleep(0.1)
    return samples


def _rival(environment: dict[str, str], total: int, log: Path) -> dict[str, float]:
    with log.open("wb") as errors:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.tuned_confluent", str(total), str(WARM)],
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            timeout=PATIENCE_S,
            check=False,
        )
    if done.returncode:
        raise FraudstreamError(f"the confluent loop failed: {log.read_text(errors='replace')[-500:]}")
    return {key: float(value) for key, value in json.loads(done.stdout).items()}


def run(transactions: int, rounds: int, cards: int) -> dict[str, Any]:
    """Measure; see `describe` for what the keys mean."""
    ours: list[dict[str, float]] = []
    rival: list[dict[str, float]] = []
    with (
        tempfile.TemporaryDirectory(prefix="fraudstream-bench-") as folder,
        EmbeddedKafka(Path(folder) / "kafka") as kafka,
    ):
        bootstrap = kafka.start()
        ensure_topics(bootstrap, product_topics(PARTITIONS))
        total = fill_topic(bootstrap, TopicSettings().transactions, transactions, cards)
        threshold = threshold_for(bootstrap, TopicSettings().transactions, ALERT_SHARE)
        for number in range(rounds):
            for name, contest, results in (("ours", _ours, ours), ("rival", _rival, rival)):
                own = TopicSettings(**{topic: f"{name}.{topic}.{number}" for topic in _OWN})
                ensure_topics(bootstrap, product_topics(PARTITIONS, own))
                environment = _environment(bootstrap, f"{name}-{number}", own, threshold)
                results.append(contest(environment, total, Path(folder) / f"{name}-{number}.log"))
    return _result(ours, rival, total)


def _result(ours: list[dict[str, float]], rival: list[dict[str, float]], total: int) -> dict[str, Any]:
    def median(results: list[dict[str, float]], key: str) -> float:
        return statistics.median(r[key] for r in results)

    ratios = [a["tps"] / b["tps"] for a, b in zip(ours, rival, strict=True)]
    return {
        "throughput_tps": median(ours, "tps"),
        "cpu_us_per_tx": median(ours, "cpu_us"),
        "ratio_tuned_confluent": statistics.median(ratios),
        "ratios": ratios,
        "tuned_confluent": {
            "tps": median(rival, "tps"),
            "cpu_us": median(rival, "cpu_us"),
            "alerts": median(rival, "alerts"),
        },
        "transactions": total,
        "alerts": median(ours, "alerts"),
        "rounds": {"ours": ours, "tuned_confluent": rival},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }


def describe(result: dict[str, Any]) -> list[str]:
    """Lines for people."""
    rival = result["tuned_confluent"]
    spread = ", ".join(f"{r:.2f}" for r in result["ratios"])
    return [
        f"{result['transactions']:,} transactions, {result['alerts']:,.0f} alerts durable; {result['machine']}",
        f"fraudstream worker    {result['throughput_tps']:>9,.0f} tx/s, {result['cpu_us_per_tx']:5.1f} µs CPU each",
        f"tuned confluent loop  {rival['tps']:>9,.0f} tx/s, {rival['cpu_us']:5.1f} µs CPU each",
        f"ratio {result['ratio_tuned_confluent']:.2f} (rounds: {spread})",
    ]
