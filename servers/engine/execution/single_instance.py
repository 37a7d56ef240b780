"""Every other host is asked before a guest is started, because a guest must never run twice."""

from __future__ import annotations

from collections.abc import Collection

from servers.drivers.base import FoundGuest
from servers.errors import DriverFault, GuestOnTwoHosts, HypervisorUnavailable
from servers.fleet.drivers import driver_of, ref
from servers.fleet.guest_location import ALIVE
from servers.fleet.polling import ask_all
from servers.models import Host, Server

BRIEF_S = 2.0
"""Time limit, in seconds, of the hosts whose silence is no obstacle."""

SILENT = "Host {host} does not answer, and guest {guest} may run there: it is started nowhere else. Reason: {reason}"


def refuse_elsewhere(server: Server, allowed: Collection[str], must_answer: Collection[str]) -> None:
    """Check that the guest of `server` runs on no host outside `allowed`.

    Hosts in `must_answer` have to answer, within their driver's time limit. The others are asked side by side
    for BRIEF_S, and silence means no. Hosts that are forced down are not asked. Raises GuestOnTwoHosts, and
    HypervisorUnavailable when a host in `must_answer` is silent.
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
    """Return whether the guest has a process on the host where it was found."""
    return guest is not None and guest.power_state in ALIVE and not guest.prepared_only
