"""Which Java runs Kafka, and on which ports."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from stream.broker.java import find_java
from stream.broker.ports import free_ports, is_free
from stream.errors import SettingError


def java_saying(path: Path, version: str) -> str:
    path.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    path.chmod(0o755)
    return str(path)


def test_the_bundled_java_is_there() -> None:
    assert find_java(None).is_file()


def test_a_java_that_does_not_exist_is_named() -> None:
    with pytest.raises(SettingError, match="no-such-java: no such program"):
        find_java("no-such-java")


@pytest.mark.parametrize("version", ["1.8.0_392", "11.0.2"])
def test_an_old_java_is_refused(tmp_path: Path, version: str) -> None:
    with pytest.raises(SettingError, match="needs Java 17"):
        find_java(java_saying(tmp_path / "java", version))


def test_a_new_java_of_the_system_is_taken(tmp_path: Path) -> None:
    named = java_saying(tmp_path / "java", "17.0.15")
    assert find_java(named) == Path(named)


def test_a_program_that_is_no_java_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "java"
    other.write_text("#!/bin/sh\nexit 0\n")
    other.chmod(0o755)
    with pytest.raises(SettingError, match="says nothing"):
        find_java(str(other))


def test_ports_differ_and_are_free() -> None:
    ports = free_ports(8)
    assert len(set(ports)) == 8
    assert all(map(is_free, ports))


def test_a_port_with_a_server_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not is_free(server.getsockname()[1])
