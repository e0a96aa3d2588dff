"""Dashboards and rules against the code: every metric they name exists, every panel can be drawn."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import pytest
import yaml
from deploy_files import DASHBOARDS, ROOT, compose, dashboard_queries, metric_names, panels, rules

from stream.monitor.metrics import Metrics

SUFFIXES = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"], "info": ["_info"]}
PROVISIONING = ROOT / "deploy" / "grafana" / "provisioning"


def names_in_code() -> set[str]:
    families = Metrics().registry.collect()
    return {"up"} | {f.name + suffix for f in families for suffix in SUFFIXES.get(f.type, [""])}


def test_the_names_in_an_expression_are_found() -> None:
    expression = 'sum by (le) (rate(a_total{x="b_total"}[5m])) / on (c) d and e > 1 or absent(f)'
    assert metric_names(expression) == {"a_total", "d", "e", "f"}


@pytest.mark.parametrize(("where", "expression"), list(dashboard_queries()))
def test_every_metric_of_a_dashboard_exists_in_the_code(where: str, expression: str) -> None:
    named = metric_names(expression)
    assert named
    assert named <= names_in_code(), where


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_every_metric_of_a_rule_exists_in_the_code(rule: dict[str, str]) -> None:
    assert metric_names(rule["expr"]) <= names_in_code()


def test_every_metric_of_the_code_is_shown_somewhere() -> None:
    ours = {family.name for family in Metrics().registry.collect() if family.name.startswith("fraud_")}
    shown = {name for _, expression in dashboard_queries() for name in metric_names(expression)}
    assert {name for name in ours if not any(seen.startswith(name) for seen in shown)} == set()


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_panels_have_their_own_id_place_and_explanation(path: Path) -> None:
    everything = json.loads(path.read_text())["panels"]
    assert len({panel["id"] for panel in everything}) == len(everything)
    for first, second in combinations([panel["gridPos"] for panel in everything], 2):
        apart_x = first["x"] + first["w"] <= second["x"] or second["x"] + second["w"] <= first["x"]
        apart_y = first["y"] + first["h"] <= second["y"] or second["y"] + second["h"] <= first["y"]
        assert apart_x or apart_y
    for panel in panels(path):
        assert panel["description"]
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_panels_read_the_provisioned_source(path: Path) -> None:
    sources = yaml.safe_load((PROVISIONING / "datasources" / "prometheus.yml").read_text())["datasources"]
    known = {source["uid"] for source in sources}
    assert {panel["datasource"]["uid"] for panel in panels(path)} <= known
    assert {target["datasource"]["uid"] for panel in panels(path) for target in panel["targets"]} <= known


def test_grafana_finds_the_dashboards_where_compose_mounts_them() -> None:
    providers = yaml.safe_load((PROVISIONING / "dashboards" / "fraudstream.yml").read_text())["providers"]
    grafana = compose()["services"]["grafana"]
    mounts = {mount.split(":")[1] for mount in grafana["volumes"]}
    assert {provider["options"]["path"] for provider in providers} <= mounts
    home = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert home.name in {path.name for path in DASHBOARDS}
    assert str(home.parent) in mounts
