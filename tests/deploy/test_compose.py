"""docker-compose.yml: what Docker would refuse, and what a careful operator would."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from deploy_files import ROOT, compose, run

from stream.settings import load

SERVICE_KEYS = {
    *("image", "build", "command", "environment", "volumes", "ports", "expose", "depends_on", "healthcheck", "restart"),
    *("user", "read_only", "tmpfs", "cap_drop", "security_opt", "stop_grace_period"),
}
HEALTH_KEYS = {"test", "interval", "timeout", "retries", "start_period"}
SERVICES: dict[str, dict[str, Any]] = compose()["services"]
OURS = [name for name, service in SERVICES.items() if service["image"].startswith("fraudstream")]


def dependencies(service: dict[str, Any]) -> dict[str, str]:
    wanted = service.get("depends_on", {})
    if isinstance(wanted, list):
        return dict.fromkeys(wanted, "service_started")
    return {name: condition["condition"] for name, condition in wanted.items()}


def test_the_pieces_are_there() -> None:
    assert set(SERVICES) == {"kafka", "topics", "worker", "simulator", "prometheus", "grafana"}


@pytest.mark.parametrize("name", SERVICES)
def test_every_key_is_one_that_compose_knows(name: str) -> None:
    assert set(SERVICES[name]) <= SERVICE_KEYS
    assert set(SERVICES[name].get("healthcheck", {})) <= HEALTH_KEYS


@pytest.mark.parametrize("name", SERVICES)
def test_every_dependency_exists_and_can_be_met(name: str) -> None:
    for other, condition in dependencies(SERVICES[name]).items():
        assert other in SERVICES
        assert condition in {"service_started", "service_healthy", "service_completed_successfully"}
        assert condition != "service_healthy" or "healthcheck" in SERVICES[other]
        assert condition != "service_completed_successfully" or "restart" not in SERVICES[other]


def test_every_volume_is_declared_or_lies_in_the_repository() -> None:
    declared = set(compose()["volumes"])
    mounts = [mount.split(":") for service in SERVICES.values() for mount in service.get("volumes", [])]
    assert {source for source, *_ in mounts if not source.startswith(".")} == declared
    for source, _, *mode in mounts:
        if source.startswith("."):
            assert (ROOT / source).is_dir()
            assert mode == ["ro"]


def test_ports_are_open_to_this_machine_alone_and_differ() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert len({port.split(":")[1] for port in ports}) == len(ports)


def test_images_are_pinned() -> None:
    assert all(":" in service["image"] and not service["image"].endswith(":latest") for service in SERVICES.values())


@pytest.mark.parametrize("name", OURS)
def test_our_containers_are_not_root_and_read_only(name: str) -> None:
    service = SERVICES[name]
    assert service["user"].split(":")[0] not in {"0", "root"}
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]


def test_secrets_come_from_outside_and_are_required() -> None:
    assert SERVICES["worker"]["environment"]["FRAUDSTREAM_SECURITY__TOKEN_KEY"] == "<FRAUDSTREAM_SECURITY__TOKEN_KEY>"
    assert SERVICES["grafana"]["environment"]["GF_SECURITY_ADMIN_PASSWORD"] == "<GRAFANA_ADMIN_PASSWORD>"


def test_the_worker_takes_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in SERVICES["worker"]["environment"].items():
        monkeypatch.setenv(key, value)
    settings = load()
    assert settings.kafka.bootstrap == "kafka:9092"
    assert SERVICES["worker"]["expose"] == [str(settings.monitor.port)]
    assert settings.models.acknowledge_simulated


@pytest.mark.parametrize("name", OURS)
def test_every_option_of_a_command_exists(name: str) -> None:
    said = run(sys.executable, "-m", "stream", *SERVICES[name]["command"], "--help", cwd=ROOT)
    assert said.returncode == 0, said.stderr


def test_topics_are_made_as_the_embedded_broker_makes_them() -> None:
    command = SERVICES["topics"]["command"]
    assert command[:2] == ["broker", "topics"]
    assert int(command[command.index("--partitions") + 1]) == 8
    assert SERVICES["kafka"]["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    properties = (ROOT / "deploy" / "kafka" / "server.properties").read_text()
    assert f"message.max.bytes={SERVICES['kafka']['environment']['KAFKA_MESSAGE_MAX_BYTES']}\n" in properties
