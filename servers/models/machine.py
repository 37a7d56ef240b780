"""State machines: each table of edges in `servers.edges` becomes protected django-fsm transitions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any

from django.db import models
from django_fsm import FSMField, transition

from servers import clock
from servers.edges import ACTION_EDGES, IMAGE_EDGES, MIGRATION_EDGES, TASK_EDGES, VM_EDGES, Edge
from servers.errors import StaleRow
from servers.states import ActionStatus, ImageStatus, MigrationStatus, TaskState, VmState


class Machine(models.Model):
    """A row whose state changes by named edges alone."""

    class Meta:
        abstract = True

    def apply_edge(self, edge: str) -> None:
        """Change the state in memory by `edge`; raises django_fsm.TransitionNotAllowed where it does not start."""
        getattr(self, edge)()

    def refresh_from_db(
        self,
        using: str | None = None,
        fields: Iterable[str] | None = None,
        from_queryset: models.QuerySet[Any] | None = None,
    ) -> None:
        """Read the row again, protected fields as well.

        django-fsm's own mixin lifts the protection of the whole class for that moment; here the old value of
        this one instance is forgotten, which the protection permits.
        """
        wanted = None if fields is None else set(fields)
        for field in self._meta.concrete_fields:
            if isinstance(field, FSMField) and (wanted is None or field.name in wanted):
                self.__dict__.pop(field.attname, None)
        super().refresh_from_db(using, fields, from_queryset)


class Revised(Machine):
    """A row that nobody overwrites with an old copy: every write names its fields and its revision."""

    revision = models.PositiveBigIntegerField(default=0, editable=False)
    updated_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        abstract = True

    def store(self, *fields: str) -> None:
        """Write `fields` if the row is still as it was read. Raises StaleRow, and then nothing is written."""
        read_revision = self.revision
        self.revision = read_revision + 1
        self.updated_at = clock.now()
        values = {name: getattr(self, name) for name in (*fields, "revision", "updated_at")}
        rows = type(self)._base_manager.filter(pk=self.pk, revision=read_revision).update(**values)
        if rows != 1:
            self.revision = read_revision
            raise StaleRow(model=type(self).__name__, pk=self.pk)


def state_field(words: type[StrEnum], default: StrEnum, **options: bool) -> FSMField:
    """Return a protected field that holds one of `words`."""
    choices = [(word.value, word.value or "idle") for word in words]
    field: FSMField = FSMField(default=default.value, choices=choices, protected=True, **options)
    return field


def _edge_method(name: str) -> Callable[[Machine], None]:
    def move(self: Machine) -> None:
        """Change the state in memory; `store` writes it."""

    move.__name__ = move.__qualname__ = name
    return move


def add_transitions(machine: Any, field: str, edges: Iterable[Edge]) -> None:
    """Give an abstract machine one transition an edge. It must happen before a concrete class inherits it."""
    for edge in edges:
        decorate = transition(field=field, source=sorted(edge.sources), target=edge.target)
        setattr(machine, edge.name, decorate(_edge_method(edge.name)))


class ServerMachine(Revised):
    """What state a server is in, and what is being done to it."""

    vm_state = state_field(VmState, VmState.BUILDING, db_index=True)
    task_state = state_field(TaskState, TaskState.IDLE, blank=True)

    class Meta:
        abstract = True


class MigrationMachine(Revised):
    """How far a migration is."""

    status = state_field(MigrationStatus, MigrationStatus.ACCEPTED, db_index=True)

    class Meta:
        abstract = True


class ImageMachine(Revised):
    """Whether an image can be used."""

    status = state_field(ImageStatus, ImageStatus.QUEUED, db_index=True)

    class Meta:
        abstract = True


class ActionMachine(Machine):
    """Whether an action waits, runs, or is over. Its writes are guarded by the fencing token instead of a revision."""

    status = state_field(ActionStatus, ActionStatus.QUEUED, db_index=True)

    class Meta:
        abstract = True


add_transitions(ServerMachine, "vm_state", VM_EDGES)
add_transitions(ServerMachine, "task_state", TASK_EDGES)
add_transitions(MigrationMachine, "status", MIGRATION_EDGES)
add_transitions(ImageMachine, "status", IMAGE_EDGES)
add_transitions(ActionMachine, "status", ACTION_EDGES)
