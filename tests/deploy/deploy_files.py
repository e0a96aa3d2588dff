"""The deployment's files, read as what they are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
_VARIABLE = re.compile(r"\$\{(\w+)(?:(:\?|:-)([^}]*))?\}")
_PROMQL_WORDS = {
    "and",
    "or",
    "unless",
    "on",
    "ignoring",
    "by",
    "without",
    "bool",
    "group_left",
    "group_right",
    "offset",
}


def tool(name: str) -> str:
    """Find a program beside this Python or on the path; the tests that need it fail without it."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    assert found, f"{name} is missing; run: bash deploy/install-test-tools.sh"
    return found


def run(*command: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a program and keep what it says."""
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False, timeout=60)


def compose() -> dict[str, Any]:
    """The compose file, with every variable unset: a required one becomes ``<NAME>``."""
    text = (ROOT / "docker-compose.yml").read_text()
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    return yaml.safe_load(_VARIABLE.sub(_unset, "\n".join(lines)))


def _unset(match: re.Match[str]) -> str:
    assert match[2], f"{match[0]} has neither a default (:-) nor a message (:?)"
    return match[3] if match[2] == ":-" else f"<{match[1]}>"


def rules() -> list[dict[str, Any]]:
    """Every alert rule."""
    groups = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels(path: Path) -> list[dict[str, Any]]:
    """The panels of a dashboard, without its row headings."""
    return [panel for panel in json.loads(path.read_text())["panels"] if panel["type"] != "row"]


def dashboard_queries() -> Iterator[tuple[str, str]]:
    """Where and what: each query of each dashboard, with the interval that Grafana would fill in."""
    for path in DASHBOARDS:
        for panel in panels(path):
            for target in panel["targets"]:
                where = f"{path.stem}: {panel['title']} {target['refId']}"
                yield where, target["expr"].replace("$__rate_interval", "20s")


def metric_names(expression: str) -> set[str]:
    """The metrics that a PromQL expression reads."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    bare = re.sub(r"\{[^}]*\}", " ", bare)
    bare = re.sub(r"\[[^\]]*\]", " ", bare)
    bare = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", bare)
    names = re.findall(r"\b([a-zA-Z_:][\w:]*)\b(?!\s*\()", bare)
    return {name for name in names if name not in _PROMQL_WORDS}
