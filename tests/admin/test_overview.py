"""The first page, the policy page, times and sizes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from servers import clock, policy
from servers.admin.times import ago
from servers.models import Project, Worker
from tests.admin.visiting import Visitor
from tests.factories import make_action, make_host, make_project, make_server

HOME = "/admin/"


def test_overview_shows_what_runs_and_what_failed_today(operator: Visitor, project: Project) -> None:
    make_action(make_server(project, name="runner"), "migrate", status="running")
    make_action(
        make_server(project, name="loser"), "lock", status="failed", error_text="no", finished_at=clock.now()
    )
    last_week = clock.now() - timedelta(days=7)
    make_action(make_server(project, name="old"), "lock", status="failed", finished_at=last_week)
    text = operator.text(HOME)
    runs, failed = text.index("Runs now"), text.index("Failed today")
    assert "Migrate of runner" in text[runs:failed]
    today = text[failed : text.index("Everything that failed")]
    assert "Lock of loser" in today and "old" not in today


def test_overview_counts_servers_by_state(operator: Visitor, project: Project) -> None:
    make_server(project), make_server(project), make_server(project, vm_state="error")
    text = operator.text(HOME)
    assert "✔ ACTIVE 2" in text and "✖ ERROR 1" in text


def test_overview_names_hosts_with_trouble_to_operators(operator: Visitor, onlooker: Visitor) -> None:
    make_host("fine"), make_host("silent", heartbeat_at=None), make_host("off", enabled=False)
    text = operator.text(HOME)
    assert "silent" in text and "off" in text and "fine" not in text
    assert "silent" not in onlooker.text(HOME)


def test_overview_says_since_when_nobody_works(operator: Visitor) -> None:
    assert "No worker is running" in operator.text(HOME)
    Worker.objects.create(name="w", processes=4)
    assert "4 processes" in operator.text(HOME)
    Worker.objects.update(seen_at=clock.now() - timedelta(minutes=5))
    assert "No worker is running since" in operator.text(HOME) and "5 min ago" in operator.text(HOME)


def test_overview_shows_the_own_project_alone(onlooker: Visitor) -> None:
    make_action(make_server(make_project(), name="foreign"), status="running")
    assert "foreign" not in onlooker.text(HOME)


def test_policy_page_shows_every_rule_with_who_passes(operator: Visitor) -> None:
    text = operator.text("/admin/policy/")
    assert all(rule in text for rule in policy.in_force().rules)
    row = "os_compute_api:os-create-backup back a server up ✔ everywhere ✔ own project ✔ own project ✖ no"
    assert row in text


@pytest.mark.parametrize("role", ["manager", "reader"])
def test_policy_page_is_for_operators(role: str, project: Project) -> None:
    assert Visitor(project, role).get("/admin/policy/").status_code == 403


def test_times_stand_in_the_zone_of_the_viewer(operator: Visitor, project: Project) -> None:
    make_server(project)
    assert "+0000" in operator.text("/admin/servers/server/")
    operator.client.cookies["timezone"] = "Asia/Kolkata"
    assert "+0530" in operator.text("/admin/servers/server/")
    operator.client.cookies["timezone"] = "../etc/passwd"
    assert "+0000" in operator.text("/admin/servers/server/")


@pytest.mark.parametrize(("seconds", "text"), [(0, "just now"), (-30, "in 30 s"), (180, "3 min ago")])
def test_moments_are_told_from_now(seconds: float, text: str) -> None:
    with clock.use(clock.VirtualClock()):
        assert ago(clock.now() - timedelta(seconds=seconds)) == text
