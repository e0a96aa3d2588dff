"""The processes of a drill: workers that are told to stop, killed or frozen, and the feed of transactions."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from stream.demo.watch import scrape
from stream.errors import FraudstreamError

READY_S = 180.0
SMALL_LAG = 1.0


class Hand:
    """One process; what it says goes to a file of its own."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], directory: Path) -> None:
        self.name, self.log = name, directory / f"{name}.log"
        self.began = time.monotonic()
        with self.log.open("wb") as sink:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *command],
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it lives."""
        if self.alive:
            self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        self.process.wait(30)

    def stop(self, seconds: float = 30.0) -> int:
        """SIGTERM, and wait.

        Raises
        ------
        FraudstreamError
            It did not end in time, or not with success.
        """
        self.signal(signal.SIGTERM)
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise FraudstreamError(
                f"{self.name} did not end within {seconds:.0f} s of SIGTERM; see {self.log}"
            ) from None
        if code:
            raise FraudstreamError(f"{self.name} ended with code {code}: {self.last_line()}")
        return code

    def lines(self) -> list[str]:
        """What it said so far."""
        return self.log.read_text(errors="replace").splitlines()

    def last_line(self) -> str:
        """What it said last."""
        return next((line for line in reversed(self.lines()) if line.strip()), "(it said nothing)")


class WorkerHand(Hand):
    """A worker: it says ``ready`` with the number of its partitions after each take-over."""

    def readies(self) -> list[dict[str, str]]:
        """The facts of each ready line."""
        return [_facts(line) for line in self.lines() if line.startswith("ready ")]

    def wait_ready(self, partitions: int | None = None, after: int = 0, seconds: float = READY_S) -> dict[str, str]:
        """Wait for a ready line behind the first `after`, with that many partitions if told.

        Raises
        ------
        FraudstreamError
            The worker ended, or did not say so in time.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            said = self.readies()
            if len(said) > after and (partitions is None or int(said[-1]["partitions"]) == partitions):
                return said[-1]
            if not self.alive:
                raise FraudstreamError(f"{self.name} ended with code {self.process.returncode}: {self.last_line()}")
            time.sleep(0.05)
        raise FraudstreamError(f"{self.name} was not ready within {seconds:.0f} s; see {self.log}")

    def wait_caught_up(self, seconds: float = READY_S) -> float:
        """Wait until the worker is ready and less than a second behind; seconds since its start."""
        address = self.wait_ready(seconds=seconds)["metrics"]
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            sample = scrape(address)
            if sample and sample.get("fraud_lag_seconds", 0.0) < SMALL_LAG and "fraud_lag_messages" in sample:
                return time.monotonic() - self.began
            if not self.alive:
                raise FraudstreamError(f"{self.name} ended with code {self.process.returncode}: {self.last_line()}")
            time.sleep(0.05)
        raise FraudstreamError(f"{self.name} did not catch up within {seconds:.0f} s; see {self.log}")


class Crew:
    """Starts workers and the feed; whatever happens, `end` leaves none of them.

    Parameters
    ----------
    directory
        Takes their logs.
    environment
        Settings of the drill, as the worker reads them.
    worker
        Module and arguments that run a worker.
    """

    def __init__(self, directory: Path, environment: Mapping[str, str], worker: Sequence[str]) -> None:
        self._directory, self._environment, self._worker = directory, dict(environment), tuple(worker)
        self._numbers = itertools.count(1)
        self._hands: list[Hand] = []

    def start_worker(self) -> WorkerHand:
        """Start another worker."""
        hand = WorkerHand(f"worker-{next(self._numbers)}", self._worker, self._environment, self._directory)
        self._hands.append(hand)
        return hand

    def start(self, name: str, command: Sequence[str]) -> Hand:
        """Start something else under the same settings."""
        hand = Hand(name, command, self._environment, self._directory)
        self._hands.append(hand)
        return hand

    def end(self) -> None:
        """Kill whatever still runs, frozen or not."""
        for hand in self._hands:
            if hand.alive:
                hand.kill()


def _facts(line: str) -> dict[str, str]:
    return dict(word.split("=", 1) for word in line.split()[1:] if "=" in word)
