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
from servers.api.compute.hypervisor_resource import HYPERVISOR, HYPERVISOR_BRIEF, HYPERVISOR_STATISTICS
from servers.api.compute.instance_action_resource import INSTANCE_ACTION, INSTANCE_ACTION_BRIEF
from servers.api.compute.links import LINK
from servers.api.compute.migration_resource import MIGRATION, SERVER_MIGRATION, SERVER_MIGRATION_IN_LIST
from servers.api.compute.server_resource import (
    PROGRESS_STATUSES,
    SERVER,
    SERVER_BRIEF,
    SERVER_DETAIL,
)
from servers.api.compute.service_resource import ORDERED_SERVICE, SERVICE
from servers.api.resources import Field, Resource, Schema
from servers.api.schema.operation import Operation, Reply, shows, wrapped
from servers.engine.visibility import FAULT_STATUSES

VERSIONS = Operation(
    "List the versions of the API",
    (Reply(200, wrapped("versions", discovery.VERSION, many=True)),),
    public=True,
    bare=True,
)
VERSION_DOCUMENT = wrapped("version", discovery.VERSION)
PROGRESS = f"`progress` is there while the status is one of {', '.join(sorted(PROGRESS_STATUSES))}; "
PROGRESS += f"`fault` where it is one of {', '.join(sorted(FAULT_STATUSES))}."
UPDATED_SERVICE = Resource(
    "UpdatedService",
    (Field("service", ORDERED_SERVICE, until="2.52"), Field("service", SERVICE, since="2.53")),
)


def more(name: str, since: str | None = None) -> Field:
    """Return the field that leads to the next page."""
    return Field(name, LINK, since=since, optional=True, many=True)


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
        "Show this version of the API", (Reply(200, VERSION_DOCUMENT),), public=True
    ),
    (discovery.VersionById, "get"): Operation("Show a version of the API", (Reply(200, VERSION_DOCUMENT),)),
    (servers.ServerList, "get"): lists("List servers", "servers", SERVER_BRIEF, more("servers_links")),
    (servers.ServerDetailList, "get"): lists(
        "List servers with details", "servers", SERVER_DETAIL, more("servers_links"), text=PROGRESS
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
        "List the live migrations of a server that are going on", "migrations", SERVER_MIGRATION_IN_LIST
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
    (zones.ZoneList, "get"): lists("List availability zones", "availabilityZoneInfo", zones.ZONE),
    (zones.ZoneDetailList, "get"): lists(
        "List availability zones with their hosts", "availabilityZoneInfo", zones.ZONE_DETAIL
    ),
    (hosts.AggregateList, "get"): lists("List aggregates", "aggregates", hosts.AGGREGATE),
    (hosts.AggregateShow, "get"): shows("Show an aggregate", "aggregate", hosts.AGGREGATE),
    (hosts.HostList, "get"): lists("List hosts", "hosts", hosts.HOST_BRIEF),
    (hosts.HostShow, "get"): lists("Show what a host has and who uses it", "host", hosts.HOST_RESOURCE),
    (flavors.FlavorList, "get"): lists(
        "List flavors", "flavors", flavors.FLAVOR_BRIEF, more("flavors_links")
    ),
    (flavors.FlavorDetailList, "get"): lists(
        "List flavors with details", "flavors", flavors.FLAVOR, more("flavors_links")
    ),
    (flavors.FlavorShow, "get"): shows("Show a flavor", "flavor", flavors.FLAVOR),
    (flavors.FlavorExtraSpecs, "get"): Operation(
        "List a flavor's extra specs", (Reply(200, flavors.FLAVOR_EXTRA_SPECS),)
    ),
    (images.ImageProxy, "get"): shows("Show an image", "image", images.IMAGE),
    (images.ImageProxy, "delete"): Operation("Delete an image", (Reply(204),), refusals=(409,)),
}
"""By view and method; the actions stand in a module of their own."""

REFUSALS = (400, 401, 403, 404, 406, 415, 503)
"""With which any address below `/v2.1` may answer, for its headers, its token or its query.

503 while the database, the site's own Keystone or a place to wait for somebody cannot be had.
"""
