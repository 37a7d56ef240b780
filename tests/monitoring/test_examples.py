"""The example alerts and the dashboard: what they name exists, and what exists is explained."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from servers.monitoring.exposition import names
from tests.conftest import Caller

ROOT = Path(__file__).parent.parent.parent
GUIDE = ROOT / "docs/monitoring.md"
ALERTS = ROOT / "docs/monitoring/alerts.yml"
DASHBOARD = ROOT / "docs/monitoring/dashboard.json"


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return list(json.loads(DASHBOARD.read_text())["panels"])


def expressions() -> list[str]:
    shown = [target["expr"] for panel in panels() for target in panel["targets"]]
    return [rule["expr"] for rule in rules()] + shown


def named(text: str) -> set[str]:
    return set(re.findall(r"\bgantry_\w+", text))


@pytest.mark.parametrize("expression", expressions())
def test_expression_names_metrics_that_there_are(expression: str) -> None:
    assert named(expression) and named(expression) <= names()


def test_every_metric_is_explained_and_no_other() -> None:
    explained = set(re.findall(r"^\| `(gantry_\w+)` \|", GUIDE.read_text(), re.M))
    assert explained == {re.sub(r"_(bucket|count|sum)$", "", name) for name in names()}


def test_every_metric_is_on_the_dashboard_or_in_an_alert() -> None:
    used = {re.sub(r"_(bucket|count|sum)$", "", name) for text in expressions() for name in named(text)}
    unused = {re.sub(r"_(bucket|count|sum)$", "", name) for name in names()} - used
    assert unused <= {"gantry_actions_open"}


def test_every_alert_is_explained_with_what_to_do_and_no_other() -> None:
    explained = re.findall(r"^\| `(Gantry\w+)` \| (.+) \| (.+) \|$", GUIDE.read_text(), re.M)
    assert [name for name, _, _ in explained] == [rule["alert"] for rule in rules()]


def test_every_alert_has_a_severity_and_says_what_is_the_matter() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"]["summary"]


def test_dashboard_asks_for_its_source_and_every_panel_has_a_place() -> None:
    (source,) = json.loads(DASHBOARD.read_text())["templating"]["list"]
    assert (source["type"], source["query"]) == ("datasource", "prometheus")
    found = panels()
    assert len({panel["id"] for panel in found}) == len({panel["title"] for panel in found}) == len(found)
    taken: set[tuple[int, int]] = set()
    for panel in found:
        place = panel["gridPos"]
        assert panel["datasource"]["uid"] == f"${{{source['name']}}}"
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken and max(x for x, _ in cells) < 24
        taken |= cells


@pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed: apt-get install prometheus"
)
def test_prometheus_takes_the_rules() -> None:
    done = subprocess.run(
        ["promtool", "check", "rules", str(ALERTS)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed: apt-get install prometheus"
)
def test_prometheus_finds_nothing_wrong_with_the_metrics(admin: Caller) -> None:
    admin.get("/v2.1/servers")
    metrics = admin.get("/metrics").content.decode()
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=metrics, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(
    shutil.which("dashboard-linter") is None,
    reason="dashboard-linter is not installed: go install github.com/grafana/dashboard-linter",
)
def test_grafana_takes_the_dashboard() -> None:
    done = subprocess.run(
        ["dashboard-linter", "lint", str(DASHBOARD)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
