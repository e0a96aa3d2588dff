"""The demo's processes: started in groups of their own, remembered on disk, and gone afterwards whatever happens."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from stream.errors import FraudstreamError

STOP_SECONDS = 15.0


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


class Parts:
    """Child processes of one demo run.

    Parameters
    ----------
    directory
        The run's folder; logs go to ``<name>.log`` in it, process ids to ``parts.json``, so that the next run can
        end what a killed demo left behind.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._ledger = directory / "parts.json"

    def end_leftovers(self) -> list[str]:
        """Kill parts of an earlier run that is no more; return their names."""
        ended = []
        if self._ledger.exists():
            with contextlib.suppress(ValueError, OSError):
                for name, pid in json.loads(self._ledger.read_text()).items():
                    if "-m stream" in _command_line(pid):
                        with contextlib.suppress(ProcessLookupError):
                            os.killpg(pid, signal.SIGKILL)
                        ended.append(name)
            self._ledger.unlink(missing_ok=True)
        return ended

    def start(self, name: str, arguments: list[str], environment: Mapping[str, str] | None = None) -> Path:
        """Start ``fraudstream ARGUMENTS`` in the background; return the file that holds its output."""
        log = self.directory / f"{name}.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                [sys.executable, "-m", "stream", *arguments],
                stdout=sink,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        self._running[name] = process
        self._remember()
        return log

    def code(self, name: str) -> int | None:
        """Exit code of a part, None while it runs."""
        return self._running[name].poll()

    def wait(self, name: str, seconds: float) -> int:
        """Wait for a part to end by itself.

        Raises
        ------
        FraudstreamError
            It failed or outlived the time; the text names its log.
        """
        try:
            code = self._running[name].wait(seconds)
        except subprocess.TimeoutExpired:
            raise FraudstreamError(f"{name} did not end within {seconds:.0f} s; see {self._log(name)}") from None
        if code:
            raise FraudstreamError(f"{name} ended with code {code}; see {self._log(name)}: {self.last_line(name)}")
        return code

    def stop(self, name: str) -> int | None:
        """Ask a part to end (SIGTERM), insist after a while (SIGKILL); return its exit code."""
        process = self._running.pop(name, None)
        if process is None:
            return None
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._remember()
        return process.returncode

    def stop_all(self) -> None:
        """Stop every part, the last one first."""
        for name in reversed(list(self._running)):
            self.stop(name)
        self._ledger.unlink(missing_ok=True)

    def follow(self, name: str, seconds: float) -> Iterator[str]:
        """Yield the lines of a part's log as they come, until it ends or the time is over."""
        deadline = time.monotonic() + seconds
        with self._log(name).open(errors="replace") as log:
            while time.monotonic() < deadline:
                line = log.readline()
                if line.endswith("\n"):
                    yield line.rstrip("\n")
                elif self.code(name) is not None:
                    return
                else:
                    time.sleep(0.05)

    def last_line(self, name: str) -> str:
        """The last line that a part printed; what it died of."""
        lines = self._log(name).read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "(it printed nothing)"

    def _log(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    def _remember(self) -> None:
        alive = {name: process.pid for name, process in self._running.items() if process.poll() is None}
        self._ledger.write_text(json.dumps(alive))
