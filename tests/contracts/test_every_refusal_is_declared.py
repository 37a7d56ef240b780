"""Every action, with whatever may be wrong: it refuses with what its definition declares, and with all of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import transaction

from servers.actions import Action, registry
from servers.actions.base import ANY_STATE, Body, Exclusivity, Shape
from servers.actions.restore import Restore
from servers.actions.task import AcceptContext
from servers.api.schema.actions import refusals
from servers.engine.accepting.restore import refuses as refuses_restore
from servers.engine.accepting.submit import submit
from servers.errors import (
    InstanceLocked,
    InvalidParameters,
    NotResized,
    Refusal,
    StaleRow,
    Unauthenticated,
)
from servers.microversions import NEWEST, Microversion
from servers.models import Host, Migration, Project, Server
from servers.policy import Context, Role, Rule
from servers.states import TaskState, VmState
from tests.contracts.test_every_action_at_every_door import PARAMS, ready
from tests.declared_refusals import undeclared
from tests.factories import make_action, make_context, make_image, make_migration, make_project
from tests.small_fleet import SmallFleet
from tests.unknown_guests import run_twice

pytestmark = pytest.mark.django_db

AT_THE_DOOR = {InvalidParameters, Unauthenticated}
"""What is refused before the engine is asked."""

VERSIONS = [Microversion.parse("2.38"), NEWEST]
"""With `force` and a limit of metadata, and without."""

REQUESTS: list[dict[str, Any]] = [
    {},
    {"host": "node1"},
    {"host": "nowhere"},
    {"host": None, "force": True},
    {"metadata": {str(number): "" for number in range(129)}},
]


def change(**fields: Any) -> Callable[[SmallFleet, Server], object]:
    return lambda fleet, server: Server.objects.filter(pk=server.pk).update(**fields)


def see_the_guest_twice(fleet: SmallFleet, server: Server) -> None:
    make_migration(server, dest_compute="node3")
    run_twice(fleet, server, "node3")


WRONG: dict[str, Callable[[SmallFleet, Server], object]] = {
    "nothing": lambda fleet, server: None,
    "the hosts are down": lambda fleet, server: Host.objects.update(forced_down=True),
    "no host": change(host=None),
    "on volumes": change(volume_backed=True),
    "no migration": lambda fleet, server: Migration.objects.all().delete(),
    "a migration that is over": lambda fleet, server: Migration.objects.update(status="completed"),
    "another state": change(vm_state=VmState.SHELVED),
    "another task": change(task_state=TaskState.DELETING),
    "no task": change(task_state=TaskState.IDLE),
    "never launched": change(launched_at=None),
    "locked": change(locked_by="admin"),
    "an outcome that nobody knows": lambda fleet, server: make_action(
        server, status="unknown", exclusive=True
    ),
    "a guest that is seen on two hosts": see_the_guest_twice,
}


def asked(action: type[Action], server: Server) -> Iterator[tuple[dict[str, Any], Context, Microversion]]:
    """Return what an admin asks for, as far as the action knows the parameters, and what others ask for."""
    known = {p.name for p in action.parameters}
    migration = Migration.objects.filter(server=server).first()
    usual = {**(PARAMS.get(action.slug) or {}), "migration": migration.pk if migration else 0}
    own, other = Project.objects.get(pk=server.project_id), make_project()
    for request in REQUESTS:
        if set(request) <= known:
            yield from (({**usual, **request}, make_context(own, "admin"), v) for v in VERSIONS)
    for project, role in ((own, "manager"), (own, "member"), (own, "reader"), (other, "manager")):
        yield usual, make_context(project, role), NEWEST


def refusal_of(action: type[Action], server: Server, *request: Any) -> type[Refusal] | None:
    """Return with what a request is refused, or None; nothing is written."""
    with transaction.atomic():
        try:
            submit(action, str(server.pk), *request)
        except Refusal as refusal:
            return type(refusal)
        finally:
            transaction.set_rollback(True)
    return None


def seen(action: type[Action], fleet: SmallFleet, server: Server) -> set[type[Refusal] | None]:
    """Return with what requests for the action are refused, whatever is wrong; None where they are accepted."""
    found: set[type[Refusal] | None] = set()
    for spoil in WRONG.values():
        with transaction.atomic():
            spoil(fleet, server)
            found |= {refusal_of(action, server, *request) for request in asked(action, server)}
            transaction.set_rollback(True)
    return found


@pytest.mark.parametrize("action", list(registry.values()), ids=lambda a: a.slug)
def test_action_is_refused_with_what_the_document_says_and_with_all_of_it(
    action: type[Action], settings: Any
) -> None:
    fleet = SmallFleet()
    server = ready(fleet, action)
    found = seen(action, fleet, server)
    settings.RESET_NETWORK_GONE = True
    found |= {refusal_of(action, server, *request) for request in asked(action, server)}
    assert None in found, "it is never accepted"
    unseen = {*AT_THE_DOOR, StaleRow}
    if all(rule.default is Role.ADMIN for rule in action.policy):
        unseen.add(
            InstanceLocked
        )  # an admin passes the lock, and who is none has to be let in by an operator's file
    assert found - {None} == set(refusals(action)) - unseen


@pytest.mark.parametrize(
    ("image", "params"), [({}, {"host": "nowhere"}), ({"status": "deleted"}, {})], ids=["host", "image"]
)
def test_restoration_is_refused_with_what_is_declared(image: dict[str, Any], params: dict[str, Any]) -> None:
    fleet = SmallFleet(hosts=1)
    saved = make_image(fleet.project, server=fleet.add_server(), definition={"name": "web"}, **image)
    assert type(refuses_restore(saved, fleet.context(), {"name": "again", **params})) in Restore.refusals


# ------------------------------------------------------------------------------ a definition that says less


@pytest.fixture
def ring_bell() -> Iterator[type[Action]]:
    class RingBell(Action):
        """Ring a bell beside the server's host."""

        wire_name = "ringBell"
        record_name = "ringBell"
        slug = "ring-bell"
        exclusivity = Exclusivity.IMMEDIATE
        policy = (Rule("toy:ring_bell", Role.MEMBER, "ring a bell"),)
        transition = ANY_STATE
        bodies = (Body(Shape.ANYTHING),)

        def accept(self, accepting: AcceptContext) -> None:
            refuse(NotResized())

    yield RingBell
    del registry["ring-bell"]


def refuse(refusal: Refusal) -> None:
    """Refuse from outside the definition, as what it calls may do."""
    raise refusal


def test_refusal_that_is_not_declared_is_seen_wherever_it_comes_from(ring_bell: type[Action]) -> None:
    server = SmallFleet(hosts=1).add_server()
    with undeclared(ring_bell) as found:
        with pytest.raises(NotResized):
            submit(ring_bell, str(server.pk), {}, make_context(Project.objects.get(), "admin"))
        assert found == ["ring-bell does not declare NotResized"]
        ring_bell.refusals = (NotResized,)
        with pytest.raises(NotResized):
            submit(ring_bell, str(server.pk), {}, make_context(Project.objects.get(), "admin"))
    assert len(found) == 1
