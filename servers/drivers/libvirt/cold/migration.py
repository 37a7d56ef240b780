"""Moving a guest that is shut down for it. Its definition carries metadata, its copied disks have sidecars."""

from __future__ import annotations

from servers.drivers.base import ColdMigration, Guest, HostRef, OnProgress
from servers.drivers.libvirt.cold import standing
from servers.drivers.libvirt.cold.arriving import Arriving
from servers.drivers.libvirt.cold.leaving import Leaving
from servers.drivers.libvirt.cold.removing import Confirming, Discarding
from servers.drivers.libvirt.domain_metadata import Direction
from servers.drivers.libvirt.host_session import HostSession
from servers.states import PowerState


class LibvirtColdMigration(ColdMigration):
    """One host's part in cold migrations."""

    def __init__(self, session: HostSession) -> None:
        self.session = session

    def move_disk_and_power_off(self, guest: Guest, destination: HostRef, on_progress: OnProgress) -> None:
        Leaving(self.session, self.session.at(destination), guest).run(on_progress)

    def finish(self, guest: Guest, source: HostRef, *, power_on: bool) -> PowerState:
        return Arriving(self.session, self.session.at(source), guest).run(power_on=power_on)

    def confirm(self, guest: Guest) -> None:
        Confirming(self.session, guest).run()

    def discard(self, guest: Guest) -> None:
        Discarding(self.session, guest).run()

    def finish_revert(self, guest: Guest, *, power_on: bool) -> PowerState:
        verb, session = "finish_revert_migration", self.session
        now = standing.require(session, guest, standing.look(session, verb, guest), None)
        if now.metadata is None or now.metadata.way is Direction.ENDED:
            was_brought_back = now.metadata is not None and now.metadata.migration == session.owner
            if was_brought_back or now.alive or not power_on:
                return now.state  # as it was, or as it was left when it had been brought back
        standing.require(session, guest, now, Direction.OUTGOING)
        assert now.metadata is not None
        state = now.state
        if power_on and not now.alive:
            state = standing.start(
                session, verb, guest, session.at_sidecar(now.metadata.peer()), Direction.OUTGOING
            )
        standing.act(
            session, verb, guest, lambda domain: standing.forget(domain, session.owner), Direction.OUTGOING
        )
        return state
