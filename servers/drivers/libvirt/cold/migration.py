"""Moving a guest that is shut down for it. Its definition carries a mark, its copied disks have notes."""

from __future__ import annotations

from servers.drivers.base import ColdMigration, Guest, HostRef, OnProgress
from servers.drivers.libvirt.cold import standing
from servers.drivers.libvirt.cold.arriving import Arriving
from servers.drivers.libvirt.cold.leaving import Leaving
from servers.drivers.libvirt.cold.removing import Confirming, Discarding
from servers.drivers.libvirt.marks import Way
from servers.drivers.libvirt.seat import Seat
from servers.states import PowerState


class LibvirtColdMigration(ColdMigration):
    """One host's part in cold migrations."""

    def __init__(self, seat: Seat) -> None:
        self.seat = seat

    def move_disk_and_power_off(self, guest: Guest, destination: HostRef, on_progress: OnProgress) -> None:
        Leaving(self.seat, self.seat.at(destination), guest).run(on_progress)

    def finish(self, guest: Guest, source: HostRef, *, power_on: bool) -> PowerState:
        return Arriving(self.seat, self.seat.at(source), guest).run(power_on=power_on)

    def confirm(self, guest: Guest) -> None:
        Confirming(self.seat, guest).run()

    def discard(self, guest: Guest) -> None:
        Discarding(self.seat, guest).run()

    def finish_revert(self, guest: Guest, *, power_on: bool) -> PowerState:
        verb, seat = "finish_revert_migration", self.seat
        now = standing.require(seat, guest, standing.look(seat, verb, guest), None)
        if now.mark is None or now.mark.way is Way.ENDED:
            was_brought_back = now.mark is not None and now.mark.migration == seat.owner
            if was_brought_back or now.alive or not power_on:
                return now.state  # as it was, or as it was left when it had been brought back
        standing.require(seat, guest, now, Way.TO)
        assert now.mark is not None
        state = now.state
        if power_on and not now.alive:
            state = standing.start(seat, verb, guest, seat.at_noted(now.mark.peer()), Way.TO)
        standing.act(seat, verb, guest, lambda domain: standing.forget(domain, seat.owner), Way.TO)
        return state

    def power_off(self, guest: Guest) -> PowerState:
        standing.require(self.seat, guest, standing.look(self.seat, "power_off", guest), None)
        return standing.shut_down(self.seat, "power_off", guest, None)
