"""The form of an action: made from its definition, it submits what REST would."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpResponse

from servers.actions import Action, registry
from servers.microversions import NEWEST, Microversion
from servers.models import ActionRecord, Project, Server
from servers.states import TaskState, VmState
from tests.admin.visiting import Visitor, form_of, page_of, refusal_of, words
from tests.contracts.test_policy_matrix import policy_file, rewrite
from tests.factories import make_host, make_migration, make_project, make_server
from tests.ready import state_for

__all__ = ["policy_file"]
every_action = pytest.mark.parametrize("action", list(registry.values()), ids=lambda a: a.slug)


def ready(action: type[Action], project: Project) -> tuple[Server, dict[str, Any]]:
    """Return a server on which the action is possible, and what its form has to say besides."""
    if action.on_migration:
        server = make_server(project, task_state=TaskState.MIGRATING)
        return server, {"migration": make_migration(server).pk}
    if action.transition.allowed == frozenset({VmState.RESIZED}):
        server = make_server(project, vm_state=VmState.RESIZED)
        make_migration(server, migration_type="migration", status="finished")
        return server, {}
    return make_server(project, vm_state=state_for(action)), {}


@every_action
def test_form_of_every_action_is_accepted_and_leads_to_its_page(
    action: type[Action], operator: Visitor, project: Project
) -> None:
    server, fields = ready(action, project)
    response = operator.ask(action.slug, server, **fields)
    record = ActionRecord.objects.get(slug=action.slug)
    assert (response.status_code, response["Location"]) == (303, page_of(record))
    assert (record.door, record.user_name, record.microversion) == (
        "console",
        operator.user.name,
        str(NEWEST),
    )
    assert operator.get(page_of(record)).status_code == 200


@every_action
def test_form_says_what_it_does_and_what_it_means(
    action: type[Action], operator: Visitor, server: Server
) -> None:
    text = operator.text(form_of(action.slug, server))
    assert action.summary() in text and action.consequence in text


@every_action
def test_reader_is_refused_in_the_words_of_the_policy(
    action: type[Action], onlooker: Visitor, project: Project
) -> None:
    server, fields = ready(action, project)
    shown = refusal_of(onlooker.get(form_of(action.slug, server)))
    response = onlooker.ask(action.slug, server, **fields)
    assert response.status_code == 403
    assert refusal_of(response) == shown == f"Policy doesn't allow {action.policy[0].name} to be performed."
    assert not ActionRecord.objects.exists()


def test_refused_form_keeps_what_was_filled_in(operator: Visitor, project: Project) -> None:
    server = make_server(project, vm_state=VmState.ERROR)
    response = operator.ask("create-backup", server, name="my backup")
    assert response.status_code == 409
    assert b'value="my backup"' in response.content


def test_missing_value_is_named_and_nothing_submitted(operator: Visitor, server: Server) -> None:
    response = operator.ask("create-backup", server, name="")
    assert response.status_code == 200 and "This field is required." in words(response)
    assert not ActionRecord.objects.exists()


def test_older_parameter_asks_in_the_newest_version_that_knows_it(
    operator: Visitor, project: Project
) -> None:
    host = make_host()
    server = make_server(project)
    operator.ask("live-migration", server, host=host.name, force="true")
    record = ActionRecord.objects.get()
    assert record.microversion == "2.67"
    assert record.params == {"host": host.name, "block_migration": None, "force": True}


def test_value_that_the_older_version_does_not_take_is_refused_by_name(
    operator: Visitor, server: Server
) -> None:
    response = operator.ask("live-migration", server, disk_over_commit="true", block_migration="auto")
    assert "Microversion 2.24" in words(response)
    assert not ActionRecord.objects.exists()


def test_parameters_that_no_version_knows_together_are_refused(operator: Visitor, server: Server) -> None:
    fields = {"disk_over_commit": "true", "block_migration": "true", "force": "true"}
    assert "does not know it" in words(operator.ask("live-migration", server, **fields))


def test_older_parameters_are_folded_away_with_their_versions(operator: Visitor, server: Server) -> None:
    text = operator.text(form_of("live-migration", server))
    assert "known to microversions until 2.24" in text and "known to microversions 2.30 to 2.67" in text


def test_form_that_is_sent_twice_acts_once(operator: Visitor, server: Server) -> None:
    first = operator.ask("inject-network-info", server, idempotency_key="t1")
    second = operator.ask("inject-network-info", server, idempotency_key="t1")
    assert first["Location"] == second["Location"]
    assert ActionRecord.objects.count() == 1


def hidden(page: HttpResponse, name: str) -> list[str]:
    """Return the values of a page's hidden fields of this name."""
    return re.findall(rf'type="hidden" name="{name}" value="([^"]*)"', page.content.decode())


@pytest.mark.parametrize("change", [{"vm_state": VmState.PAUSED}, {"power_state": 4}, {"host": "elsewhere"}])
def test_form_of_a_server_that_has_changed_meanwhile_is_shown_again(
    operator: Visitor, server: Server, change: dict[str, Any]
) -> None:
    (seen,) = hidden(operator.get(form_of("inject-network-info", server)), "seen")
    if "host" in change:
        change = {"host": make_host("elsewhere")}
    Server.objects.filter(pk=server.pk).update(**change)
    response = operator.ask("inject-network-info", server, seen=seen)
    assert response.status_code == 409 and "has changed since this page was made" in refusal_of(response)
    assert not ActionRecord.objects.exists()
    (fresh,) = hidden(response, "seen")
    assert operator.ask("inject-network-info", server, seen=fresh).status_code == 303


def test_preview_shows_the_lines_and_submits_nothing(operator: Visitor, server: Server) -> None:
    response = operator.ask("create-backup", server, name="n1", preview="1")
    assert "--name n1 --backup-type daily --rotation 1" in words(response)
    assert not ActionRecord.objects.exists()


def test_htmx_asks_for_the_lines_alone(operator: Visitor, server: Server) -> None:
    path = form_of("lock", server)
    response = operator.post(path, {"preview": "1", "locked_reason": "why"}, HX_Request="true")
    assert "<html" not in response.content.decode() and "--locked-reason why" in words(response)


def test_secret_is_shown_nowhere(operator: Visitor, server: Server) -> None:
    for fields in ({"preview": "1"}, {}):
        response = operator.ask("change-password", server, adminPass="pass-phrase", **fields)
        assert b"pass-phrase" not in response.content
    assert "pass-phrase" not in operator.text(page_of(ActionRecord.objects.get()))


def test_every_host_is_shown_with_the_opinion_of_the_scheduler(operator: Visitor, server: Server) -> None:
    make_host("roomy"), make_host("off", enabled=False, disabled_reason="smokes")
    text = operator.text(form_of("live-migration", server))
    assert "roomy ✔ takes it" in text and "off ✖ refuses disabled: smokes" in text


def test_who_may_not_name_a_host_sees_the_rule_and_no_hosts(project: Project, server: Server) -> None:
    make_host("roomy")
    text = Visitor(project, "manager").text(form_of("live-migration", server))
    assert "os_compute_api:os-migrate-server:migrate_live:host" in text and "roomy" not in text


def test_who_may_name_a_host_but_not_list_them_types_its_name(
    project: Project, server: Server, policy_file: Path
) -> None:
    make_host("roomy")
    named = "os_compute_api:os-migrate-server:migrate_live:host"
    rewrite(policy_file, {named: "rule:project_manager_or_admin"})
    page = Visitor(project, "manager").get(form_of("live-migration", server)).content.decode()
    assert '<input type="text" name="host"' in page and "roomy" not in page


@pytest.mark.parametrize("slug", ["live-migration", "migrate"])
@pytest.mark.parametrize("role", ["reader", "member", "manager"])
def test_who_sees_no_hosts_is_shown_none_by_a_form(
    slug: str, role: str, project: Project, server: Server
) -> None:
    make_host("roomy"), make_host("off", enabled=False, disabled_reason="smokes")
    text = Visitor(project, role).text(form_of(slug, server))
    assert "roomy" not in text and "smokes" not in text and "MiB" not in text


def test_address_fills_the_form_in(operator: Visitor, server: Server) -> None:
    response = operator.get(f"{form_of('lock', server)}?locked_reason=sale")
    assert b'value="sale"' in response.content


def test_form_of_a_foreign_server_is_missing(onlooker: Visitor) -> None:
    foreign = make_server(make_project())
    assert onlooker.ask("lock", foreign).status_code == 404
    assert not ActionRecord.objects.exists()


def test_unknown_action_is_missing(operator: Visitor, server: Server) -> None:
    assert operator.get(form_of("explode", server)).status_code == 404


def test_refusal_at_an_older_version_is_shown(operator: Visitor, server: Server) -> None:
    response = operator.ask("live-migration", server, force="true")
    assert (response.status_code, refusal_of(response)) == (400, "Can't force to a non-provided destination")
    assert Microversion.parse("2.67") < NEWEST
