"""A guest never runs twice: before it is started, every host is asked whether it runs there."""

from __future__ import annotations

from collections.abc import Collection

from servers.drivers.base import FoundGuest
from servers.errors import DriverFault, GuestOnTwoHosts, HypervisorUnavailable
from servers.fleet.drivers import driver_of, ref
from servers.fleet.guest_location import ALIVE
from servers.fleet.polling import ask_all
from servers.models import Host, Server

BRIEF_S = 2.0
"""How long is waited for hosts on which the guest has never been."""

SILENT = "Host {host} does not answer, and guest {guest} may run there: it is started nowhere else. Reason: {reason}"


def refuse_elsewhere(server: Server, allowed: Collection[str], must_answer: Collection[str]) -> None:
    """Do nothing when the guest runs on no host but those `allowed`. Hosts that were forced down do not count.

    Of the others, those in `must_answer` have to say so; the rest is asked side by side, and waited for briefly.
    Raises GuestOnTwoHosts; HypervisorUnavailable where one that must answer is silent.
    """
    hosts = {
        host.name: ref(host) for host in Host.objects.exclude(name__in=allowed).filter(forced_down=False)
    }
    brief = [host for name, host in hosts.items() if name not in must_answer]
    said = ask_all(brief, lambda driver: driver.find_guest(server.pk), BRIEF_S, "alone")
    seen = {name: answer.value for name, answer in said.items()}
    for name in must_answer:
        if name in hosts:
            try:
                seen[name] = driver_of(hosts[name]).find_guest(server.pk)
            except DriverFault as fault:
                message = SILENT.format(host=name, guest=server.instance_name, reason=fault)
                raise HypervisorUnavailable(message, host=name) from fault
    running = sorted(name for name, guest in seen.items() if runs(guest))
    if running:
        raise GuestOnTwoHosts(guest=server.instance_name, hosts=" and ".join(running))


def runs(guest: FoundGuest | None) -> bool:
    """Return whether the guest has a process on the host that has found it."""
    return guest is not None and guest.power_state in ALIVE and not guest.prepared_only
