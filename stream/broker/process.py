"""One background process per folder, known to be alive by a lock that it holds itself.

The process inherits a locked file and keeps it open for as long as it lives. The kernel gives the lock back when the
process ends, however it ends, so a stale pid file, a reused pid or a starter killed half-way can mislead nobody.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from stream.errors import BrokerError

# the shell writes its own pid and then becomes the program: no moment in which the process lives and its pid is unknown
_LAUNCH = 'echo $$ > "$0.new" && mv "$0.new" "$0" && exec "$@"'


class LockedProcess:
    """A background process of which at most one runs per folder.

    Parameters
    ----------
    directory
        Holds ``alive.lock``, ``control.lock`` and ``pid``; made when missing.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._alive = directory / "alive.lock"
        self._pid = directory / "pid"
        self._child: subprocess.Popen[bytes] | None = None

    @contextmanager
    def control(self, timeout: float = 120.0) -> Iterator[None]:
        """Hold the right to start or stop the process; others wait.

        Raises
        ------
        BrokerError
            Another start or stop did not end within `timeout` seconds.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / "control.lock").open("w") as file:
            if not _lock_within(file.fileno(), timeout):
                raise BrokerError(f"another start or stop in {self.directory} has not ended; wait or end it")
            yield

    def is_alive(self) -> bool:
        """Tell whether the process of this folder lives."""
        if self._child is not None:
            self._child.poll()  # reaps an ended child of ours
        try:
            with self._alive.open("r+") as file:
                return not _try_lock(file.fileno(), fcntl.LOCK_SH)
        except FileNotFoundError:
            return False

    def pid(self) -> int | None:
        """Return the pid of the living process, None when there is none."""
        for _ in range(40):  # the shell of a process that was just launched may still be writing it
            if not self.is_alive():
                return None
            try:
                return int(self._pid.read_text("ascii"))
            except (FileNotFoundError, ValueError):
                time.sleep(0.05)
        return None

    def launch(self, command: Sequence[str], log: Path, environment: dict[str, str] | None = None) -> None:
        """Start the process, its output appended to `log`.

        Raises
        ------
        BrokerError
            One runs already in this folder.
        """
        with self._alive.open("w") as file, log.open("ab") as output:
            if not _lock_within(file.fileno(), 1.0):
                raise BrokerError(f"a process of {self.directory} runs already")
            self._pid.unlink(missing_ok=True)
            self._child = subprocess.Popen(
                ["/bin/sh", "-c", _LAUNCH, str(self._pid), *command],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                pass_fds=(file.fileno(),),
                start_new_session=True,
            )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process when it lives."""
        pid = self.pid()
        if pid is not None:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                return  # ended between the look and the signal

    def wait(self, timeout: float) -> bool:
        """Wait until the process has ended; return False when it still lives after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while self.is_alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.03)
        return True


def _lock_within(descriptor: int, seconds: float) -> bool:
    """Lock a file, waiting for those who hold it: a starter, or one who is just looking."""
    deadline = time.monotonic() + seconds
    while not _try_lock(descriptor):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _try_lock(descriptor: int, kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
