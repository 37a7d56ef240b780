"""Adds hosts that hang to the demo fleet of a running Gantry; prints the servers that could move to them."""

from __future__ import annotations

import os
import sys

HOSTS = 20
MEMORY_MB = 512 * 1024
"""So much that the scheduler likes them best."""


def main() -> None:
    """Add the hosts, to the store of the simulation and to the database that DATA_DIR names."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
    import django  # noqa: PLC0415

    django.setup()
    from django.conf import settings  # noqa: PLC0415

    from servers.drivers.simulated import Fleet  # noqa: PLC0415
    from servers.models import Host, Server  # noqa: PLC0415
    from tests.factories import make_host  # noqa: PLC0415

    fleet, like = Fleet(settings.SIMULATED_FLEET), Host.objects.get(name="rack1-a")
    for number in range(HOSTS):
        name = f"hangs-{number}"
        fleet.add_host(name, memory_mb=MEMORY_MB)
        for verb in ("list_guests", "find_guest", "check_can_live_migrate_destination"):
            fleet.set_fault(verb, name, mode="hang", hang_limit_s=30)
        host = make_host(
            name, uri=f"simulated:///{name}", memory_mb=MEMORY_MB, hypervisor_version=like.hypervisor_version
        )
        host.pools.set(like.pools.all())
    found = Server.objects.filter(name__startswith="web-", deleted_at=None)
    sys.stdout.write(" ".join(str(server.pk) for server in found))


if __name__ == "__main__":
    main()
