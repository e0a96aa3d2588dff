"""Every query of every dashboard, run by a real Prometheus that scraped a real worker, returns data."""

from __future__ import annotations

import json
import math
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from deploy_files import PROMETHEUS, dashboard_queries, rules, tool
from kafka import KafkaProducer

from stream.broker.ports import free_ports

PATIENCE_S = 90.0


def until(found: Callable[[], Any], seconds: float, what: str) -> Any:
    """Ask again until there is an answer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := found():
            return answer
        time.sleep(0.3)
    raise AssertionError(f"no {what} within {seconds:.0f} s")


def ended(process: subprocess.Popen[bytes]) -> int:
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


def is_ready(address: str) -> bool:
    """Whether the server answers with success; while it starts it refuses or answers 503."""
    try:
        with urllib.request.urlopen(f"http://{address}/-/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


@pytest.fixture(scope="module")
def topics(kafka: str) -> dict[str, str]:
    """The environment that names this module's own topics."""
    from stream.broker import ensure_topics, product_topics
    from stream.settings import TopicSettings

    run = secrets.token_hex(4)
    names = TopicSettings(**{name: f"q{run}.{name}" for name in TopicSettings.model_fields})
    ensure_topics(kafka, product_topics(2, names))
    return names.model_dump()


@pytest.fixture(scope="module")
def worker(kafka: str, topics: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A worker that alerts on nearly everything; the address of its metrics."""
    log = tmp_path_factory.mktemp("worker") / "worker.log"
    port = free_ports(1)[0]
    environment = {
        **os.environ,
        **{f"FRAUDSTREAM_TOPICS__{name.upper()}": topic for name, topic in topics.items()},
        "FRAUDSTREAM_SECURITY__TOKEN_KEY": secrets.token_hex(32),
        "FRAUDSTREAM_DECISION__REVIEW_THRESHOLD": "0.000001",
        "FRAUDSTREAM_ENGINE__CHECKPOINT_S": "3",
        "FRAUDSTREAM_MONITOR__PORT": str(port),
    }
    command = [sys.executable, "-m", "stream", "worker", "--bootstrap", kafka, "--group", topics["transactions"]]
    with log.open("wb") as output:
        process = subprocess.Popen([*command, "--acknowledge-simulated"], env=environment, stdout=output, stderr=output)
    try:
        until(lambda: b"\nready " in b"\n" + log.read_bytes() or process.poll() is not None, PATIENCE_S, "worker")
        assert process.poll() is None, log.read_text()
        yield f"127.0.0.1:{port}"
        assert ended(process) == 0, log.read_text()
    finally:
        process.kill()


@pytest.fixture(scope="module")
def prometheus(worker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus with the product's configuration and rules, scraping that worker each second."""
    folder = tmp_path_factory.mktemp("prometheus")
    settings = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    settings["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    settings["rule_files"] = [str(PROMETHEUS / "alerts.yml")]
    job = settings["scrape_configs"][0]["job_name"]
    settings["scrape_configs"] = [{"job_name": job, "static_configs": [{"targets": [worker]}]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
    address = f"127.0.0.1:{free_ports(1)[0]}"
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                tool("prometheus"),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={address}",
            ],
            stdout=output,
            stderr=output,
        )
    try:
        until(lambda: is_ready(address), PATIENCE_S, "Prometheus that is ready")
        yield address
        assert process.poll() is None, log.read_text()
    finally:
        ended(process)


@pytest.fixture(scope="module")
def traffic(kafka: str, topics: dict[str, str], prometheus: str) -> Iterator[None]:
    """Simulated transactions for the length of the module, repeated ones and poison among them."""
    command = [sys.executable, "-m", "stream", "simulate", "--bootstrap", kafka, "--topic", topics["transactions"]]
    options = ["--cards", "300", "--days", "20", "--rate", "300", "--repeat-share", "0.01"]
    producer = KafkaProducer(bootstrap_servers=kafka)
    with subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL) as process:
        try:
            for text in (b"no json", b"{}", b'{"transaction_id": 1}'):
                producer.send(topics["transactions"], text)
            producer.flush()
            until(lambda: query(prometheus, "rate(fraud_alerts_total[20s]) > 0"), PATIENCE_S, "alerts in Prometheus")
            yield
        finally:
            process.terminate()
            producer.close()


def ask(address: str, path: str, **parameters: str) -> Any:
    url = f"http://{address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)["data"]


def query(address: str, expression: str) -> list[float]:
    """The finite values that Prometheus finds for an expression now."""
    result = ask(address, "query", query=expression).get("result", [])
    return [float(sample["value"][1]) for sample in result if math.isfinite(float(sample["value"][1]))]


@pytest.mark.usefixtures("traffic")
def test_every_query_of_every_dashboard_returns_data(prometheus: str) -> None:
    waiting = dict(dashboard_queries())
    assert len(waiting) > 20
    deadline = time.monotonic() + 90
    while waiting and time.monotonic() < deadline:
        waiting = {where: text for where, text in waiting.items() if not query(prometheus, text)}
        time.sleep(0.5 if waiting else 0)
    assert waiting == {}


@pytest.mark.usefixtures("traffic")
def test_poison_repeated_messages_and_models_are_seen(prometheus: str) -> None:
    assert sum(query(prometheus, "fraud_dead_letters_total")) >= 3
    assert sum(query(prometheus, "fraud_model_info")) >= 1
    assert until(lambda: query(prometheus, "fraud_duplicates_total > 0"), 30, "duplicates")


@pytest.mark.usefixtures("traffic")
def test_every_rule_is_evaluated(prometheus: str) -> None:
    groups = until(lambda: ask(prometheus, "rules").get("groups"), 10, "rules")
    seen = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
    assert seen == {rule["alert"]: "ok" for rule in rules()}
