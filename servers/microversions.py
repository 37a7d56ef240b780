"""Which microversions of Nova's compute API are spoken here, and what each changed for us."""

from __future__ import annotations

import re
from functools import lru_cache, total_ordering
from typing import NamedTuple

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

_FORMAT = re.compile(r"^[1-9]\d*\.(0|[1-9]\d*)$", re.ASCII)


@total_ordering
class Microversion(NamedTuple):
    """A version of the wire protocol; 2.9 comes before 2.10."""

    major: int
    minor: int

    @classmethod
    @lru_cache(maxsize=512)  # the tables of answers name few versions, and name them in every request
    def parse(cls, text: str) -> Microversion:
        """Return the version that `text` names. Raises ValueError when it is not MajorNum.MinorNum."""
        if not _FORMAT.match(text):
            raise ValueError(text)
        major, minor = text.split(".")
        return cls(int(major), int(minor))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"

    def between(self, since: str | None, until: str | None) -> bool:
        """Return whether this version lies in the closed range; None leaves that side open."""
        return (since is None or self >= Microversion.parse(since)) and (
            until is None or self <= Microversion.parse(until)
        )


HISTORY = [
    "2.1",  # the base: Nova's v2.0 with strict bodies
    "2.2",  # keypair types (no resource of ours)
    "2.3",  # server: kernel_id, launch_index, ramdisk_id, reservation_id, hostname, root_device_name, user_data
    "2.4",  # floating IPs reserved (none of ours)
    "2.5",  # servers list: everybody may filter by ip6
    "2.6",  # remote consoles (none of ours)
    "2.7",  # flavor access of a public flavor (none of ours)
    "2.8",  # MKS consoles (none of ours)
    "2.9",  # server: locked
    "2.10",  # keypairs of others (none of ours)
    "2.11",  # os-services: forced_down
    "2.12",  # fixed network expiry (none of ours)
    "2.13",  # server groups: project and user (none of ours)
    "2.14",  # evacuate (none of ours)
    "2.15",  # server groups: soft policies
    "2.16",  # server: host_status
    "2.17",  # trigger crash dump (none of ours)
    "2.18",  # project id in the URL is optional
    "2.19",  # server: description
    "2.20",  # volumes of shelved servers (none of ours)
    "2.21",  # instance actions of deleted servers
    "2.22",  # force a live migration to complete
    "2.23",  # server migrations: list and show; os-migrations: migration_type and links
    "2.24",  # abort a live migration
    "2.25",  # live migration: block_migration auto, no disk_over_commit
    "2.26",  # server: tags
    "2.27",  # the header OpenStack-API-Version
    "2.28",  # hypervisors: cpu_info as an object
    "2.29",  # evacuate: force (none of ours)
    "2.30",  # live migration: the host is checked, force
    "2.31",  # console auth tokens (none of ours)
    "2.32",  # device tags at create (none of ours)
    "2.33",  # hypervisors: paging
    "2.34",  # live migration: checks are asynchronous
    "2.35",  # key pairs: paging (none of ours)
    "2.36",  # the proxies of images, networks and volumes are gone
    "2.37",  # networks none and auto at create (none of ours)
    "2.38",  # servers list: an unknown status is refused
    "2.39",  # createBackup: no limit of image metadata
    "2.40",  # simple tenant usage: paging (none of ours)
    "2.41",  # aggregates: uuid
    "2.42",  # device tags at create again (none of ours)
    "2.43",  # os-hosts is gone
    "2.44",  # network actions of servers are gone (none of ours)
    "2.45",  # createBackup: image_id in the body instead of a Location
    "2.46",  # the header x-openstack-request-id (ours has it always)
    "2.47",  # server: the flavor itself instead of a link
    "2.48",  # diagnostics (none of ours)
    "2.49",  # tags of attached devices (none of ours)
    "2.50",  # quota classes (none of ours)
    "2.51",  # instance actions: events for everybody
    "2.52",  # tags at create (none of ours)
    "2.53",  # services and hypervisors: uuid instead of id
    "2.54",  # rebuild: key_name (none of ours)
    "2.55",  # flavors: description
    "2.56",  # migrate: host
    "2.57",  # create: no personality (none of ours)
    "2.58",  # instance actions: paging, updated_at
    "2.59",  # os-migrations: paging, uuid, strict query
    "2.60",  # multi-attached volumes (none of ours)
    "2.61",  # flavors: extra_specs
    "2.62",  # instance actions: host and hostId of events
    "2.63",  # server: trusted_image_certificates
    "2.64",  # server groups: rules
    "2.65",  # abort a live migration that is queued or preparing
    "2.66",  # servers, instance actions, migrations: changes-before
    "2.67",  # volume type at create (none of ours)
    "2.68",  # live migration: no force
    "2.69",  # partial results when a cell is down (there are no cells)
    "2.70",  # tags of volumes and interfaces (none of ours)
    "2.71",  # server: server_groups
    "2.72",  # ports with resource requests (none of ours)
    "2.73",  # server: locked_reason; lock: a reason; servers list: locked
    "2.74",  # host at create (none of ours)
    "2.75",  # servers, flavors, services, hypervisors: strict query; flavors: swap 0; hypervisors: servers
    "2.76",  # power-update event (none of ours)
    "2.77",  # unshelve: availability zone (none of ours)
    "2.78",  # server topology (none of ours)
    "2.79",  # delete_on_termination of volumes (none of ours)
    "2.80",  # migrations: user_id and project_id
    "2.81",  # aggregates: image caching (none of ours)
    "2.82",  # accelerator events (none of ours)
    "2.83",  # servers list: more filters for everybody
    "2.84",  # instance actions: details of events
    "2.85",  # volume attachments (none of ours)
    "2.86",  # flavor extra specs are validated (none of ours)
    "2.87",  # rescue of volume-backed servers (none of ours)
    "2.88",  # hypervisors: no capacities, uptime
    "2.89",  # volume attachments (none of ours)
    "2.90",  # server: hostname for everybody
    "2.91",  # unshelve: host (none of ours)
    "2.92",  # key pairs (none of ours)
    "2.93",  # rebuild of volume-backed servers (none of ours)
    "2.94",  # hostname may be a domain name (none of ours)
    "2.95",  # evacuate leaves the server stopped (none of ours)
    "2.96",  # server: pinned_availability_zone
    "2.97",  # shares (none of ours)
    "2.98",  # server: properties of its image
    "2.99",  # console connections (none of ours)
    "2.100",  # server: scheduler_hints
    "2.101",  # volume attachments are asynchronous (none of ours)
    "2.102",  # strict query everywhere; flavors: name filter, no rxtx_factor
    "2.103",  # nothing that shows in a resource of ours
    "2.104",  # pinned_availability_zone can be set (none of ours)
]
"""One line per version, oldest first. The newest is what is advertised; a setting can lower it."""

MINIMUM = Microversion.parse(HISTORY[0])
NEWEST = Microversion.parse(HISTORY[-1])


def ceiling(text: str) -> Microversion:
    """Return the highest version to speak when the setting says `text`, the newest when it is empty."""
    if not text:
        return NEWEST
    if text not in HISTORY:
        raise ImproperlyConfigured(f"MAX_MICROVERSION must be between {MINIMUM} and {NEWEST}, not {text!r}")
    return Microversion.parse(text)


def maximum() -> Microversion:
    """Return the highest version that is spoken and advertised."""
    return ceiling(settings.MAX_MICROVERSION)
