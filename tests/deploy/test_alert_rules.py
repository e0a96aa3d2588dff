"""The alert rules: they parse, fire when they should, and say what to do."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml
from deploy_files import PROMETHEUS, ROOT, rules, run, tool

RULES = {rule["alert"]: rule for rule in rules()}


def test_prometheus_takes_the_configuration() -> None:
    said = run(tool("promtool"), "check", "config", str(PROMETHEUS / "prometheus.yml"))
    assert said.returncode == 0, said.stdout + said.stderr


def test_the_rules_fire_when_they_should() -> None:
    said = run(tool("promtool"), "test", "rules", str(PROMETHEUS / "alerts_test.yml"))
    assert said.returncode == 0, said.stdout + said.stderr


@pytest.mark.parametrize("name", RULES)
def test_a_rule_that_never_fires_is_found(name: str, tmp_path: Path) -> None:
    shutil.copytree(PROMETHEUS, tmp_path, dirs_exist_ok=True)
    broken = yaml.safe_load((tmp_path / "alerts.yml").read_text())
    for rule in broken["groups"][0]["rules"]:
        if rule["alert"] == name:
            rule["expr"] = f"({rule['expr']}) and vector(0) > 1"
    (tmp_path / "alerts.yml").write_text(yaml.safe_dump(broken))
    said = run(tool("promtool"), "test", "rules", str(tmp_path / "alerts_test.yml"))
    assert said.returncode != 0
    assert name in said.stdout + said.stderr


@pytest.mark.parametrize("name", RULES)
def test_every_rule_says_how_bad_what_and_what_to_do(name: str) -> None:
    rule = RULES[name]
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["for"]
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    headings = re.findall(r"^## (\w+)$", (ROOT / page).read_text(), re.MULTILINE)
    assert anchor == name.lower()
    assert name in headings


def test_the_first_three_rules_are_there() -> None:
    assert set(RULES) >= {"FraudstreamLag", "FraudstreamDeadLetters", "FraudstreamNoTraffic"}
