"""The wheel holds what a run needs, and works from any folder without the checkout."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing but the unpacked wheel; its dependencies come from the running environment."""
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(wheel)]
    subprocess.run(command, check=True, capture_output=True)
    return target


def run(installed: Path, cwd: Path, *arguments: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-m", "stream", *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )


def test_models_schemas_rules_and_the_jar_lock_travel(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in ("models/active.toml", "deploy/kafka/jars.lock", "deploy/rules.toml", "deploy/schemas/alert.json"):
        assert f"stream/_resources/{wanted}" in names
    assert sum(name.endswith("model.onnx") for name in names) >= 3


def test_nothing_but_the_product_travels(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"stream", "training", "benchmarks"}


def test_its_models_pass_the_check_away_from_the_checkout(installed: Path, tmp_path: Path) -> None:
    done = run(installed, tmp_path, "check", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ok"] is True


def begin(installed: Path, cwd: Path, until: str) -> subprocess.Popen[str]:
    """Start the demo and read what it prints until a text comes."""
    environment = {**os.environ, "PYTHONPATH": str(installed), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "stream", "demo", "--cards", "300"]
    process = subprocess.Popen(command, cwd=cwd, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if until in line:
            return process
    raise AssertionError(f"the demo never said {until!r}")


def processes_of(folder: Path) -> list[str]:
    """Command lines that name a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(folder) in line and entry.name != str(os.getpid()):
                found.append(line)
    return found


def test_ctrl_c_ends_everything_that_the_demo_started(installed: Path, tmp_path: Path) -> None:
    process = begin(installed, tmp_path, "the worker is ready")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert processes_of(tmp_path) == []


def test_the_demo_runs_from_it_in_any_folder_also_after_a_crash(installed: Path, tmp_path: Path) -> None:
    crashed = begin(installed, tmp_path, "sending the warm-up")
    crashed.kill()
    crashed.communicate(timeout=90)
    done = run(installed, tmp_path, "demo", "--seconds", "8", "--cards", "800", seconds=230)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((tmp_path / ".run" / "demo" / "summary.json").read_text())
    assert (summary["lost"], summary["extra"], summary["duplicates"]) == (0, 0, 0)
    assert summary["transactions"] > 10_000
    assert summary["alerts"] > 0
    assert processes_of(tmp_path) == []
