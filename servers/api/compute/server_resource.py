"""How a server looks, microversion by microversion: a table of its members, each a row."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

from servers.api.compute.door import NovaView
from servers.api.compute.links import links, microseconds, seconds
from servers.api.faults import kept_code
from servers.api.resources import (
    FLAG,
    NULL,
    NUMBER,
    OBJECT,
    TEXT,
    TEXT_OR_NULL,
    TEXTS,
    TIME,
    TIME_OR_NULL,
    UUID,
    Field,
    Resource,
    fields,
    fixed,
    itself,
    list_of,
    one_of,
    or_null,
)
from servers.engine.visibility import SERVER_HOST, shows_fault
from servers.models import Server
from servers.states import PowerState, TaskState, VmState

HOST_STATUS = "os_compute_api:servers:show:host_status"
EXTRA_SPECS = "os_compute_api:os-flavor-extra-specs:index"

PROGRESS_STATUSES = {"ACTIVE", "BUILD", "REBUILD", "RESIZE", "VERIFY_RESIZE", "MIGRATING"}
TASK_STATE = {"type": ["string", "null"], "enum": [*(t.value for t in TaskState if t.value), None]}
POWER_STATE = {"type": "integer", "enum": [p.value for p in PowerState]}

# ------------------------------------------------------------------------------- how members are read


class Address(NamedTuple):
    """An address of a server, and the MAC address of the interface that has it."""

    ip: IPv4Address | IPv6Address
    mac: str


def addresses(server: Server) -> dict[str, list[Address]]:
    """Return the server's addresses by network."""
    found: dict[str, list[Address]] = {}
    for interface in server.interfaces.all():
        there = found.setdefault(interface.network, [])
        there.extend(
            Address(ip_address(text.partition("/")[0]), interface.mac) for text in interface.addresses
        )
    return found


def flavor_id(server: Server) -> str:
    """Return the id of the server's flavor, its name where there is no such flavor any more."""
    return server.flavor.flavorid if server.flavor else server.flavor_name


def hostname(server: Server) -> str:
    """Return the name that the guest knows itself by."""
    return server.hostname or server.name


def group_ids(server: Server) -> list[str]:
    """Return the ids of the groups that the server is in: one, or none."""
    return [str(server.group.uuid)] if server.group else []


def scheduler_hints(server: Server) -> dict[str, list[str]]:
    """Return what the scheduler was told when the server was made, as far as it is kept: its group."""
    return {"group": group_ids(server)} if server.group else {}


def hypervisor_hostname(server: Server) -> str | None:
    """Return the host's name on the hypervisor, None without a host."""
    return server.host.hypervisor_hostname if server.host else None


def host_status(server: Server) -> str:
    """Return the word for the host's state."""
    host = server.host
    if host is None:
        return ""
    if host.forced_down:
        return "DOWN"
    if not host.enabled or host.maintenance:
        return "MAINTENANCE"
    return "UP" if host.is_up else "UNKNOWN"


def shows_fault_details(server: Server, view: NovaView) -> bool:
    """Return whether the fault has details for this caller: those of our own failures are the admin's."""
    return bool(server.fault_details) and (kept_code(server.fault_code) != 500 or view.is_admin)


# --------------------------------------------------------------------------------------- the tables

SERVER_BRIEF = Resource(
    "ServerBrief",
    (
        Field("id", UUID, lambda server: str(server.uuid)),
        Field("name", TEXT, "name"),
        links(lambda server, view: view.links.both("servers", server.uuid)),
    ),
)
IMAGE = Resource(
    "ServerImage",
    (
        Field("id", TEXT, "image_ref"),
        links(lambda server, view: [view.links.bookmark("images", server.image_ref)]),
        Field("properties", OBJECT, "image_properties", since="2.98"),
    ),
)
FLAVOR = Resource(
    "ServerFlavor",
    (
        Field("id", TEXT, flavor_id, until="2.46"),
        links(lambda server, view: [view.links.bookmark("flavors", flavor_id(server))], until="2.46"),
        Field("original_name", TEXT, "flavor_name", since="2.47"),
        Field("vcpus", NUMBER, "vcpus", since="2.47"),
        Field("ram", NUMBER, "memory_mb", since="2.47"),
        Field("disk", NUMBER, "root_gb", since="2.47"),
        Field("ephemeral", NUMBER, "ephemeral_gb", since="2.47"),
        Field("swap", NUMBER, "swap_mb", since="2.47"),
        Field("extra_specs", OBJECT, "extra_specs", since="2.47", rule=EXTRA_SPECS),
    ),
)
ADDRESS = Resource(
    "ServerAddress",
    (
        Field("version", {"enum": [4, 6]}, "ip.version"),
        Field("addr", TEXT, lambda address: str(address.ip)),
        Field("OS-EXT-IPS:type", TEXT, fixed("fixed")),
        Field("OS-EXT-IPS-MAC:mac_addr", TEXT, "mac"),
    ),
)
FAULT = Resource(
    "ServerFault",
    (
        Field("code", NUMBER, lambda server: kept_code(server.fault_code)),
        Field("created", TIME, lambda server: seconds(server.fault_at)),
        Field("message", TEXT, "fault_message"),
        Field("details", TEXT, "fault_details", when=shows_fault_details),
    ),
)
ATTRIBUTES = "OS-EXT-SRV-ATTR:"
SERVER_DETAIL = Resource(
    "ServerDetail",
    (
        *SERVER_BRIEF.fields,
        *fields("status user_id", TEXT),
        Field("tenant_id", TEXT, "project_id"),
        Field("hostId", TEXT, "host_digest"),
        Field("metadata", OBJECT, "metadata"),
        Field("image", IMAGE, itself, when=lambda s: s.image_ref and not s.volume_backed, otherwise=""),
        Field("flavor", FLAVOR, itself),
        Field("created", TIME, lambda server: seconds(server.created_at)),
        Field("updated", TIME, lambda server: seconds(server.updated_at or server.created_at)),
        Field("addresses", ADDRESS, addresses, many=True, by_name=True),
        *fields("accessIPv4 accessIPv6 config_drive", TEXT, fixed("")),
        Field("key_name", TEXT_OR_NULL, or_null("key_name")),
        Field("security_groups", list_of(TEXTS), fixed([{"name": "default"}])),
        Field("OS-DCF:diskConfig", one_of("AUTO", "MANUAL"), fixed("AUTO")),
        Field("OS-EXT-AZ:availability_zone", TEXT, "zone"),
        Field("OS-EXT-STS:vm_state", one_of(*VmState), "vm_state"),
        Field("OS-EXT-STS:task_state", TASK_STATE, or_null("task_state")),
        Field("OS-EXT-STS:power_state", POWER_STATE, "power_state"),
        Field("OS-SRV-USG:launched_at", TIME_OR_NULL, lambda s: microseconds(s.launched_at)),
        Field("OS-SRV-USG:terminated_at", TIME_OR_NULL, lambda s: microseconds(s.terminated_at)),
        Field("os-extended-volumes:volumes_attached", list_of(OBJECT), fixed([])),
        Field("progress", NUMBER, "progress", when=lambda s: s.status in PROGRESS_STATUSES),
        Field("fault", FAULT, itself, when=shows_fault),
        Field("locked", FLAG, lambda server: bool(server.locked_by), since="2.9"),
        Field("description", TEXT_OR_NULL, "description", since="2.19"),
        Field("tags", list_of(TEXT), "tags", since="2.26"),
        Field("trusted_image_certificates", NULL, fixed(None), since="2.63"),
        Field("locked_reason", TEXT_OR_NULL, or_null("locked_reason"), since="2.73"),
        Field("pinned_availability_zone", TEXT_OR_NULL, fixed(None), since="2.96"),
        Field("scheduler_hints", OBJECT, scheduler_hints, since="2.100"),
        Field("host_status", TEXT, host_status, since="2.16", rule=HOST_STATUS),
        Field(f"{ATTRIBUTES}host", TEXT_OR_NULL, lambda s: s.host and s.host.name, rule=SERVER_HOST),
        Field(f"{ATTRIBUTES}hypervisor_hostname", TEXT_OR_NULL, hypervisor_hostname, rule=SERVER_HOST),
        Field(f"{ATTRIBUTES}instance_name", TEXT, "instance_name", rule=SERVER_HOST),
        Field(f"{ATTRIBUTES}hostname", TEXT, hostname, since="2.3", until="2.89", rule=SERVER_HOST),
        Field(f"{ATTRIBUTES}hostname", TEXT, hostname, since="2.90"),
        Field(f"{ATTRIBUTES}reservation_id", TEXT, "reservation_id", since="2.3", rule=SERVER_HOST),
        Field(f"{ATTRIBUTES}launch_index", NUMBER, fixed(0), since="2.3", rule=SERVER_HOST),
        *fields(
            f"{ATTRIBUTES}kernel_id {ATTRIBUTES}ramdisk_id", TEXT, fixed(""), since="2.3", rule=SERVER_HOST
        ),
        Field(f"{ATTRIBUTES}root_device_name", TEXT, fixed("/dev/vda"), since="2.3", rule=SERVER_HOST),
        Field(f"{ATTRIBUTES}user_data", TEXT_OR_NULL, fixed(None), since="2.3", rule=SERVER_HOST),
    ),
)
"""A server in a list with details."""
SERVER = Resource(
    "Server", (*SERVER_DETAIL.fields, Field("server_groups", list_of(UUID), group_ids, since="2.71"))
)
"""A server that is shown alone."""
