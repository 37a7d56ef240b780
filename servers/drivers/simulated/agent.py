"""The agent inside a simulated guest."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from dataclasses import asdict
from typing import Any

from servers.drivers.base import Guest, GuestAgent
from servers.drivers.simulated import guests
from servers.drivers.simulated.host_session import HostSession
from servers.drivers.simulated.store import seconds
from servers.errors import AgentNotReady, AgentUnavailable
from servers.states import PowerState


class SimulatedGuestAgent(HostSession, GuestAgent):
    """What it is told is kept with the guest's disks. Of a password only a digest and a count are kept."""

    def inject_network_info(self, guest: Guest) -> dict[str, Any]:
        with self.asked("inject_network_info"), self.truth() as db:
            self._reach(db, guest)
            interfaces = [asdict(nic) for nic in guest.nics]
            self._write(db, guest, "nics = ?", json.dumps(interfaces))
            return {"interfaces": interfaces, "format": "simulated"}

    def reset_network(self, guest: Guest) -> dict[str, Any]:
        with self.asked("reset_network"), self.truth() as db:
            self._reach(db, guest)
            self._write(db, guest, "network_resets = network_resets + 1")
            return {"interfaces": [nic.mac for nic in guest.nics], "format": "simulated"}

    def set_admin_password(self, guest: Guest, password: str) -> None:
        with self.asked("set_admin_password"), self.truth() as db:
            self._reach(db, guest)
            digest = hashlib.sha256(password.encode()).hexdigest()
            self._write(db, guest, "password_sets = password_sets + 1, password_sha256 = ?", digest)

    def _reach(self, db: sqlite3.Connection, guest: Guest) -> None:
        """Raise AgentUnavailable or AgentNotReady where the agent does not answer."""
        here = guests.defined(db, self.name, guest)
        if here["agent"] == "none":
            raise AgentUnavailable(guest=guest.name)
        if here["power_state"] != PowerState.RUNNING:
            raise AgentUnavailable(f"Guest {guest.name} does not run, so nothing can be changed inside it.")
        if not guests.agent_answers(here, seconds()):
            raise AgentNotReady(guest=guest.name)

    def _write(self, db: sqlite3.Connection, guest: Guest, change: str, *values: str) -> None:
        self.fence.prove()
        db.execute(
            f"UPDATE guest SET {change} WHERE host = ? AND uuid = ?", (*values, self.name, str(guest.uuid))
        )
