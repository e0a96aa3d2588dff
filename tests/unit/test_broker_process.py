"""A background process known by the lock it holds: nothing stale can mislead."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.broker.process import LockedProcess
from stream.errors import BrokerError

SLEEP = ["sleep", "60"]


@pytest.fixture
def process(tmp_path: Path) -> Iterator[LockedProcess]:
    found = LockedProcess(tmp_path)
    yield found
    found.signal(signal.SIGKILL)
    assert found.wait(30.0)


def test_a_launched_process_is_alive_and_gone_after_a_kill(process: LockedProcess, tmp_path: Path) -> None:
    process.launch(SLEEP, tmp_path / "log")
    pid = process.pid()
    assert process.is_alive()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert process.wait(30.0)
    assert process.pid() is None


def test_a_second_launch_is_refused(process: LockedProcess, tmp_path: Path) -> None:
    process.launch(SLEEP, tmp_path / "log")
    with pytest.raises(BrokerError, match="runs already"):
        LockedProcess(tmp_path).launch(SLEEP, tmp_path / "log")


def test_a_stale_pid_that_another_process_has_now_is_never_signalled(process: LockedProcess, tmp_path: Path) -> None:
    with subprocess.Popen(SLEEP) as stranger:
        (tmp_path / "pid").write_text(str(stranger.pid))
        (tmp_path / "alive.lock").touch()
        assert process.pid() is None
        process.signal(signal.SIGKILL)
        process.launch(SLEEP, tmp_path / "log")
        assert process.pid() != stranger.pid
        assert stranger.poll() is None
        stranger.kill()


def test_a_killed_starter_leaves_a_process_that_others_know(process: LockedProcess, tmp_path: Path) -> None:
    starter = (
        "import os, signal, sys; from pathlib import Path; from stream.broker.process import LockedProcess\n"
        "LockedProcess(Path(sys.argv[1])).launch(['sleep', '60'], Path(sys.argv[1]) / 'log')\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", starter, str(tmp_path)], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert process.pid() is not None


def test_only_one_controls_at_a_time(process: LockedProcess, tmp_path: Path) -> None:
    with (
        process.control(),
        pytest.raises(BrokerError, match="another start or stop"),
        LockedProcess(tmp_path).control(0.1),
    ):
        pass


def test_output_goes_to_the_log(process: LockedProcess, tmp_path: Path) -> None:
    process.launch(["echo", "said"], tmp_path / "log")
    assert process.wait(30.0)
    assert (tmp_path / "log").read_text() == "said\n"
