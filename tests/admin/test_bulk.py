"""One action on many servers: said before, done once, told after."""

from __future__ import annotations

import re

import pytest

from servers.actions import registry
from servers.admin.bulk import LIMIT
from servers.engine.accepting.request_context import context_of
from servers.engine.accepting.submit import explain
from servers.models import ActionRecord, Project, Server
from servers.states import TaskState, VmState
from tests.admin.visiting import Visitor, words
from tests.factories import make_action, make_host, make_migration, make_project, make_server

LIST = "/admin/servers/server/"


def choose(visitor: Visitor, slug: str, servers: list[Server]) -> str:
    """Choose an action in the list; return where it leads, or nothing."""
    data = {"action": slug, "index": "0", "_selected_action": [str(s.pk) for s in servers]}
    response = visitor.post(LIST, data)
    return response["Location"] if response.status_code == 303 else ""


def test_list_offers_every_action(operator: Visitor, server: Server) -> None:
    page = operator.get(LIST).content.decode()
    assert all(f'<option value="{slug}">' in page for slug in registry)


def test_selection_is_divided_with_one_reason_each(operator: Visitor, project: Project) -> None:
    good, stopped, busy = (
        make_server(project, name="good"),
        make_server(project, name="stopped", vm_state=VmState.STOPPED),
        make_server(project, name="busy", task_state=TaskState.IMAGE_BACKUP),
    )
    text = operator.text(choose(operator, "live-migration", [good, stopped, busy]))
    assert "Will act: 1 good" in text and "Skipped: 2" in text and "Not permitted" not in text
    context = context_of(operator.user, project, door="console")
    for server in (stopped, busy):
        assert str(explain(registry["live-migration"], server, context)) in text


def test_destination_of_many_is_chosen_among_the_hosts(operator: Visitor, project: Project) -> None:
    servers = [make_server(project), make_server(project)]
    make_host("roomy")
    page = operator.get(choose(operator, "live-migration", servers)).content.decode()
    assert '<option value="roomy">' in page and "let the scheduler choose</option>" in page


def test_server_that_has_changed_since_it_was_shown_is_skipped(operator: Visitor, project: Project) -> None:
    same, other = make_server(project, name="same"), make_server(project, name="other")
    form = choose(operator, "inject-network-info", [same, other])
    seen = re.findall(r'name="seen" value="([^"]*)"', operator.get(form).content.decode())
    Server.objects.filter(pk=other.pk).update(host=make_host())
    text = operator.text(operator.post(form, {"seen": seen})["Location"])
    assert "other has changed since this page was made" in text
    assert ActionRecord.objects.get().server == same


def test_who_may_not_sees_the_rule_and_no_form(onlooker: Visitor, project: Project) -> None:
    text = onlooker.text(choose(onlooker, "lock", [make_server(project), make_server(project)]))
    assert "Not permitted: 2" in text and text.count("os_compute_api:os-lock-server:lock") == 2
    assert "Back to the servers" in text


def test_only_those_that_can_act_and_each_outcome_is_told(operator: Visitor, project: Project) -> None:
    good = [make_server(project, name=f"good-{n}") for n in range(2)]
    bad = make_server(project, name="bad", vm_state=VmState.ERROR)
    form = choose(operator, "create-backup", [*good, bad])
    response = operator.post(form, {"name": "b", "backup_type": "daily", "rotation": "1"})
    assert response.status_code == 303
    assert {r.server_id for r in ActionRecord.objects.all()} == {s.pk for s in good}
    assert {r.door for r in ActionRecord.objects.all()} == {"console"}
    text = operator.text(response["Location"])
    assert "good-0 ◆ queued" in text and "bad ■ skipped Cannot 'createBackup'" in text


def test_failed_ones_are_tried_again_alone(operator: Visitor, project: Project) -> None:
    good, bad = make_server(project, name="good"), make_server(project, name="bad")
    response = operator.post(choose(operator, "inject-network-info", [good, bad]))
    ActionRecord.objects.filter(server=good).update(status="succeeded")
    ActionRecord.objects.filter(server=bad).update(status="failed", error_text="no agent")
    page = operator.get(response["Location"])
    assert "no agent" in words(page) and "Try the 1 that failed again" in words(page)
    assert f"inject-network-info/?servers={bad.pk}&quot;" not in page.content.decode()
    assert f'href="/admin/servers/server/do/inject-network-info/?servers={bad.pk}"' in page.content.decode()


def test_more_than_the_limit_is_refused_before_anything_happens(operator: Visitor, project: Project) -> None:
    host = make_host()
    servers = [make_server(project, host=host) for _ in range(LIMIT + 1)]
    data = {"action": "lock", "index": "0", "select_across": "1", "_selected_action": [str(servers[0].pk)]}
    response = operator.post(LIST, data)
    assert f"At most {LIMIT} servers at once; {LIMIT + 1} are selected." in operator.text(
        response["Location"]
    )
    too_many = ",".join(str(s.pk) for s in servers)
    operator.post(f"{LIST}do/lock/?servers={too_many}")
    assert not ActionRecord.objects.exists()


def test_foreign_servers_in_the_address_are_left_out(onlooker: Visitor, project: Project) -> None:
    foreign = make_server(make_project(), name="foreign")
    assert "foreign" not in onlooker.text(f"{LIST}do/lock/?servers={foreign.pk}")


@pytest.mark.parametrize("query", ["servers=nonsense", "servers=1,2"])
def test_address_that_names_no_servers_is_missing(query: str, operator: Visitor) -> None:
    assert operator.get(f"{LIST}do/lock/?{query}").status_code == 404


def test_abort_finds_the_migration_of_each_server(operator: Visitor, project: Project) -> None:
    moving = make_server(project, name="moving", task_state=TaskState.MIGRATING)
    move = make_migration(moving)
    make_action(moving, "live-migration", status="running", migration=move)
    lost = make_server(project, name="lost", task_state=TaskState.MIGRATING)
    form = choose(operator, "abort-migration", [moving, lost])
    text = operator.text(form)
    assert "Will act: 1 moving" in text and "has no live migration that is going on" in text
    operator.post(form)
    assert ActionRecord.objects.get(slug="abort-migration").params == {"migration": move.pk}


def test_outcome_of_somebody_else_is_not_shown(operator: Visitor, onlooker: Visitor, server: Server) -> None:
    response = operator.post(choose(operator, "lock", [server]))
    assert onlooker.get(response["Location"]).status_code == 404
