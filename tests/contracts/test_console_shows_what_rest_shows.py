"""Role x page x column: what the console shows of a row, REST shows to the same person, and the other way round.

Each text column of a row holds a word that stands nowhere else, so a new column is covered by being there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.db.models import CharField, JSONField, Model, TextField
from django.test import Client

from servers import clock
from servers.admin import showing
from servers.engine.visibility import GUARDED, Sight
from servers.models import (
    ActionEvent,
    ActionRecord,
    Host,
    Image,
    Migration,
    Project,
    Server,
    ServerDisk,
    StoragePool,
)
from servers.policy import Context, implied_roles
from tests.admin.visiting import Visitor, form_of, page_of
from tests.factories import (
    make_action,
    make_event,
    make_host,
    make_image,
    make_migration,
    make_project,
    make_server,
    make_token,
)

pytestmark = pytest.mark.django_db

ROLES = ["reader", "member", "manager", "admin"]
MARKED: dict[type[Model], set[str]] = {}
"""Columns that hold a word of their own, by model; filled by `marked`."""
KEPT = {
    *("id", "uuid", "pk", "status", "vm_state", "task_state", "former_vm_state", "old_vm_state", "locked_by"),
    *("slug", "name", "door", "queue_class", "migration_type", "microversion", "driver", "domain_type"),
    *("project_id", "user_id", "visibility", "image_type", "message", "request_id", "image_ref"),
    *("steps", "statuses", "judgements", "step", "hypervisor_type", "tags", "container_format"),
}
"""Columns with words that mean something: they keep them, but for a server's and a host's name."""


def word(model: type[Model], name: str) -> str:
    """Return the word that stands in a column and nowhere else."""
    return f"zq{model.__name__.lower()}{name.replace('_', '')}qz"


def marked(row: Model) -> Any:
    """Return a row with a word of its own in each column that can hold one."""
    model, values = type(row), {}
    for field in model._meta.concrete_fields:
        text = word(model, field.name)
        if field.name in KEPT or field.choices or field.is_relation:
            continue
        if isinstance(field, CharField | TextField) and len(text) <= (field.max_length or len(text)):
            values[field.name] = text
        elif isinstance(field, JSONField) and callable(field.default):
            values[field.name] = {"said": text} if field.default is dict else [text]
    model._default_manager.filter(pk=row.pk).update(**values)
    MARKED[model] = set(values)
    return model._default_manager.get(pk=row.pk)


@dataclass
class Scene:
    """One of everything, each with its words."""

    project: Project
    host: Host
    server: Server
    action: ActionRecord
    waiting: ActionRecord
    migration: Migration
    image: Image


@pytest.fixture
def scene(project: Project) -> Scene:
    host = make_host()
    Host.objects.filter(pk=host.pk).update(name=word(Host, "name"))
    host = marked(host)
    server = make_server(project, host=host, vm_state="error", fault_at=clock.now(), group=None)
    pool = StoragePool.objects.create(name=word(StoragePool, "name"), identity=word(StoragePool, "identity"))
    marked(ServerDisk.objects.create(server=server, pool=pool, path="p", size_bytes=1))
    server = marked(server)
    image = marked(make_image(project, server=server, instance_uuid=server.pk))
    migration = marked(make_migration(server))
    params = {"host": word(ActionRecord, "paramshost"), "block_migration": "auto"}
    action = make_action(
        server, "live-migration", status="failed", migration=migration, image=image, finished_at=clock.now()
    )
    action = marked(action)
    ActionRecord.objects.filter(pk=action.pk).update(params=params, progress_percent=50)
    waiting = marked(make_action(server, "migrate", status="unknown", stalled_at=clock.now()))
    event = marked(make_event(action, "compute_live_migration", result="Error"))
    verdicts = [{"host": word(ActionEvent, "facts"), "accepted": False, "reason": "full", "weight": None}]
    ActionEvent.objects.filter(pk=event.pk).update(facts={"verdicts": verdicts})
    return Scene(project, host, server, action, waiting, migration, image)


def words_in(text: str) -> set[str]:
    """Return the words of columns that stand in a text."""
    return set(re.findall(r"zq[a-z0-9]+qz", text))


def rest(scene: Scene, who: tuple[Any, Project], role: str) -> set[str]:
    """Return the words that REST shows of everything to somebody."""
    user, project = who
    headers: Any = {
        "X-Auth-Token": make_token(user, project, [role]),
        "OpenStack-API-Version": "compute latest",
    }
    server = f"/v2.1/servers/{scene.server.pk}"
    addresses = [
        *(server, f"{server}/os-instance-actions", f"{server}/os-instance-actions/{scene.action.request_id}"),
        *("/v2.1/servers/detail", f"/v2.1/os-migrations?project_id={project.pk}", f"{server}/migrations"),
        *("/v2.1/os-hypervisors/detail", "/v2.1/os-services", "/image/v2/images"),
        *(
            f"/image/v2/images/{scene.image.pk}",
            "/gantry/v1/actions",
            "/gantry/v1/workers",
            "/gantry/v1/audit",
        ),
    ]
    return {
        w for a in addresses for w in words_in(json.dumps(Client().get(a, headers=headers).content.decode()))
    }


def pages(scene: Scene) -> list[str]:
    """Return the addresses of all pages of the console on which something of the scene can stand."""
    lists = (
        *("server", "host", "image", "actionrecord", "migration", "worker", "allocation", "storagepool"),
        "auditrecord",
    )
    rows: list[Any] = [scene.server, scene.action, scene.migration, scene.waiting, scene.image, scene.host]
    own = [page_of(row) for row in rows]
    live = [page_of(row).replace("/change/", "/live/") for row in rows[:4]]
    history = [page_of(row).replace("/change/", "/history/") for row in rows]
    forms = [form_of(slug, scene.server) for slug in ("live-migration", "migrate", "create-backup")]
    bulk = [f"/admin/servers/server/do/{slug}/?servers={scene.server.pk}" for slug in ("migrate", "lock")]
    return [
        *("/admin/", "/admin/policy/", "/admin/judgement/", "/admin/servers/host/discover/"),
        *(f"/admin/servers/{name}/" for name in lists),
        *own,
        *live,
        *history,
        *forms,
        *bulk,
        f"/admin/servers/image/{scene.image.pk}/restore/",
        f"/admin/servers/actionrecord/{scene.waiting.pk}/judge/",
    ]


def console(scene: Scene, visitor: Visitor) -> dict[str, set[str]]:
    """Return the words that each page shows to somebody."""
    found = {}
    for address in pages(scene):
        answer = visitor.get(address)
        assert answer.status_code < 500, address
        found[address] = words_in(answer.content.decode())
    return found


def columns(names: Iterable[tuple[type[Model], str]]) -> set[str]:
    return {word(model, name) for model, name in names}


ALWAYS_OWN = columns(
    [
        (ActionRecord, "user_name"),  # REST says who by his id alone; the console by his name
        (ServerDisk, "device"),
    ]
)
"""What the console shows to everybody who sees the row, though REST has no field of it."""
ONLY_CONSOLE = columns(
    [
        *(
            (ActionRecord, name)
            for name in ("error_text", "result", "waits_for_host", "params", "paramshost")
        ),
        *((Migration, name) for name in ("source_compute", "dest_compute")),
        *(
            (ActionEvent, "facts"),
            (ServerDisk, "path"),
            (StoragePool, "name"),
            (StoragePool, "identity"),
            (Host, "uri"),
        ),
        *((Host, name) for name in ("cpu_model", "hypervisor_hostname", "address")),
    ]
)
"""What REST has no field of, or not of this row: shown to who sees it by the rules of what is like it."""


@pytest.mark.parametrize("own", [True, False], ids=["own", "foreign"])
@pytest.mark.parametrize("role", ROLES)
def test_console_shows_nothing_that_rest_does_not_show(role: str, own: bool, scene: Scene) -> None:
    project = scene.project if own else make_project()
    visitor = Visitor(project, role)
    told = rest(scene, (visitor.user, project), role)
    allowed = told | ALWAYS_OWN if own or role == "admin" else set()
    if role == "admin":
        allowed |= ONLY_CONSOLE
    for address, found in console(scene, visitor).items():
        assert found <= allowed, (address, found - allowed)


@pytest.mark.parametrize("own", [True, False], ids=["own", "foreign"])
@pytest.mark.parametrize("role", ROLES)
def test_what_the_console_shows_to_operators_it_shows_to_whom_rest_shows_it(
    role: str, own: bool, scene: Scene
) -> None:
    """The console has a smaller choice of fields; of those, each person gets what REST gives him."""
    project = scene.project if own else make_project()
    visitor, operator = Visitor(project, role), Visitor(scene.project, "admin")
    told = rest(scene, (visitor.user, project), role)
    of_operators = set().union(*console(scene, operator).values())
    of_visitor = set().union(*console(scene, visitor).values())
    assert told & of_operators <= of_visitor


def test_every_guarded_column_holds_a_word(scene: Scene) -> None:
    """A column that the tables of rules name and the scene does not fill would be compared with nothing."""
    filled = {model: names for model, names in MARKED.items() if model in GUARDED}
    for model, guards in GUARDED.items():
        unfilled = set(guards) - filled.get(model, set())
        assert unfilled <= {"host", "pool"}, (model, unfilled)  # rows of their own, which hold words


def test_hidden_columns_are_empty_in_what_a_page_is_given(scene: Scene) -> None:
    reader = Sight(Context("r", scene.project.pk, implied_roles(["reader"])))
    operator = Sight(Context("a", scene.project.pk, implied_roles(["admin"])))
    event = ActionEvent.objects.select_related("action__server").get()
    for row in (scene.server, scene.action, scene.migration, event):
        for name, rule in GUARDED[type(row)].items():
            assert not getattr(reader.shown(row), name), (type(row), name, rule)
            assert getattr(operator.shown(row), name) == getattr(row, name)
            assert getattr(row, name), "the row itself is left as it was"


def test_rows_that_were_read_with_a_row_are_shown_so_too(scene: Scene) -> None:
    reader = Sight(Context("r", scene.project.pk, implied_roles(["reader"])))
    rows = ActionRecord.objects.select_related("server__host", "migration").prefetch_related("events")
    action = rows.get(pk=scene.action.pk)
    shown = reader.shown(action)
    assert shown.server.host is None and shown.migration is not None
    assert not shown.migration.source_compute and not shown.events.all()[0].host


def test_every_page_of_the_console_is_made_where_rows_are_hidden() -> None:
    rooms = Path(showing.__file__).parent.glob("*.py")
    drawing = {room.name for room in rooms if re.search(r"shortcuts(\.| import .*)render", room.read_text())}
    assert drawing == {"showing.py"}
