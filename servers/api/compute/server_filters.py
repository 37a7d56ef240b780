"""Which servers a list shows: Nova's filters, and who may use which."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce

from servers.api.compute.booleans import is_true
from servers.api.compute.paging import Values
from servers.api.compute.periods import changed
from servers.api.validation import moment
from servers.engine.visibility import visible_servers
from servers.errors import Invalid, NotPermitted
from servers.microversions import Microversion
from servers.models import NetworkInterface, Server
from servers.patterns import is_runnable
from servers.policy import Context
from servers.states import VmState, states_for_status

NOTHING = Q(pk__in=[])


class InvalidStatus(Invalid):
    """Invalid status value"""


class OnlyAdmins(NotPermitted):
    """Only administrators may list deleted instances"""


def matches(field: str) -> Callable[[str], Q]:
    """Return a filter by regular expression, as Nova has it; what no database runs is looked for as it stands."""

    def condition(text: str) -> Q:
        lookup = "iregex" if is_runnable(text) else "icontains"
        return Q(**{f"{field}__{lookup}": text})

    return condition


def exact(field: str) -> Callable[[str], Q]:
    """Return a filter by value."""
    return lambda text: Q(**{field: text})


def number(field: str) -> Callable[[str], Q]:
    """Return a filter by a number; what is none matches nothing."""
    return lambda text: Q(**{field: int(text)}) if re.fullmatch(r"[0-9]{1,9}", text) else NOTHING


def second(field: str) -> Callable[[str], Q]:
    """Return a filter by a time, to the second."""

    def condition(text: str) -> Q:
        try:
            at = moment(text).replace(microsecond=0)
            return Q(**{f"{field}__gte": at, f"{field}__lt": at + timedelta(seconds=1)})
        except (ValueError, OverflowError):
            return NOTHING

    return condition


def same_uuid(text: str) -> Q:
    """Return the condition that this is the server's id."""
    try:
        return Q(uuid=UUID(text))
    except ValueError:
        return NOTHING


def never_set(text: str) -> Q:
    """Return the condition for a field that no server of ours has."""
    return NOTHING if text.strip().lower() not in {"", "0", "false", "none"} else Q()


def locked(text: str) -> Q:
    """Return the condition that the server is locked, or is not."""
    return ~Q(locked_by="") if is_true(text) else Q(locked_by="")


FILTERS: dict[str, Callable[[str], Q]] = {
    "access_ip_v4": never_set,
    "access_ip_v6": never_set,
    "availability_zone": exact("availability_zone"),
    "config_drive": never_set,
    "created_at": second("created_at"),
    "description": matches("description"),
    "display_description": matches("description"),
    "display_name": matches("name"),
    "flavor": exact("flavor__flavorid"),
    "host": exact("host__name"),
    "hostname": matches("hostname"),
    "image": exact("image_ref"),
    "image_ref": exact("image_ref"),
    "kernel_id": never_set,
    "key_name": matches("key_name"),
    "launch_index": never_set,
    "launched_at": second("launched_at"),
    "locked": locked,
    "locked_by": exact("locked_by"),
    "name": matches("name"),
    "node": exact("host__hypervisor_hostname"),
    "power_state": number("power_state"),
    "progress": number("progress"),
    "project_id": exact("project_id"),
    "ramdisk_id": never_set,
    "reservation_id": exact("reservation_id"),
    "root_device_name": lambda text: Q() if text == "/dev/vda" else NOTHING,
    "task_state": exact("task_state"),
    "tenant_id": exact("project_id"),
    "terminated_at": second("terminated_at"),
    "user_id": exact("user_id"),
    "uuid": same_uuid,
    "vm_state": exact("vm_state"),
}
"""Every filter on a field, by its name in the query."""

FOR_EVERYBODY: tuple[tuple[str, str], ...] = (
    ("2.1", "reservation_id name status image flavor ip changes-since all_tenants"),
    ("2.5", "ip6"),
    ("2.26", "tags tags-any not-tags not-tags-any"),
    ("2.66", "changes-before"),
    ("2.73", "locked"),
    (
        "2.83",
        "availability_zone config_drive key_name created_at launched_at terminated_at power_state"
        " task_state vm_state progress user_id",
    ),
    ("2.90", "hostname"),
)
"""The filters that are not ignored for somebody who is no admin, and since when."""

TAG_FILTERS = ("tags", "tags-any", "not-tags", "not-tags-any")


@dataclass(frozen=True)
class ListScope:
    """What a list of servers depends on besides the query."""

    context: Context
    is_admin: bool
    all_tenants: bool
    version: Microversion


def usable(values: Values, scope: ListScope) -> Values:
    """Return the filters that count for this caller; others are ignored."""
    if scope.is_admin:
        return values
    names = {n for since, words in FOR_EVERYBODY for n in words.split() if scope.version.between(since, None)}
    return {name: found for name, found in values.items() if name in names}


def listable(scope: ListScope) -> QuerySet[Server]:
    """Return the servers that the caller may see at all, deleted ones too."""
    servers = visible_servers(scope.context, all_projects=scope.all_tenants)
    return servers.annotate(changed_at=Coalesce("updated_at", "created_at"))


def select(values: Values, scope: ListScope) -> QuerySet[Server]:
    """Return the servers that the query asks for. Raises InvalidStatus, OnlyAdmins or WrongPeriod."""
    servers = listable(scope)
    given = usable(values, scope)
    if not scope.all_tenants:
        given = {k: v for k, v in given.items() if k not in {"tenant_id", "project_id"}}
    servers = servers.filter(changed(given, "changed_at"), *_field_conditions(given))
    servers = servers.filter(_status(given, scope) if "status" in given else _deleted(given))
    return _by_tags(_by_address(servers, given), given)


def _field_conditions(given: Values) -> Iterable[Q]:
    return [make(given[name][-1]) for name, make in FILTERS.items() if name in given]


def _deleted(given: Values) -> Q:
    if "deleted" in given:
        return Q(deleted_at__isnull=not is_true(given["deleted"][-1]))
    if "changes-since" in given or "changes-before" in given:
        return Q()
    return Q(deleted_at=None)


def _status(given: Values, scope: ListScope) -> Q:
    states = [pair for status in given["status"] for pair in states_for_status(status.upper())]
    if not states:
        if scope.version.between("2.38", None):
            raise InvalidStatus
        return NOTHING
    found = NOTHING
    for vm_state, task_states in states:
        found |= Q(vm_state=vm_state.value, task_state__in=[t.value for t in task_states])
    if {vm_state for vm_state, _ in states} == {VmState.DELETED}:
        if not scope.is_admin:
            raise OnlyAdmins
        return found
    return found & _deleted(given)


def _by_address(servers: QuerySet[Server], given: Values) -> QuerySet[Server]:
    """Keep the servers with an address that begins as asked for; Nova takes a pattern, which is mostly that."""
    for name in ("ip", "ip6"):
        if name in given:
            start = given[name][-1].replace("\\", "").strip("^$.*")
            rows = NetworkInterface.objects.filter(server__in=servers).values_list("server_id", "addresses")
            found = {pk for pk, texts in rows if any(str(text).startswith(start) for text in texts)}
            servers = servers.filter(pk__in=found)
    return servers


def _by_tags(servers: QuerySet[Server], given: Values) -> QuerySet[Server]:
    wanted = {name: set(given[name][-1].split(",")) for name in TAG_FILTERS if name in given}
    if not wanted:
        return servers

    def keeps(tags: set[str]) -> bool:
        return (
            wanted.get("tags", set()) <= tags
            and ("tags-any" not in wanted or bool(wanted["tags-any"] & tags))
            and ("not-tags" not in wanted or not wanted["not-tags"] <= tags)
            and not wanted.get("not-tags-any", set()) & tags
        )

    return servers.filter(pk__in={pk for pk, tags in servers.values_list("pk", "tags") if keeps(set(tags))})
