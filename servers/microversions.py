"""Which microversions of Nova's compute API are spoken here, and what each changed for us."""

from __future__ import annotations

import re
from functools import total_ordering
from typing import NamedTuple

_FORMAT = re.compile(r"^[1-9]\d*\.(0|[1-9]\d*)$", re.ASCII)


@total_ordering
class Microversion(NamedTuple):
    """A version of the wire protocol; 2.9 comes before 2.10."""

    major: int
    minor: int

    @classmethod
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
]
"""One line per version, oldest first. The newest is what is advertised; a setting can lower it."""

MINIMUM = Microversion.parse(HISTORY[0])
NEWEST = Microversion.parse(HISTORY[-1])
