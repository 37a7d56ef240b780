"""A process that differs does nothing that it could spoil, at any way in and in the engine, and says why."""

from __future__ import annotations

import signal
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.urls import reverse

from servers.api.schema.routes import routes
from servers.deployment.standing import STANDING, Work
from servers.engine import images
from servers.engine.accepting.submit import submit
from servers.engine.execution import queue
from servers.engine.execution.lease import claim
from servers.engine.execution.queue import run_next
from servers.errors import DeploymentDiffers, ImageStoreUnavailable
from servers.images.local import LocalImageStore
from servers.management.commands import deployment as command
from servers.management.on_database import OnDatabase
from servers.models import ActionRecord, Project
from servers.supervisor.periodic_tasks import PeriodicTasks
from tests.admin.visiting import Visitor, words
from tests.conftest import Caller
from tests.deployment.machines import Machine
from tests.deployment.staying_out import REASON, stay_out
from tests.factories import make_image
from tests.small_fleet import SmallFleet
from tests.virtual_time import fleet, virtual_clock

__all__ = ["fleet", "virtual_clock"]
UNSAFE = ("post", "put", "patch", "delete")
BACKUP = {"name": "b", "backup_type": "daily", "rotation": 1}
CHANGES = [
    pytest.param(route, method, id=f"{method} {route.path}")
    for route in routes()
    for method in UNSAFE
    if hasattr(route.view, method)
]


@pytest.mark.parametrize(("route", "method"), CHANGES)
def test_every_change_by_rest_is_put_off_and_the_log_has_the_reason(
    admin: Caller, route: Any, method: str
) -> None:
    stay_out(Work.EVERYTHING)
    path = route.path.replace("{", "").replace("}", "")
    answer = admin.request(method.upper(), path, {})
    assert answer.status_code == 503 and "Retry-After" in answer.headers
    assert str(DeploymentDiffers(reason="Its log says in what.")) in answer.content.decode()
    assert REASON not in answer.content.decode()


def test_versions_may_be_asked_for_and_lists_not(admin: Caller) -> None:
    stay_out(Work.EVERYTHING)
    assert admin.get("/v2.1/").status_code == 200
    assert admin.get("/v2.1/servers").status_code == 503


@pytest.mark.parametrize(
    "path", ["/gantry/v1/deployment", "/gantry/v1/health", "/gantry/v1/workers", "/metrics"]
)
def test_how_the_deployment_is_may_be_asked_at_a_machine_that_differs(
    admin: Caller, member: Caller, path: str
) -> None:
    stay_out(Work.EVERYTHING)
    assert admin.get(path).status_code == 200
    assert member.get(path).status_code == 403


def test_machine_that_differs_is_not_ready_and_its_health_says_why(admin: Caller, client: Any) -> None:
    stay_out(Work.IMAGES)
    assert client.get("/readyz").status_code == 503 and REASON not in client.get("/readyz").content.decode()
    assert REASON in admin.get("/gantry/v1/health").content.decode()


@pytest.mark.parametrize("page", ["admin:index", "admin:servers_server_changelist", "admin:policy"])
def test_console_shows_the_reason_and_the_remedy_instead_of_its_pages(project: Project, page: str) -> None:
    stay_out(Work.EVERYTHING)
    answer = Visitor(project).get(reverse(page))
    assert answer.status_code == 503
    assert REASON in words(answer) and "Give every machine the same policy file." in words(answer)


def test_reason_is_shown_to_those_who_may_see_the_deployment(project: Project) -> None:
    stay_out(Work.EVERYTHING)
    page = Visitor(project, "reader").get(reverse("admin:servers_server_changelist"))
    assert page.status_code == 503 and REASON not in words(page)


def test_nobody_reads_the_reason_who_has_not_logged_in(db: None, client: Any) -> None:
    stay_out(Work.EVERYTHING)
    assert REASON not in client.get(reverse("admin:index"), follow=True).content.decode()


def test_engine_accepts_nothing_and_claims_nothing(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    waiting = fleet.submit("reset-network", server).record
    stay_out(Work.EVERYTHING)
    with pytest.raises(DeploymentDiffers):
        fleet.submit("lock", server)
    assert claim(waiting.pk, "worker") is None
    assert submit.__module__ == "servers.engine.accepting.submit"


def test_worker_that_may_do_nothing_leaves_the_action_to_others_and_ends(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[int] = []
    monkeypatch.setattr(queue.signal, "raise_signal", ended.append)
    waiting = fleet.submit("reset-network", fleet.add_server()).record
    stay_out(Work.EVERYTHING)
    run_next.call()
    waiting.refresh_from_db()
    assert (waiting.status, ended) == ("queued", [signal.SIGTERM])


def test_worker_that_agrees_carries_out_what_it_is_woken_for(fleet: SmallFleet) -> None:
    record = fleet.submit("reset-network", fleet.add_server()).record
    run_next.call()
    record.refresh_from_db()
    assert record.status == "succeeded"


def test_worker_without_the_image_store_moves_servers_and_leaves_backups_to_others(fleet: SmallFleet) -> None:
    backup = fleet.submit("create-backup", fleet.add_server("saved"), **BACKUP).record
    move = fleet.submit("reset-network", fleet.add_server("moved")).record
    stay_out(Work.IMAGES)
    for _ in (backup, move):
        run_next.call()
    backup.refresh_from_db(), move.refresh_from_db()
    assert (backup.status, move.status) == ("queued", "succeeded")


def test_image_store_is_not_touched(project: Project) -> None:
    image = make_image(project)
    stay_out(Work.IMAGES)
    with pytest.raises(ImageStoreUnavailable, match="does not see"):
        images.store()
    assert images.discard(image.pk) is None
    image.refresh_from_db()
    assert image.discarded_at is None


def test_store_that_was_there_and_is_not_mounted_any_more_is_not_written_to(db: None, settings: Any) -> None:
    STANDING.settle((), LocalImageStore(settings.IMAGE_DIR).identify())
    images.store()
    (settings.IMAGE_DIR / "store-id").unlink()
    with pytest.raises(ImageStoreUnavailable, match="another one lies"):
        images.store()


def test_periodic_tasks_rest_but_for_the_sign_of_life(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    done = []
    supervisor = PeriodicTasks("here", 1)
    for task in supervisor.tasks:
        task.do = lambda name=task.name: done.append(name)  # type: ignore[misc]
    stay_out(Work.EVERYTHING)
    for task in supervisor.tasks:
        task.do_once()
    assert done == ["presence"]
    stay_out(Work.IMAGES)
    for task in supervisor.tasks:
        task.do_once()
    assert "discard" not in done and "reconcile" in done


def commands() -> list[type[OnDatabase]]:
    """Return every command that works with the records."""
    import pkgutil  # noqa: PLC0415
    from importlib import import_module  # noqa: PLC0415

    from servers.management import commands as room  # noqa: PLC0415

    found = [
        import_module(f"{room.__name__}.{each.name}").Command for each in pkgutil.iter_modules(room.__path__)
    ]
    return [each for each in found if issubclass(each, OnDatabase)]


@pytest.mark.parametrize("kind", commands(), ids=lambda kind: kind.__module__.rpartition(".")[2])
def test_every_command_is_refused_but_those_that_only_read(
    db: None, monkeypatch: pytest.MonkeyPatch, kind: type[OnDatabase]
) -> None:
    monkeypatch.setattr("servers.management.on_database.compare", lambda: stay_out(Work.EVERYTHING))
    monkeypatch.setattr(kind, "handle", lambda *args, **given: None)
    options = {"no_color": True, "force_color": False, "skip_checks": True}
    if kind.only_reads:
        kind().execute(**options)
    else:
        with pytest.raises(DeploymentDiffers):
            kind().execute(**options)


def test_command_shows_members_and_where_they_differ_and_lets_this_machine_be_right(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = Machine(monkeypatch, "one"), Machine(monkeypatch, "two")
    one.compare()
    two.values["policy"] = {"identity": "b"}
    two.compare()
    out = StringIO()
    monkeypatch.setattr(command, "compare", lambda: ())
    call_command("deployment", stdout=out)
    assert "two" in out.getvalue() and "stays out" in out.getvalue() and "policy" in out.getvalue()
    call_command("deployment", "--set", "policy", stdout=out)
    assert ActionRecord.objects.count() == 0


def test_rest_shows_members_to_an_admin_alone(
    admin: Caller, member: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    Machine(monkeypatch, "one").compare()
    shown = admin.get("/gantry/v1/deployment").json()["deployment"]
    assert [each["name"] for each in shown["members"]] == ["one"]
    assert {each["name"] for each in shown["facts"]} >= {"policy", "image_store"}
    assert member.get("/gantry/v1/deployment").status_code == 403


def test_console_shows_a_member_that_differs(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = Machine(monkeypatch, "one"), Machine(monkeypatch, "two")
    one.compare()
    two.values["image_store"] = {"identity": "b"}
    two.compare()
    STANDING.settle((), None)
    text = Visitor(project).text("/admin/servers/worker/")
    assert "two" in text and "stays out" in text and "another one" in text
