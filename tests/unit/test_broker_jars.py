"""The jars of the embedded Kafka: locked, fetched whole, verified before use."""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from stream.broker import jars
from stream.errors import BrokerError, SettingError

GOOD = b"the bytes of a jar"
PLACE = Path("org/x/tool/1.0/tool-1.0.jar")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("M2_REPO", str(tmp_path / "m2"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("KAFKA_JARS_URL", "http://127.0.0.1:9")
    return tmp_path / "m2"


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "jars.lock"
    path.write_text(f"# one jar\norg.x:tool:1.0 {hashlib.sha256(GOOD).hexdigest()}\n")
    return path


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: Path) -> Iterator[Path]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Keep the test's output readable."""

    folder = tmp_path / "central"
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("KAFKA_JARS_URL", f"http://127.0.0.1:{server.server_port}")
    yield folder
    server.shutdown()
    server.server_close()


def put(root: Path, data: bytes) -> Path:
    path = root / PLACE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_the_shipped_lock_holds_one_kafka_and_a_logging_binding() -> None:
    locked = jars.read_lock(jars.lock_path())
    assert {jar.version for jar in locked if jar.group == "org.apache.kafka"} == {jars.KAFKA_VERSION}
    assert {"kafka_2.13", "kafka-clients", "log4j-slf4j-impl"} <= {jar.artifact for jar in locked}
    assert len({(jar.group, jar.artifact) for jar in locked}) == len(locked)


def test_a_malformed_lock_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "jars.lock"
    path.write_text("org.x:tool:1.0\n")
    with pytest.raises(SettingError, match="line 1"):
        jars.read_lock(path)


def test_a_good_jar_is_used(repository: Path, lock: Path) -> None:
    path = put(repository, GOOD)
    assert jars.ensure_jars(lock) == [path]


def test_a_damaged_jar_is_refused_by_name(repository: Path, lock: Path) -> None:
    path = put(repository, GOOD + b"!")
    with pytest.raises(SettingError, match=r"tool-1\.0\.jar is damaged") as caught:
        jars.ensure_jars(lock)
    assert str(path) in str(caught.value)


def test_a_jar_that_changes_after_it_was_found_good_is_hashed_again(repository: Path, lock: Path) -> None:
    put(repository, GOOD)
    jars.ensure_jars(lock)
    put(repository, bytes(reversed(GOOD)))
    with pytest.raises(SettingError, match="damaged"):
        jars.ensure_jars(lock)


def test_an_unchanged_jar_is_hashed_once(repository: Path, lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(repository, GOOD)
    hashed: list[Path] = []
    original = jars.sha256_of
    monkeypatch.setattr(jars, "sha256_of", lambda path: hashed.append(path) or original(path))
    jars.ensure_jars(lock)
    jars.ensure_jars(lock)
    assert len(hashed) == 1


def test_no_network_and_no_jars_is_one_sentence(repository: Path, lock: Path) -> None:
    with pytest.raises(BrokerError, match="cannot be fetched") as caught:
        jars.ensure_jars(lock)
    assert "\n" not in str(caught.value)
    assert "KAFKA_BOOTSTRAP" in str(caught.value)


def test_a_missing_jar_is_fetched_and_said(repository: Path, lock: Path, source: Path) -> None:
    put(source, GOOD)
    said: list[str] = []
    assert jars.ensure_jars(lock, said.append) == [repository / PLACE]
    assert (repository / PLACE).read_bytes() == GOOD
    assert "fetching 1 of 1" in said[0]


def test_a_jar_that_comes_with_other_bytes_is_not_installed(repository: Path, lock: Path, source: Path) -> None:
    put(source, b"something else")
    with pytest.raises(SettingError, match=r"tool-1\.0\.jar came with other bytes"):
        jars.ensure_jars(lock)
    assert not (repository / PLACE).exists()
