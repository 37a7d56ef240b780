"""restore: a new server out of a backup. Nova makes servers by another request, so no server can be asked for it."""

from __future__ import annotations

from contextlib import suppress
from typing import Protocol

from servers.actions.base import Action, Parameter, Transition, step
from servers.actions.kinds import Boolean, HostName, Name
from servers.actions.task import Change, ImageTask, PlacingTask, Task
from servers.drivers import base
from servers.drivers.base import Progress
from servers.errors import (
    ActionFault,
    ComputeResourcesUnavailable,
    HostUnknown,
    ImageStoreFault,
    ImageUnacceptable,
    NoValidHost,
    RestoreFailed,
)
from servers.policy import Role, Rule, has
from servers.states import PowerState, TaskState, VmState

CHOOSE = "conductor_restore"
MAKE = "compute_restore"


class MakingTask(PlacingTask, ImageTask, Protocol):
    """A task that makes a guest of an image on the host where it has room."""


class Restore(Action):
    """Make a new server out of a backup; the one that was saved stays as it is.

    It has a UUID, addresses of hardware and a disk of its own, and the size and networks of the saved one. It is left
    shut down unless it is to be started: inside it still has the name and the addresses of the saved one.
    """

    wire_name = ""
    record_name = "restore"
    slug = "restore"
    makes_server = True
    policy = (
        Rule("os_compute_api:servers:create", Role.MEMBER, "make a new server out of a backup"),
        Rule(
            "os_compute_api:servers:create:forced_host",
            Role.ADMIN,
            "make it on a host of one's choice",
            has("host"),
        ),
    )
    parameters = (
        Parameter("name", Name(), "name of the new server"),
        Parameter("host", HostName(), "where it is to be; without one the scheduler chooses", required=False),
        Parameter(
            "start",
            Boolean(),
            "start it at once, with the addresses that the saved one has inside",
            required=False,
            default=False,
        ),
    )
    transition = Transition(
        allowed=frozenset({VmState.BUILDING}),
        task_states=frozenset({TaskState.SPAWNING}),
        needs_launched=False,
    )
    refusals = (HostUnknown, ImageUnacceptable)
    errors = (NoValidHost, ComputeResourcesUnavailable, ImageStoreFault, RestoreFailed)
    edges = ("become_active", "become_stopped", "vanish", "end_task")
    events = (CHOOSE, MAKE)
    consequence = "Nothing happens to the server that was saved."

    @step
    def choose_host(self, task: PlacingTask) -> None:
        """Try hosts in the scheduler's order until one has room."""
        task.release()
        with task.event(CHOOSE):
            hosts = task.select(CHOOSE, requested=task.params["host"])
            task.remember(host=first_with_room(task, hosts))

    @choose_host.undo
    def give_room_back(self, task: PlacingTask) -> None:
        task.release()

    @step(touches_guest=True, takes=base.Restore)
    def make_guest(self, task: MakingTask) -> None:
        def report(progress: Progress) -> None:
            task.report(progress)
            task.checkpoint()

        host = task.memo["host"]
        with task.event(MAKE, host):
            made = task.ability(base.Restore, host).make(
                task.guest, task.saved(), report, power_on=bool(task.params["start"])
            )
        task.place_disk(host, made.disk)
        task.record(Change(host=host, power_state=made.power_state))

    @make_guest.undo
    def remove_guest(self, task: Task) -> None:
        task.ability(base.Restore, task.memo["host"]).discard(task.guest)

    def finished(self, task: Task) -> Change:
        runs = task.server.power_state is PowerState.RUNNING
        return Change(
            server=("become_active" if runs else "become_stopped", "end_task"), launched=True, progress=0
        )

    def failed(self, task: Task, fault: ActionFault) -> Change:
        return Change(server=("vanish", "end_task"), progress=0, fault=fault)

    def cancelled(self, task: Task) -> Change:
        return Change(server=("vanish", "end_task"), progress=0)


def first_with_room(task: PlacingTask, hosts: tuple[str, ...]) -> str:
    """Claim the first host that has room and return it. Raises ComputeResourcesUnavailable, of the last one."""
    for host in hosts[:-1]:
        with suppress(ComputeResourcesUnavailable):
            task.claim(host)
            return host
    task.claim(hosts[-1])
    return hosts[-1]
