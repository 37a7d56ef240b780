"""How a server looks, microversion by microversion."""

from __future__ import annotations

from ipaddress import ip_interface
from typing import Any

from servers.api.compute.door import NovaView
from servers.api.compute.links import microseconds, seconds
from servers.api.faults import kept_code
from servers.models import Flavor, Server

EXTENDED = "os_compute_api:os-extended-server-attributes"
HOST_STATUS = "os_compute_api:servers:show:host_status"
EXTRA_SPECS = "os_compute_api:os-flavor-extra-specs:index"

FAULT_STATUSES = {"ERROR", "DELETED"}
PROGRESS_STATUSES = {"ACTIVE", "BUILD", "REBUILD", "RESIZE", "VERIFY_RESIZE", "MIGRATING"}

Body = dict[str, Any]


class ServerBody:
    """Makes the bodies of servers for one request; asks the policy once a project, not once a server."""

    def __init__(self, view: NovaView) -> None:
        self.view = view
        self.links = view.links
        self._allowed: dict[tuple[str, str], bool] = {}

    def may(self, rule: str, server: Server) -> bool:
        """Return whether the caller may see what `rule` protects."""
        key = (rule, server.project_id)
        if key not in self._allowed:
            self._allowed[key] = self.view.allows(*key)
        return self._allowed[key]

    def brief(self, server: Server) -> Body:
        """Return what the short list says."""
        return {
            "id": str(server.uuid),
            "name": server.name,
            "links": self.links.both("servers", server.uuid),
        }

    def full(self, server: Server, *, shown_alone: bool = False) -> Body:
        """Return all that this microversion and this caller get to see."""
        body = {
            **self.brief(server),
            **self.always(server),
            **self.by_version(server),
            **self.host_attributes(server),
        }
        if shown_alone and self.view.at_least("2.71"):
            body["server_groups"] = [str(server.group.uuid)] if server.group else []
        if server.status in PROGRESS_STATUSES:
            body["progress"] = server.progress
        if server.status in FAULT_STATUSES and server.fault_at is not None:
            body["fault"] = self.fault(server)
        return body

    def always(self, server: Server) -> Body:
        """Return what every microversion has."""
        return {
            "status": server.status,
            "tenant_id": server.project_id,
            "user_id": server.user_id,
            "metadata": server.metadata,
            "hostId": server.host_digest,
            "image": self.image(server),
            "flavor": self.flavor(server),
            "created": seconds(server.created_at),
            "updated": seconds(server.updated_at or server.created_at),
            "addresses": addresses(server),
            "accessIPv4": "",
            "accessIPv6": "",
            "key_name": server.key_name or None,
            "config_drive": "",
            "security_groups": [{"name": "default"}],
            "OS-DCF:diskConfig": "AUTO",
            "OS-EXT-AZ:availability_zone": (
                server.host.availability_zone if server.host else server.availability_zone
            ),
            "OS-EXT-STS:vm_state": server.vm_state,
            "OS-EXT-STS:task_state": server.task_state or None,
            "OS-EXT-STS:power_state": server.power_state,
            "OS-SRV-USG:launched_at": microseconds(server.launched_at),
            "OS-SRV-USG:terminated_at": microseconds(server.terminated_at),
            "os-extended-volumes:volumes_attached": [],
        }

    def by_version(self, server: Server) -> Body:
        """Return what came with a microversion, and everybody sees."""
        added: list[tuple[str, str, Any]] = [
            ("2.9", "locked", bool(server.locked_by)),
            ("2.19", "description", server.description),
            ("2.26", "tags", server.tags),
            ("2.63", "trusted_image_certificates", None),
            ("2.73", "locked_reason", server.locked_reason or None),
            ("2.90", "OS-EXT-SRV-ATTR:hostname", server.hostname or server.name),
            ("2.96", "pinned_availability_zone", None),
            ("2.100", "scheduler_hints", {"group": [str(server.group.uuid)]} if server.group else {}),
        ]
        return {name: value for since, name, value in added if self.view.at_least(since)}

    def host_attributes(self, server: Server) -> Body:
        """Return what only those see who may see hosts."""
        body: Body = {}
        if self.may(EXTENDED, server):
            body["OS-EXT-SRV-ATTR:host"] = server.host.name if server.host else None
            body["OS-EXT-SRV-ATTR:hypervisor_hostname"] = (
                server.host.hypervisor_hostname if server.host else None
            )
            body["OS-EXT-SRV-ATTR:instance_name"] = server.instance_name
            if self.view.at_least("2.3"):
                body.update(boot_attributes(server))
        if self.view.at_least("2.16") and self.may(HOST_STATUS, server):
            body["host_status"] = host_status(server)
        return body

    def image(self, server: Server) -> Body | str:
        """Return the image from which the server was made, an empty string where there is none."""
        if not server.image_ref or server.volume_backed:
            return ""
        href = self.links.bookmark("images", server.image_ref)
        image: Body = {"id": server.image_ref, "links": [{"rel": "bookmark", "href": href}]}
        if self.view.at_least("2.98"):
            image["properties"] = server.image_properties
        return image

    def flavor(self, server: Server) -> Body:
        """Return a link to the flavor; since 2.47 the server's own copy of it."""
        if not self.view.at_least("2.47"):
            flavor_id = server.flavor.flavorid if server.flavor else server.flavor_name
            href = self.links.bookmark("flavors", flavor_id)
            return {"id": flavor_id, "links": [{"rel": "bookmark", "href": href}]}
        copy: Body = {
            "original_name": server.flavor_name,
            "vcpus": server.vcpus,
            "ram": server.memory_mb,
            "disk": server.root_gb,
            "ephemeral": server.ephemeral_gb,
            "swap": server.swap_mb,
        }
        if self.may(EXTRA_SPECS, server):
            copy["extra_specs"] = server.extra_specs
        return copy

    def fault(self, server: Server) -> Body:
        """Return why the server is in error; details of our own failures are the admin's."""
        code = kept_code(server.fault_code)
        fault: Body = {"code": code, "created": seconds(server.fault_at), "message": server.fault_message}
        if server.fault_details and (code != 500 or self.view.is_admin):
            fault["details"] = server.fault_details
        return fault


def addresses(server: Server) -> dict[str, list[Body]]:
    """Return the server's addresses by network."""
    found: dict[str, list[Body]] = {}
    for interface in server.interfaces.all():
        entries = found.setdefault(interface.network, [])
        for text in interface.addresses:
            address = ip_interface(text)
            entries.append(
                {
                    "version": address.version,
                    "addr": str(address.ip),
                    "OS-EXT-IPS:type": "fixed",
                    "OS-EXT-IPS-MAC:mac_addr": interface.mac,
                }
            )
    return found


def boot_attributes(server: Server) -> Body:
    """Return what an admin sees since 2.3."""
    values = {
        "hostname": server.hostname or server.name,
        "reservation_id": server.reservation_id,
        "launch_index": 0,
        "kernel_id": "",
        "ramdisk_id": "",
        "root_device_name": "/dev/vda",
        "user_data": None,
    }
    return {f"OS-EXT-SRV-ATTR:{name}": value for name, value in values.items()}


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


def flavor_body(view: NovaView, flavor: Flavor, extra_specs: bool) -> Body:
    """Return a flavor as its own resource shows it."""
    body: Body = {
        "id": flavor.flavorid,
        "name": flavor.name,
        "ram": flavor.memory_mb,
        "disk": flavor.root_gb,
        "vcpus": flavor.vcpus,
        "swap": flavor.swap_mb or (0 if view.at_least("2.75") else ""),
        "OS-FLV-EXT-DATA:ephemeral": flavor.ephemeral_gb,
        "OS-FLV-DISABLED:disabled": False,
        "os-flavor-access:is_public": flavor.is_public,
        "links": view.links.both("flavors", flavor.flavorid),
    }
    if not view.at_least("2.102"):
        body["rxtx_factor"] = 1.0
    if view.at_least("2.55"):
        body["description"] = flavor.description
    if view.at_least("2.61") and extra_specs:
        body["extra_specs"] = flavor.extra_specs
    return body
