"""/metrics, /healthz and /readyz over HTTP, and the names that dashboards use."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from stream.errors import SettingError
from stream.monitor.health import Health, MonitorServer
from stream.monitor.metrics import Metrics


@pytest.fixture
def served() -> Iterator[tuple[Health, Metrics, str]]:
    health, metrics = Health(), Metrics()
    server = MonitorServer("127.0.0.1", 0, health, metrics.text)
    server.start()
    yield health, metrics, server.url
    server.stop()


def _get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own address
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_ready_follows_the_assignment(served: tuple[Health, Metrics, str]) -> None:
    health, _, url = served
    assert _get(f"{url}/readyz")[0] == 503
    health.ready, health.partitions = True, 8
    assert _get(f"{url}/readyz") == (200, '{"ok": true, "partitions": 8}\n')


def test_a_silent_loop_or_a_stalled_finisher_is_unhealthy(served: tuple[Health, Metrics, str]) -> None:
    health, _, url = served
    assert _get(f"{url}/healthz")[0] == 200
    health.stalled_for = lambda: 100.0
    assert _get(f"{url}/healthz")[0] == 503
    health.stalled_for, health.loop_at = lambda: 0.0, time.monotonic() - 60
    status, body = _get(f"{url}/healthz")
    assert status == 503 and json.loads(body)["loop_silent_seconds"] > 50


def test_the_metrics_bear_the_agreed_names(served: tuple[Health, Metrics, str]) -> None:
    _, metrics, url = served
    metrics.start([("vae", "1", "ab")], {"vae": "cpu"})
    metrics.lag_messages.labels("3").set(7)
    status, text = _get(f"{url}/metrics")
    assert status == 200
    for line in (
        "fraud_transactions_total 0.0",
        'fraud_alerts_total{outcome="review"} 0.0',
        'fraud_dead_letters_total{stage="decode"} 0.0',
        'fraud_stage_seconds_bucket{le="0.0005",stage="score"} 0.0',
        'fraud_event_to_alert_seconds_bucket{le="0.0005"} 0.0',
        'fraud_model_info{name="vae",sha256="ab",version="1"} 1.0',
        'fraud_scorer_device_info{device="cpu",scorer="vae"} 1.0',
        'fraud_lag_messages{partition="3"} 7.0',
        "fraud_commit_failures_total 0.0",
        "fraud_degraded 0.0",
    ):
        assert line in text, line
    metrics.forget_partition(3)
    assert 'partition="3"' not in _get(f"{url}/metrics")[1]


def test_another_path_is_not_found(served: tuple[Health, Metrics, str]) -> None:
    assert _get(f"{served[2]}/secrets")[0] == 404


def test_a_port_in_use_is_one_sentence(served: tuple[Health, Metrics, str]) -> None:
    port = int(served[2].rsplit(":", 1)[1])
    with pytest.raises(SettingError, match=rf"monitor\.port {port} cannot be listened on"):
        MonitorServer("127.0.0.1", port, Health(), Metrics().text)
