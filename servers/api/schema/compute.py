"""The resources of the compute door: what each answers, microversion by microversion."""

from __future__ import annotations

from django.views import View

from servers.api.compute import (
    discovery,
    flavors,
    hosts,
    hypervisors,
    images,
    instance_actions,
    migrations,
    servers,
    services,
    zones,
)
from servers.api.compute.capacity import statistics
from servers.api.compute.server_body import FAULT_STATUSES, PROGRESS_STATUSES
from servers.api.resources import (
    FLAG,
    NULL,
    NUMBER,
    NUMBER_OR_NULL,
    OBJECT,
    TEXT,
    TEXT_OR_NULL,
    TEXTS,
    TIME,
    TIME_OR_NULL,
    UUID,
    Field,
    Resource,
    Schema,
    fields,
    list_of,
    one_of,
)
from servers.api.schema.operation import Operation, Reply, shows, wrapped
from servers.engine.capacity.usage import Usage
from servers.models import Host
from servers.states import MigrationStatus, MigrationType, PowerState, TaskState, VmState

LINK = Resource("Link", (Field("rel", TEXT), Field("href", TEXT), Field("type", TEXT, optional=True)))
LINKS = Field("links", LINK, many=True)


def more(name: str, since: str | None = None) -> Field:
    """Return the field that leads to the next page."""
    return Field(name, LINK, since=since, optional=True, many=True)


# ------------------------------------------------------------------------------------------ servers

BRIEF = (Field("id", UUID), Field("name", TEXT), LINKS)
LINKED = Resource("Linked", (Field("id", TEXT), LINKS))
SERVER_BRIEF = Resource("ServerBrief", BRIEF)
IMAGE_OF_SERVER = Resource(
    "ServerImage", (Field("id", TEXT), LINKS, Field("properties", OBJECT, since="2.98"))
)
FLAVOR_OF_SERVER = Resource(
    "ServerFlavor",
    (
        *fields("id", TEXT, until="2.46"),
        Field("links", LINK, until="2.46", many=True),
        *fields("original_name", TEXT, since="2.47"),
        *fields("vcpus ram disk ephemeral swap", NUMBER, since="2.47"),
        Field("extra_specs", OBJECT, since="2.47", optional=True),
    ),
)
FAULT_OF_SERVER = Resource(
    "ServerFault",
    (
        Field("code", NUMBER),
        Field("created", TIME),
        Field("message", TEXT),
        Field("details", TEXT, optional=True),
    ),
)
ADDRESS: Schema = {
    "type": "object",
    "properties": {
        "version": {"enum": [4, 6]},
        "addr": TEXT,
        "OS-EXT-IPS:type": TEXT,
        "OS-EXT-IPS-MAC:mac_addr": TEXT,
    },
    "required": ["version", "addr", "OS-EXT-IPS:type", "OS-EXT-IPS-MAC:mac_addr"],
    "additionalProperties": False,
}
ATTRIBUTES = "OS-EXT-SRV-ATTR:"
SERVER = Resource(
    "Server",
    (
        *BRIEF,
        Field("status", TEXT),
        *fields("tenant_id user_id hostId", TEXT),
        Field("metadata", OBJECT),
        Field("image", IMAGE_OF_SERVER, otherwise=""),
        Field("flavor", FLAVOR_OF_SERVER),
        *fields("created updated", TIME),
        Field("addresses", {"type": "object", "additionalProperties": list_of(ADDRESS)}),
        *fields("accessIPv4 accessIPv6 config_drive", TEXT),
        Field("key_name", TEXT_OR_NULL),
        Field("security_groups", list_of(TEXTS)),
        Field("OS-DCF:diskConfig", one_of("AUTO", "MANUAL")),
        Field("OS-EXT-AZ:availability_zone", TEXT),
        Field("OS-EXT-STS:vm_state", one_of(*VmState)),
        Field(
            "OS-EXT-STS:task_state",
            {"type": ["string", "null"], "enum": [*(t.value for t in TaskState if t.value), None]},
        ),
        Field("OS-EXT-STS:power_state", {"type": "integer", "enum": [p.value for p in PowerState]}),
        *fields("OS-SRV-USG:launched_at OS-SRV-USG:terminated_at", TIME_OR_NULL),
        Field("os-extended-volumes:volumes_attached", list_of(OBJECT)),
        Field("progress", NUMBER, optional=True),
        Field("fault", FAULT_OF_SERVER, optional=True),
        Field("locked", FLAG, since="2.9"),
        Field("description", TEXT_OR_NULL, since="2.19"),
        Field("tags", list_of(TEXT), since="2.26"),
        Field("trusted_image_certificates", NULL, since="2.63"),
        Field("locked_reason", TEXT_OR_NULL, since="2.73"),
        Field(f"{ATTRIBUTES}hostname", TEXT, since="2.3", until="2.89", optional=True),
        Field(f"{ATTRIBUTES}hostname", TEXT, since="2.90"),
        Field("pinned_availability_zone", TEXT_OR_NULL, since="2.96"),
        Field("scheduler_hints", OBJECT, since="2.100"),
        Field("server_groups", list_of(UUID), since="2.71", optional=True),
        Field("host_status", TEXT, since="2.16", optional=True),
        *fields(f"{ATTRIBUTES}host {ATTRIBUTES}hypervisor_hostname", TEXT_OR_NULL, optional=True),
        Field(f"{ATTRIBUTES}instance_name", TEXT, optional=True),
        *fields(
            " ".join(
                ATTRIBUTES + n for n in ("reservation_id", "kernel_id", "ramdisk_id", "root_device_name")
            ),
            TEXT,
            since="2.3",
            optional=True,
        ),
        Field(f"{ATTRIBUTES}launch_index", NUMBER, since="2.3", optional=True),
        Field(f"{ATTRIBUTES}user_data", TEXT_OR_NULL, since="2.3", optional=True),
    ),
)
PROGRESS = f"`progress` is there while the status is one of {', '.join(sorted(PROGRESS_STATUSES))}; "
PROGRESS += f"`fault` where it is one of {', '.join(sorted(FAULT_STATUSES))}."

# ----------------------------------------------------------------------- instance actions, migrations

EVENT = Resource(
    "InstanceActionEvent",
    (
        Field("event", TEXT),
        Field("start_time", TIME),
        Field("finish_time", TIME_OR_NULL),
        Field("result", {"enum": ["Success", "Error", None]}),
        Field("traceback", TEXT_OR_NULL, optional=True),
        Field("host", TEXT_OR_NULL, since="2.62", optional=True),
        Field("hostId", TEXT, since="2.62"),
        Field("details", TEXT_OR_NULL, since="2.84", optional=True),
    ),
)
ACTION_FIELDS = (
    Field("action", TEXT),
    Field("instance_uuid", UUID),
    *fields("request_id user_id project_id", TEXT),
    Field("start_time", TIME),
    Field("message", {"enum": ["Error", None]}),
    Field("updated_at", TIME, since="2.58"),
)
INSTANCE_ACTION_BRIEF = Resource("InstanceActionBrief", ACTION_FIELDS)
INSTANCE_ACTION = Resource(
    "InstanceAction",
    (
        *ACTION_FIELDS,
        Field("events", EVENT, until="2.50", optional=True, many=True),
        Field("events", EVENT, since="2.51", many=True),
    ),
)
OWNER = (Field("uuid", UUID, since="2.59"), *fields("user_id project_id", TEXT, since="2.80"))
ON_HOSTS = fields(" ".join(migrations.HOST_FIELDS), TEXT_OR_NULL)
TIMES = (Field("created_at", TIME), Field("updated_at", TIME_OR_NULL))
STATUS = Field("status", one_of(*MigrationStatus))
MIGRATION = Resource(
    "Migration",
    (
        Field("id", NUMBER),
        Field("instance_uuid", UUID),
        STATUS,
        *fields("old_instance_type_id new_instance_type_id", NUMBER_OR_NULL),
        *ON_HOSTS,
        *TIMES,
        *OWNER,
        Field("migration_type", one_of(*MigrationType), since="2.23"),
        Field("links", LINK, since="2.23", optional=True, many=True),
    ),
)
SERVER_MIGRATION = Resource(
    "ServerMigration",
    (
        Field("id", NUMBER),
        Field("server_uuid", UUID),
        STATUS,
        *ON_HOSTS,
        *TIMES,
        *OWNER,
        *fields(" ".join(migrations.COUNTERS), NUMBER_OR_NULL),
    ),
)

# -------------------------------------------------------------------------------------------- hosts

SERVICE = Resource(
    "Service",
    (
        Field("id", NUMBER, until="2.52"),
        Field("id", UUID, since="2.53"),
        *fields("binary host zone", TEXT),
        Field("status", one_of("enabled", "disabled")),
        Field("state", one_of("up", "down")),
        Field("updated_at", TIME_OR_NULL),
        Field("disabled_reason", TEXT_OR_NULL),
        Field("forced_down", FLAG, since="2.11"),
    ),
)
ORDERED_SERVICE = Resource(
    "OrderedService",
    (
        *fields("host binary", TEXT),
        *fields("status disabled_reason", TEXT, optional=True),
        Field("forced_down", FLAG, optional=True),
    ),
)
UPDATED_SERVICE = Resource(
    "UpdatedService",
    (Field("service", ORDERED_SERVICE, until="2.52"), Field("service", SERVICE, since="2.53")),
)
SERVICE_OF_HYPERVISOR = Resource(
    "HypervisorService",
    (
        Field("id", NUMBER, until="2.52"),
        Field("id", UUID, since="2.53"),
        Field("host", TEXT),
        Field("disabled_reason", TEXT_OR_NULL),
    ),
)
SERVERS_OF_HYPERVISOR = Field("servers", list_of(TEXTS), optional=True)
HYPERVISOR_FIELDS = (
    Field("id", NUMBER, until="2.52"),
    Field("id", UUID, since="2.53"),
    Field("hypervisor_hostname", TEXT),
    Field("state", one_of("up", "down")),
    Field("status", one_of("enabled", "disabled")),
    SERVERS_OF_HYPERVISOR,
)
HYPERVISOR_BRIEF = Resource("HypervisorBrief", HYPERVISOR_FIELDS)
STATISTICS = " ".join(statistics(Host(), Usage()))
HYPERVISOR = Resource(
    "Hypervisor",
    (
        *HYPERVISOR_FIELDS,
        *fields("host_ip hypervisor_type", TEXT),
        Field("hypervisor_version", NUMBER),
        Field("service", SERVICE_OF_HYPERVISOR),
        Field("uptime", TEXT_OR_NULL, since="2.88"),
        *fields(STATISTICS, NUMBER, until="2.87"),
        Field("cpu_info", TEXT, until="2.27"),
        Field("cpu_info", OBJECT, since="2.28", until="2.87"),
    ),
)
HYPERVISOR_STATISTICS = Resource("HypervisorStatistics", fields(f"count {STATISTICS}", NUMBER))
AGGREGATE = Resource(
    "Aggregate",
    (
        Field("id", NUMBER),
        Field("name", TEXT),
        Field("availability_zone", TEXT_OR_NULL),
        Field("hosts", list_of(TEXT)),
        Field("metadata", OBJECT),
        Field("created_at", TIME),
        *fields("updated_at deleted_at", NULL),
        Field("deleted", FLAG),
        Field("uuid", UUID, since="2.41"),
    ),
)
HOST_BRIEF = Resource("HostBrief", fields("host_name service zone", TEXT))
HOST_LINE = Resource("HostLine", (*fields("host project", TEXT), *fields("cpu memory_mb disk_gb", NUMBER)))
HOST_RESOURCE = Resource("HostResource", (Field("resource", HOST_LINE),))

ZONE_STATE = Resource("ZoneState", (Field("available", FLAG),))
ZONE_FIELDS = (Field("zoneName", TEXT), Field("zoneState", ZONE_STATE))
ZONE = Resource("Zone", (*ZONE_FIELDS, Field("hosts", NULL)))
ZONE_DETAIL = Resource("ZoneDetail", (*ZONE_FIELDS, Field("hosts", {"anyOf": [OBJECT, NULL]})))

# ---------------------------------------------------------------------------------- flavors, images

FLAVOR_BRIEF = Resource(
    "FlavorBrief", (*fields("id name", TEXT), LINKS, Field("description", TEXT_OR_NULL, since="2.55"))
)
FLAVOR = Resource(
    "Flavor",
    (
        *FLAVOR_BRIEF.fields,
        *fields("ram disk vcpus OS-FLV-EXT-DATA:ephemeral", NUMBER),
        Field("swap", NUMBER, until="2.74", otherwise=""),
        Field("swap", NUMBER, since="2.75"),
        *fields("OS-FLV-DISABLED:disabled os-flavor-access:is_public", FLAG),
        Field("rxtx_factor", {"type": "number"}, until="2.101"),
        Field("extra_specs", OBJECT, since="2.61", optional=True),
    ),
)
EXTRA_SPECS = Resource("FlavorExtraSpecs", (Field("extra_specs", OBJECT),))
IMAGE = Resource(
    "ComputeImage",
    (
        Field("id", UUID),
        *fields("name", TEXT),
        Field("status", one_of("SAVING", "ACTIVE", "ERROR", "DELETED")),
        *fields("progress minDisk minRam", NUMBER),
        *fields("created updated", TIME),
        Field("metadata", OBJECT),
        Field("OS-EXT-IMG-SIZE:size", NUMBER_OR_NULL),
        LINKS,
        Field("server", LINKED, optional=True),
    ),
)

# ---------------------------------------------------------------------------------------- versions

VERSION = Resource(
    "ApiVersion",
    (
        *fields("id status version min_version updated", TEXT),
        LINKS,
        Field("media-types", list_of(TEXTS), optional=True),
    ),
)
CHOICE = wrapped("version", VERSION)
VERSIONS = Operation(
    "List the versions of the API",
    (Reply(200, wrapped("versions", VERSION, many=True)),),
    public=True,
    bare=True,
)

# --------------------------------------------------------------------------------------- operations


def lists(summary: str, key: str, shape: Resource, *more: Field, text: str = "") -> Operation:
    """Return the operation that shows a list."""
    return Operation(summary, (Reply(200, wrapped(key, shape, *more, many=True)),), text)


SERVICE_BODY: Schema = {
    "anyOf": [
        {**services.NAMED_BODY, "title": "until 2.10"},
        {**services.NAMED_BODY_FORCED, "title": "2.11 to 2.52"},
        {**services.BODY, "title": "since 2.53"},
    ]
}

OPERATIONS: dict[tuple[type[View], str], Operation] = {
    (discovery.VersionDocument, "get"): Operation(
        "Show this version of the API", (Reply(200, CHOICE),), public=True
    ),
    (discovery.VersionById, "get"): Operation("Show a version of the API", (Reply(200, CHOICE),)),
    (servers.ServerList, "get"): lists("List servers", "servers", SERVER_BRIEF, more("servers_links")),
    (servers.ServerDetailList, "get"): lists(
        "List servers with details", "servers", SERVER, more("servers_links"), text=PROGRESS
    ),
    (servers.ServerShow, "get"): Operation(
        "Show a server", (Reply(200, wrapped("server", SERVER)),), PROGRESS
    ),
    (instance_actions.InstanceActionList, "get"): lists(
        "List what was done to a server", "instanceActions", INSTANCE_ACTION_BRIEF, more("links", "2.58")
    ),
    (instance_actions.InstanceActionShow, "get"): shows(
        "Show what was done, with its events", "instanceAction", INSTANCE_ACTION
    ),
    (migrations.MigrationList, "get"): lists(
        "List migrations", "migrations", MIGRATION, more("migrations_links", "2.59")
    ),
    (migrations.ServerMigrationList, "get"): lists(
        "List the live migrations of a server that are going on", "migrations", SERVER_MIGRATION
    ),
    (migrations.ServerMigration, "get"): shows(
        "Show a live migration that is going on", "migration", SERVER_MIGRATION
    ),
    (services.ServiceList, "get"): lists("List compute services", "services", SERVICE),
    (services.ServiceUpdate, "put"): Operation(
        "Enable, disable or force down a compute service",
        (Reply(200, UPDATED_SERVICE),),
        "Until 2.52 the address ends with enable, disable, disable-log-reason or force-down; since 2.53 with the"
        " service's UUID.",
        body=SERVICE_BODY,
        examples={
            "disable, since 2.53": {"status": "disabled", "disabled_reason": "a new disk"},
            "disable, until 2.52": {"host": "node1", "binary": "nova-compute"},
        },
    ),
    (hypervisors.HypervisorList, "get"): lists(
        "List hypervisors", "hypervisors", HYPERVISOR_BRIEF, more("hypervisors_links", "2.33")
    ),
    (hypervisors.HypervisorDetailList, "get"): lists(
        "List hypervisors with details", "hypervisors", HYPERVISOR, more("hypervisors_links", "2.33")
    ),
    (hypervisors.HypervisorShow, "get"): shows("Show a hypervisor", "hypervisor", HYPERVISOR),
    (hypervisors.HypervisorSearch, "get"): lists(
        "Search hypervisors by name", "hypervisors", HYPERVISOR_BRIEF
    ),
    (hypervisors.HypervisorStatistics, "get"): shows(
        "Sum up all enabled hypervisors", "hypervisor_statistics", HYPERVISOR_STATISTICS
    ),
    (hypervisors.HypervisorUptime, "get"): Operation(
        "Show a hypervisor's uptime", (), "No driver tells it.", refusals=(501,)
    ),
    (zones.ZoneList, "get"): lists("List availability zones", "availabilityZoneInfo", ZONE),
    (zones.ZoneDetailList, "get"): lists(
        "List availability zones with their hosts", "availabilityZoneInfo", ZONE_DETAIL
    ),
    (hosts.AggregateList, "get"): lists("List aggregates", "aggregates", AGGREGATE),
    (hosts.AggregateShow, "get"): shows("Show an aggregate", "aggregate", AGGREGATE),
    (hosts.HostList, "get"): lists("List hosts", "hosts", HOST_BRIEF),
    (hosts.HostShow, "get"): lists("Show what a host has and who uses it", "host", HOST_RESOURCE),
    (flavors.FlavorList, "get"): lists("List flavors", "flavors", FLAVOR_BRIEF, more("flavors_links")),
    (flavors.FlavorDetailList, "get"): lists(
        "List flavors with details", "flavors", FLAVOR, more("flavors_links")
    ),
    (flavors.FlavorShow, "get"): shows("Show a flavor", "flavor", FLAVOR),
    (flavors.FlavorExtraSpecs, "get"): Operation("List a flavor's extra specs", (Reply(200, EXTRA_SPECS),)),
    (images.ImageProxy, "get"): shows("Show an image", "image", IMAGE),
    (images.ImageProxy, "delete"): Operation("Delete an image", (Reply(204),), refusals=(409,)),
}
"""By view and method; the actions stand in a module of their own."""

REFUSALS = (400, 401, 403, 404, 406, 413, 415, 503)
"""With which any address below `/v2.1` may answer, for its headers, its token or its query.

503 only where tokens are the site's own Keystone's, and that does not answer.
"""
