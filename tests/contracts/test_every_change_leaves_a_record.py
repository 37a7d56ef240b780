"""Every change, by every way in, is in the audit trail with who made it; whoever only looks leaves nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.core.management import load_command_class
from django.test import Client

from servers import clock
from servers.acting import SYSTEM, Actor, acting, current, process_acts, somebody_at_the_machine
from servers.actions import Action, registry
from servers.actions.base import Exclusivity
from servers.admin.site import console
from servers.deployment.comparison import compare
from servers.management import command_line
from servers.models import ActionRecord, AuditRecord, DeploymentFact, LoginFailures, Project, Server
from servers.supervisor.periodic_tasks import PeriodicTask
from servers.supervisor.retention import prune
from tests.admin import test_idempotency as forms
from tests.admin.test_rights import NO_ROWS
from tests.admin.visiting import Visitor, page_of
from tests.api import test_idempotency as requests
from tests.conftest import Caller
from tests.factories import make_user
from tests.management.conftest import said_by
from tests.management.test_without_database import COMMANDS, NEED_NONE, STAY
from tests.ready import example_of, ready_server
from tests.small_fleet import SmallFleet, fleet_of
from tests.stalling import stalled_move
from tests.unknown_guests import place, stranger

pytestmark = pytest.mark.django_db


@pytest.fixture
def fleet(project: Project, settings: Any) -> Iterator[SmallFleet]:
    settings.SECOND_FACTOR = "optional"
    with fleet_of(project) as fleet:
        yield fleet


@pytest.fixture
def operator(project: Project) -> Visitor:
    return Visitor(project, "admin")


class Since:
    """The records that were written since this was made."""

    def __init__(self) -> None:
        newest = AuditRecord.objects.first()
        self.last = newest.pk if newest else 0

    def records(self) -> list[AuditRecord]:
        return list(AuditRecord.objects.filter(pk__gt=self.last).order_by("pk"))


def command(name: str) -> Any:
    """Return the class of a command."""
    return type(load_command_class("servers", name))


# ------------------------------------------------------------------------------------------------ REST


def cookie_of_another(project: Project) -> str:
    """Return the session cookie of somebody else, who is logged in to the console."""
    other = Client()
    other.force_login(make_user("reader", project))
    return f"sessionid={other.cookies['sessionid'].value}"


@requests.every_change
def test_a_request_is_written_under_the_name_of_its_token(
    path: str, method: str, fleet: SmallFleet, admin: Caller
) -> None:
    ask = requests.SCENES[path, method](fleet, admin)
    ask.headers["Cookie"] = cookie_of_another(fleet.project)
    since = Since()
    answer = ask.send(admin)
    assert answer.status_code in {200, 201, 202, 204}, answer.content
    written = since.records()
    assert written
    ids = {answer.headers.get("x-openstack-request-id"), answer.headers.get("x-compute-request-id")}
    for record in written:
        assert (record.who, record.who_id) == (admin.user.name, admin.user.pk), record
        assert (record.door, record.source) == ("rest", "127.0.0.1")
        assert record.request_id in ids


@requests.every_change
def test_a_request_that_is_refused_leaves_no_record(
    path: str, method: str, fleet: SmallFleet, admin: Caller, reader: Caller
) -> None:
    ask = requests.SCENES[path, method](fleet, admin)
    since = Since()
    answer = ask.send(reader)
    own = (
        "token" in path or "credential" in path
    )  # about oneself, which is allowed, or another's, which is not
    assert own or answer.status_code in {403, 404}, answer.content
    assert own or since.records() == []


@pytest.mark.parametrize("path", ["/v2.1/servers/detail", "/image/v2/images", "/gantry/v1/actions"])
def test_whoever_looks_leaves_nothing(path: str, fleet: SmallFleet, admin: Caller) -> None:
    fleet.add_server()
    since = Since()
    assert admin.get(path).status_code == 200
    assert since.records() == []


def test_who_asked_is_forgotten_with_the_request(fleet: SmallFleet, admin: Caller) -> None:
    requests.switch_service(fleet, admin).send(admin)
    since = Since()
    fleet.add_host("later")
    assert {record.who for record in since.records()} == {"gantry"}


# --------------------------------------------------------------------------------------------- console


@forms.every_form
def test_a_form_is_written_under_the_name_of_its_session(
    scene: Callable[[SmallFleet, Visitor], forms.Form], fleet: SmallFleet, operator: Visitor
) -> None:
    form = scene(fleet, operator)
    since = Since()
    answer = form.send(operator)
    assert answer.status_code in {200, 302, 303}
    written = since.records()
    assert written
    for record in written:
        assert (record.who, record.door, record.source) == (operator.user.name, "console", "127.0.0.1"), (
            record
        )
        assert record.request_id.startswith("req-")


@pytest.mark.parametrize(
    "model", sorted(console._registry, key=lambda m: m.__name__), ids=lambda m: m.__name__
)
def test_a_page_that_deletes_says_who_did(model: Any, fleet: SmallFleet, operator: Visitor) -> None:
    row = next((row for row in model._default_manager.all() if row != operator.user), None)
    admin_of = console._registry[model]
    page = operator.get(f"/admin/servers/{model._meta.model_name}/{row.pk if row else 'none'}/delete/")
    if page.status_code != 200:
        assert row is None or not admin_of.has_delete_permission(page.wsgi_request, row)
        return
    if forms.KEY.search(page.content.decode()) is None:  # something depends on it: there is no button
        return
    since = Since()
    form = forms.Form(page.wsgi_request.path, {"post": "yes"}, {})
    if form.send(operator).status_code == 302:
        assert {record.who for record in since.records()} == {operator.user.name}
        assert "deleted" in {record.verb for record in since.records()}


def test_a_new_password_is_written_and_not_what_it_is(fleet: SmallFleet, operator: Visitor) -> None:
    rita = make_user("reader", fleet.project, name="rita")
    since = Since()
    fields = {"name": "rita", "domain": rita.domain_id, "is_active": "on", "is_staff": "on"}
    word = "correct horse battery"
    fields |= {**NO_ROWS, "new_password": word}
    forms.Form(page_of(rita), fields, {}).send(operator)
    changed = [r for r in since.records() if "password" in r.after]
    assert [(r.who, r.object_name, r.after["password"]) for r in changed] == [
        (operator.user.name, "rita", "…")
    ]
    assert word not in str([r.after for r in since.records()])


# --------------------------------------------------------------------------------------------- actions


@pytest.mark.parametrize("action", [a for a in registry.values() if not a.on_migration], ids=lambda a: a.slug)
def test_an_action_is_written_when_it_is_accepted_and_when_it_ends(
    action: type[Action], fleet: SmallFleet
) -> None:
    if action.slug == "restore":
        pytest.skip("a restore is asked for on an image: it is a form and a command above and below")
    server = ready_server(fleet, action)
    since = Since()
    with acting(who="anna", door="rest"):
        record = fleet.submit(action.slug, server, **example_of(action)).record
    accepted, *rest = (r for r in since.records() if r.object_id == record.pk.hex)
    assert (accepted.verb, accepted.who, accepted.request_id) == ("created", "anna", record.request_id)
    assert rest == []
    if action.exclusivity is Exclusivity.IMMEDIATE:
        assert accepted.after["status"] == "succeeded"
        return
    fleet.work()
    record.refresh_from_db()
    *_, ended = (r for r in since.records() if r.object_id == record.pk.hex)
    assert (ended.verb, ended.after["status"]) == ("changed", record.status)
    assert (ended.who, ended.on_behalf_of, ended.door) == ("gantry", record.user_id, SYSTEM)
    assert ended.request_id == record.request_id


def test_a_move_says_from_where_to_where(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    since = Since()
    fleet.do("live-migration", server, host=None, block_migration="auto")
    server.refresh_from_db()
    (moved,) = (r for r in since.records() if r.object_type == "server" and "host" in r.after)
    assert moved.after == {"host": server.host_id}
    assert moved.before["host"] != server.host_id


def test_a_fault_is_written_with_its_reason(fleet: SmallFleet) -> None:
    since = Since()
    fleet.simulation.set_fault("live_migration", "node1")
    record = fleet.do("live-migration", fleet.add_server(), host="node2", block_migration="auto")
    assert record.status == "failed"
    *_, ended = (r for r in since.records() if r.object_id == record.pk.hex)
    assert (ended.after["status"], ended.after["error_text"]) == ("failed", record.error_text)


def test_a_judgement_says_why(fleet: SmallFleet) -> None:
    record = stalled_move(fleet, fleet.add_server("stuck"))
    since = Since()
    call = ("close", str(record.pk), "--as", "failed", "--reason", "burnt")
    assert said_by(command("judge"), *call).code == 0
    assert {r.reason for r in since.records()} == {"burnt"}


# -------------------------------------------------------------------------------------------- commands


def act(fleet: SmallFleet) -> list[str]:
    return ["lock", str(fleet.add_server().pk)]


def restore(fleet: SmallFleet) -> list[str]:
    fleet.do("create-backup", fleet.add_server(), name="nightly", backup_type="daily", rotation=1)
    return ["restore", "nightly", "--name", "again"]


def find_a_guest(fleet: SmallFleet) -> list[str]:
    place(fleet, stranger("mail"))
    return ["--project", fleet.project.name, "--yes"]


def judge_a_move(fleet: SmallFleet) -> list[str]:
    return ["look-again", str(stalled_move(fleet, fleet.add_server("stuck")).pk), "--reason", "mended"]


def fail_to_log_in(fleet: SmallFleet) -> list[str]:
    LoginFailures.objects.create(
        of=LoginFailures.Of.PAIR, name="rita", address="192.0.2.1", failures=99, ends_at=clock.now()
    )
    return ["--unlock", "rita"]


def agree_on_another_policy(fleet: SmallFleet) -> list[str]:
    compare()
    DeploymentFact.objects.filter(name="policy").update(value={"os_compute_api:os-lock-server:lock": "@"})
    return ["--set", "policy"]


def make_admin(fleet: SmallFleet) -> list[str]:
    return []


CHANGES: dict[str, Callable[[SmallFleet], list[str]]] = {
    "server_action": act,
    "image": restore,
    "discover": find_a_guest,
    "judge": judge_a_move,
    "logins": fail_to_log_in,
    "make_admin": make_admin,
    "deployment": agree_on_another_policy,
}
ELSEWHERE = {
    "up": "a new admin and the first comparison are written by what it starts: tests/management/test_up.py",
    "demo": "fills an empty database: tests/demo",
    "reconcile": "below, since its records are the system's actions",
    "audit": "its archive: tests/audit/test_chain.py",
    "policy": "only looks",
    "workers": "only looks",
    "health": "only looks",
    "draw_states": "writes documents",
    "migrate": "changes the form of the database, and no row that is watched",
    "serve": "every request above",
    "work": "every action above",
}


def test_every_command_is_tried_here_or_says_where() -> None:
    assert CHANGES.keys() | ELSEWHERE.keys() == COMMANDS.keys() | NEED_NONE | STAY
    assert not CHANGES.keys() & ELSEWHERE.keys()


@pytest.mark.parametrize("name", CHANGES)
def test_a_command_is_written_under_the_name_of_the_user_of_the_machine(name: str, fleet: SmallFleet) -> None:
    words = CHANGES[name](fleet)
    since = Since()
    with acting(Actor("root", door="command", source="node0", reason=f"manage.py {name}")):
        said = said_by(command(name), *words)
    assert said.code == 0, said
    assert since.records()
    assert {(r.who, r.door, r.source) for r in since.records()} == {("root", "command", "node0")}


def test_a_command_names_in_whose_stead_it_acts(fleet: SmallFleet) -> None:
    make_user("admin", fleet.project, name="anna", default_project=fleet.project)
    words = [*act(fleet), "--as-user", "anna"]
    since = Since()
    with acting(Actor("root", door="command")):
        assert said_by(command("server_action"), *words).code == 0
    assert {(r.who, r.on_behalf_of) for r in since.records()} == {("root", "anna")}


def test_reconciling_writes_what_it_puts_right(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    Server.objects.filter(pk=server.pk).update(vm_state="stopped", power_state=4)
    since = Since()
    said_by(command("reconcile"))
    assert {r.object_type for r in since.records()} >= {"action", "server"}


def test_the_user_of_the_machine_is_named_through_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "root")
    monkeypatch.setenv("SUDO_USER", "anna")
    assert somebody_at_the_machine("").who == "anna (sudo root)"
    monkeypatch.setenv("SUDO_USER", "root")
    assert somebody_at_the_machine("").who == "root"


@pytest.mark.parametrize(("name", "door"), [("migrate", "command"), ("judge", "command"), ("work", SYSTEM)])
def test_whoever_starts_a_command_acts_in_it(name: str, door: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before, seen = current(), []
    monkeypatch.setattr(command_line, "execute_from_command_line", lambda words: seen.append(current()))
    command_line.execute(["manage.py", name])
    process_acts(before)
    assert [actor.door for actor in seen] == [door]


# ------------------------------------------------------------------------------------------ the system


def test_a_periodic_task_says_which_one_it_was(fleet: SmallFleet) -> None:
    since = Since()
    PeriodicTask("tidy", 1, lambda: fleet.add_host("new"), keeps_connection=True).do_once()
    assert {(r.who, r.door, r.reason) for r in since.records()} == {("gantry", SYSTEM, "periodic task: tidy")}


def test_what_is_pruned_is_counted(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    fleet.submit("lock", server)
    ActionRecord.objects.update(finished_at=clock.now() - timedelta(days=1000))
    Session.objects.create(session_key="old", session_data="", expire_date=clock.now() - timedelta(days=1))
    since = Since()
    prune()
    (record,) = since.records()
    assert (record.verb, record.after["actions"], record.after["sessions"]) == ("pruned", 1, 1)
    prune()
    assert since.records() == [record]
