"""An action's page and the task log."""

from __future__ import annotations

import pytest

from servers import clock
from servers.models import Project, Server, Worker
from servers.states import TaskState
from tests.admin.visiting import Visitor, form_of, page_of
from tests.factories import make_action, make_event, make_migration, make_project, make_server

LOG = "/admin/servers/actionrecord/"
MIB = 1024 * 1024
OPENED = {
    "name": "open_move",
    "began": "2026-03-01T12:00:00+00:00",
    "ended": "2026-03-01T12:00:01.500000+00:00",
}
CHOOSING = {"name": "choose_destination", "began": "2026-03-01T12:00:02+00:00", "ended": None}


def test_steps_show_how_far_each_is(operator: Visitor, server: Server) -> None:
    action = make_action(server, "live-migration", status="running", steps=[OPENED, CHOOSING])
    text = operator.text(page_of(action))
    assert "Open move done, 1.5 s, at 12:00:00 +0000" in text
    assert "Choose destination going on," in text and "Arrive not begun" in text


def test_step_at_which_an_action_failed_says_so(operator: Visitor, server: Server) -> None:
    ended = clock.now()
    action = make_action(
        server,
        "live-migration",
        status="failed",
        steps=[OPENED, CHOOSING],
        finished_at=ended,
    )
    assert "Choose destination failed" in operator.text(page_of(action))


def test_move_that_waits_for_a_slot_says_for_what(operator: Visitor, server: Server) -> None:
    action = make_action(server, "live-migration", status="queued", waits_for_host="rack-9")
    assert "as many live migrations as may run from rack-9" in operator.text(page_of(action))


def test_events_show_attempts_reasons_and_the_verdicts(operator: Visitor, server: Server) -> None:
    action = make_action(server, "migrate", status="failed", error_text="No valid host")
    verdicts = [{"host": "rack-9", "accepted": False, "reason": "needs 4 GiB", "weight": None}]
    make_event(
        action, "cold_migrate", result="Error", details="full", facts={"verdicts": verdicts}, attempt=2
    )
    text = operator.text(page_of(action))
    for said in ("No valid host", "full", "attempt 2", "rack-9", "✖ refuses needs 4 GiB"):
        assert said in text


@pytest.mark.parametrize("page", [LOG, "/admin/", "action", "server"])
def test_why_an_action_failed_is_told_to_who_sees_details(
    page: str, operator: Visitor, onlooker: Visitor, server: Server
) -> None:
    action = make_action(
        server, "migrate", status="failed", error_text="rack-9 is full", finished_at=clock.now()
    )
    address = {"action": page_of(action), "server": page_of(server)}.get(page, page)
    assert "rack-9 is full" in operator.text(address)
    assert "rack-9" not in onlooker.text(address) and "failed" in onlooker.text(address)


def test_host_that_was_asked_for_is_told_to_who_sees_hosts(
    operator: Visitor, onlooker: Visitor, server: Server
) -> None:
    asked = {"host": "rack-9", "block_migration": "auto"}
    action = make_action(
        server, "live-migration", params=asked, result={"left_behind": "rack-8: it was there"}
    )
    text = onlooker.text(page_of(action))
    assert "Block migration auto" in text and "rack-" not in text
    assert "rack-9" in operator.text(page_of(action)) and "rack-8" in operator.text(page_of(action))


def test_migration_of_an_action_is_shown_to_who_may_list_migrations(
    project: Project, onlooker: Visitor, server: Server
) -> None:
    action = make_action(server, "live-migration", migration=make_migration(server))
    assert "Statuses" not in onlooker.text(page_of(action))
    assert "Statuses" in Visitor(project, "manager").text(page_of(action))


def test_running_move_shows_bytes_rate_and_what_can_be_done(operator: Visitor, project: Project) -> None:
    server = make_server(project, task_state=TaskState.MIGRATING)
    counters = {
        "memory_total_bytes": 1024 * MIB,
        "memory_processed_bytes": 300 * MIB,
        "rate_bytes_s": 100 * MIB,
    }
    move = make_migration(server, progress_percent=29, dirty_rate_bytes_s=200 * MIB, **counters)
    action = make_action(server, "live-migration", status="running", migration=move, progress_percent=29)
    page = operator.get(page_of(action)).content.decode()
    text = operator.text(page_of(action))
    assert "300 MiB sent of 1.0 GiB" in text and "100 MiB/s" in text
    assert "does not come closer to its end" in text
    for slug in ("abort-migration", "force-complete"):
        assert f"{form_of(slug, server)}?migration={move.pk}" in page


def test_page_stops_moving_when_the_action_is_over(operator: Visitor, server: Server) -> None:
    action = make_action(server, status="running")
    assert 'hx-trigger="every 2s"' in operator.get(page_of(action)).content.decode()
    action.__class__.objects.filter(pk=action.pk).update(status="succeeded")
    live = operator.get(page_of(action).replace("change", "live")).content.decode()
    assert "hx-trigger" not in live and "data-announce" in live


def test_finished_move_shows_total_time_bytes_and_downtime(operator: Visitor, server: Server) -> None:
    ended = {"status": "completed", "finished_at": clock.now(), "downtime_ms": 87}
    move = make_migration(server, memory_total_bytes=MIB, memory_processed_bytes=MIB, **ended)
    text = operator.text(page_of(move))
    assert "Downtime 87 ms" in text and "Total time" in text and "1.0 MiB sent" in text


def test_waiting_action_says_that_nobody_works(operator: Visitor, server: Server) -> None:
    action = make_action(server, status="queued")
    assert "No worker is running" in operator.text(page_of(action))
    Worker.objects.create(name="w")
    assert "No worker is running" not in operator.text(page_of(action))


def test_action_on_a_foreign_server_is_missing(onlooker: Visitor) -> None:
    assert onlooker.get(page_of(make_action(make_server(make_project())))).status_code == 404


def test_log_shows_newest_first_and_only_what_one_may_see(
    operator: Visitor, onlooker: Visitor, server: Server
) -> None:
    make_action(server, "lock", user_name="ann")
    make_action(make_server(make_project()), "unlock", user_name="ben", door="command")
    text = operator.text(LOG)
    assert text.index("ben (command)") < text.index("ann (rest)")
    assert "ann" in onlooker.text(LOG) and "ben" not in onlooker.text(LOG)


@pytest.mark.parametrize(
    "query", ["status__exact=failed", "action=migrate", "over=yes", "q=broken", "door=console"]
)
def test_log_is_filtered_by_its_address(query: str, operator: Visitor, project: Project) -> None:
    broken, sound = make_server(project, name="broken"), make_server(project, name="sound")
    make_action(broken, "migrate", status="failed", door="console")
    make_action(sound, "lock", status="running")
    text = operator.text(f"{LOG}?{query}")
    assert "broken" in text and "sound" not in text


def test_migrations_are_for_managers(project: Project, server: Server, onlooker: Visitor) -> None:
    move = make_migration(server)
    assert Visitor(project, "manager").get(page_of(move)).status_code == 200
    assert onlooker.get(page_of(move)).status_code == 403


def test_hosts_of_a_migration_are_for_operators(project: Project, operator: Visitor) -> None:
    move = make_migration(make_server(project), dest_compute="rack-7")
    assert "rack-7" in operator.text(page_of(move))
    assert "rack-7" not in Visitor(project, "manager").text(page_of(move))
