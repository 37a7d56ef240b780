"""Filters of the console's lists; each stands in the address, so that a list can be handed on."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest

from servers.actions import definitions
from servers.admin.caller import allows, caller_of
from servers.admin.labels import action_label
from servers.engine.visibility import HYPERVISORS, SERVER_HOST
from servers.models import Host, Project
from servers.states import OPEN_ACTION_STATUSES, VmState


class Single(SimpleListFilter):
    """A filter with one value."""

    @classmethod
    def is_offered(cls, request: HttpRequest) -> bool:
        """Return whether the caller may filter by it."""
        return True

    def wanted(self) -> str:
        """Return the value that was chosen."""
        return str(self.value() or "")


class ProjectFilter(Single):
    """By the owning project, for whom there is more than one."""

    title = "project"
    parameter_name = "project"

    @classmethod
    def is_offered(cls, request: HttpRequest) -> bool:
        return caller_of(request).is_operator

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> list[tuple[str, str]]:
        return list(Project.objects.values_list("pk", "name"))

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(project_id=self.wanted()) if self.wanted() else queryset


class StateFilter(Single):
    """By the stable state; only states that some server is in are offered."""

    title = "state"
    parameter_name = "vm_state"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> list[tuple[str, str]]:
        there = set(
            model_admin.get_queryset(request).order_by().values_list("vm_state", flat=True).distinct()
        )
        return [(state.value, state.value) for state in VmState if state.value in there]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(vm_state=self.wanted()) if self.wanted() else queryset


class HostFilter(Single):
    """By host, for who may see hosts."""

    title = "host"
    parameter_name = "host"

    @classmethod
    def is_offered(cls, request: HttpRequest) -> bool:
        return allows(request, SERVER_HOST) and allows(request, HYPERVISORS)

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> list[tuple[str, str]]:
        return [(name, name) for name in Host.objects.values_list("name", flat=True)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(host__name=self.wanted()) if self.wanted() else queryset


class BusyFilter(Single):
    """By whether something is being done."""

    title = "what goes on"
    parameter_name = "busy"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> list[tuple[str, str]]:
        return [("yes", "something is going on"), ("no", "nothing"), ("locked", "locked")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.wanted() == "yes":
            return queryset.exclude(task_state="")
        if self.wanted() == "no":
            return queryset.filter(task_state="")
        return queryset.exclude(locked_by="") if self.wanted() == "locked" else queryset


class ActionFilter(Single):
    """By what was done."""

    title = "action"
    parameter_name = "action"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> list[tuple[str, str]]:
        return [(slug, action_label(definitions[slug])) for slug in sorted(definitions)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(slug=self.wanted()) if self.wanted() else queryset


class OpenFilter(Single):
    """By whether it is over."""

    title = "whether it is over"
    parameter_name = "over"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> list[tuple[str, str]]:
        return [("no", "going on or waiting"), ("yes", "over")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.wanted() == "no":
            return queryset.filter(status__in=OPEN_ACTION_STATUSES)
        return queryset.exclude(status__in=OPEN_ACTION_STATUSES) if self.wanted() == "yes" else queryset
