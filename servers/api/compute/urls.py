"""The addresses of Nova's API, the same below `/v2.1`, `/v2` and either with a project's id."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path, re_path

from servers.api.compute import (
    actions,
    discovery,
    door,
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
from servers.microversions import maximum

maximum()  # a setting that is wrong is heard of now, not with the first request

_server = "servers/<str:server_id>"

resources: list[URLPattern | URLResolver] = [
    path("versions/<str:version_id>", discovery.VersionById.as_view()),
    path("servers", servers.ServerList.as_view()),
    path("servers/detail", servers.ServerDetailList.as_view()),
    path(_server, servers.ServerShow.as_view()),
    path(f"{_server}/action", actions.ServerAction.as_view()),
    path(f"{_server}/migrations", migrations.ServerMigrationList.as_view()),
    path(f"{_server}/migrations/<str:migration_id>", migrations.ServerMigration.as_view()),
    path(f"{_server}/migrations/<str:migration_id>/action", actions.MigrationAction.as_view()),
    path(f"{_server}/os-instance-actions", instance_actions.InstanceActionList.as_view()),
    path(f"{_server}/os-instance-actions/<str:request_id>", instance_actions.InstanceActionShow.as_view()),
    path("os-migrations", migrations.MigrationList.as_view()),
    path("os-services", services.ServiceList.as_view()),
    path("os-services/<str:service_id>", services.ServiceUpdate.as_view()),
    path("os-hypervisors", hypervisors.HypervisorList.as_view()),
    path("os-hypervisors/detail", hypervisors.HypervisorDetailList.as_view()),
    path("os-hypervisors/statistics", hypervisors.HypervisorStatistics.as_view()),
    path("os-hypervisors/<str:hypervisor_id>", hypervisors.HypervisorShow.as_view()),
    path("os-hypervisors/<str:pattern>/search", hypervisors.HypervisorSearch.as_view()),
    path("os-hypervisors/<str:pattern>/servers", hypervisors.HypervisorSearch.as_view(adds_servers=True)),
    path("os-hypervisors/<str:hypervisor_id>/uptime", hypervisors.HypervisorUptime.as_view()),
    path("os-availability-zone", zones.ZoneList.as_view()),
    path("os-availability-zone/detail", zones.ZoneDetailList.as_view()),
    path("os-aggregates", hosts.AggregateList.as_view()),
    path("os-aggregates/<str:aggregate_id>", hosts.AggregateShow.as_view()),
    path("os-hosts", hosts.HostList.as_view()),
    path("os-hosts/<str:name>", hosts.HostShow.as_view()),
    path("flavors", flavors.FlavorList.as_view()),
    path("flavors/detail", flavors.FlavorDetailList.as_view()),
    path("flavors/<str:flavor_id>", flavors.FlavorShow.as_view()),
    path("flavors/<str:flavor_id>/os-extra_specs", flavors.FlavorExtraSpecs.as_view()),
    path("images/<str:image_id>", images.ImageProxy.as_view()),
]

urlpatterns: list[URLPattern | URLResolver] = [
    path("", discovery.versions_list),
    re_path(r"^v2(?P<minor>\.1)?/?\Z", discovery.VersionDocument.as_view()),
    re_path(r"^v2(?P<minor>\.1)?/(?:(?P<project_id>[0-9a-f-]+)/)?", include(resources)),
    re_path(r"^v2(?P<minor>\.1)?/", door.NothingHere.as_view()),
    re_path("", discovery.choices),
]
