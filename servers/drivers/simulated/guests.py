"""The guests in the store: finding, starting, stopping and carrying them over. A guest never runs twice."""

from __future__ import annotations

import sqlite3
from uuid import UUID

from servers.drivers.base import FoundGuest, Guest, JobKind, Nic
from servers.drivers.simulated import disks, owners
from servers.drivers.simulated.store import insert
from servers.errors import GuestNotFound, GuestOnTwoHosts
from servers.states import PowerState

ALIVE = frozenset({PowerState.RUNNING, PowerState.PAUSED})
HEARTBEATS_S = 10

CARRIED_WITH_DISKS = (
    "dirty_rate_bytes_s, agent, agent_boot_s, nics, network_resets, password_sets, password_sha256"
)
CARRIED_WITH_MEMORY = "name, vcpus, memory_mb, power_state, boots, run_s, agent_ready_at"


def row(db: sqlite3.Connection, host: str, uuid: UUID | str) -> sqlite3.Row | None:
    """Return the guest as this host has it, prepared or defined, or None."""
    found: sqlite3.Row | None = db.execute(
        "SELECT * FROM guest WHERE host = ? AND uuid = ?", (host, str(uuid))
    ).fetchone()
    return found


def defined(db: sqlite3.Connection, host: str, guest: Guest) -> sqlite3.Row:
    """Return the guest that is defined on this host. Raises GuestNotFound."""
    found = row(db, host, guest.uuid)
    if found is None or found["prepared_only"]:
        raise GuestNotFound(guest=guest.name, host=host)
    return found


def is_alive(found: sqlite3.Row) -> bool:
    """Return whether the guest has a process: it runs, or it is paused."""
    return found["power_state"] in ALIVE


def alive_on(db: sqlite3.Connection, uuid: UUID | str) -> str | None:
    """Return the host on which the guest runs, or None."""
    found = db.execute(
        "SELECT host FROM guest WHERE uuid = ? AND power_state IN (?, ?)", (str(uuid), *sorted(ALIVE))
    ).fetchone()
    return found["host"] if found else None


def on_two_hosts(db: sqlite3.Connection, guest: Guest) -> GuestOnTwoHosts:
    """Return the fault that names all hosts which have the guest."""
    hosts = db.execute("SELECT host FROM guest WHERE uuid = ? ORDER BY host", (str(guest.uuid),))
    return GuestOnTwoHosts(guest=guest.name, hosts=" and ".join(r["host"] for r in hosts))


def start(db: sqlite3.Connection, host: str, guest: Guest, now: float) -> PowerState:
    """Start the guest on this host; one that runs here runs on. Raises GuestOnTwoHosts."""
    where = alive_on(db, guest.uuid)
    if where == host:
        return PowerState(defined(db, host, guest)["power_state"])
    if where is not None:
        raise on_two_hosts(db, guest)
    db.execute(
        "UPDATE guest SET power_state = ?, boots = boots + 1, run_s = 0, agent_ready_at = ? + agent_boot_s,"
        " running_since = CASE WHEN (SELECT lost_at FROM host WHERE name = guest.host) IS NULL THEN ? END"
        " WHERE host = ? AND uuid = ?",
        (PowerState.RUNNING, now, now, host, str(guest.uuid)),
    )
    return PowerState.RUNNING


def set_power(db: sqlite3.Connection, host: str, uuid: UUID | str, state: PowerState, now: float) -> None:
    """Let the guest be in a power state in which it stands still; a counter in memory stands still too."""
    db.execute(
        "UPDATE guest SET power_state = ?, run_s = run_s + coalesce(? - running_since, 0),"
        " running_since = NULL WHERE host = ? AND uuid = ?",
        (state, now, host, str(uuid)),
    )


def remove(db: sqlite3.Connection, host: str, uuid: UUID | str) -> None:
    """Take the guest and its disks from this host. Does nothing where nothing is left."""
    db.execute("DELETE FROM guest WHERE host = ? AND uuid = ?", (host, str(uuid)))
    disks.drop(db, host, str(uuid))
    db.execute(
        "DELETE FROM nic WHERE guest = ? AND NOT EXISTS (SELECT 1 FROM guest WHERE uuid = nic.guest)",
        (str(uuid),),
    )


def connect(db: sqlite3.Connection, guest: Guest) -> None:
    """Give the guest's definition its interfaces."""
    for position, nic in enumerate(guest.nics):
        row = {"guest": str(guest.uuid), "position": position, "mac": nic.mac, "network": nic.network}
        insert(db, "nic", row, otherwise="REPLACE")


def nics(db: sqlite3.Connection, uuid: str) -> tuple[Nic, ...]:
    """Return the interfaces of the guest's definition."""
    found = db.execute("SELECT mac, network FROM nic WHERE guest = ? ORDER BY position", (uuid,))
    return tuple(Nic(r["mac"], r["network"]) for r in found)


def prepare(db: sqlite3.Connection, host: str, guest: Guest) -> None:
    """Note that this host is ready for the guest, which has never run here."""
    db.execute(
        "INSERT OR IGNORE INTO guest (host, uuid, name, vcpus, memory_mb, power_state, prepared_only)"
        " VALUES (?, ?, ?, ?, ?, ?, 1)",
        (host, str(guest.uuid), guest.name, guest.vcpus, guest.memory_mb, PowerState.NOSTATE),
    )


def carry_disk_state(db: sqlite3.Connection, source: str, host: str, uuid: str) -> None:
    """Give the guest on `host` what is written on its disks at `source`: its agent and its settings."""
    db.execute(
        f"UPDATE guest SET ({CARRIED_WITH_DISKS}) = (SELECT {CARRIED_WITH_DISKS} FROM guest AS origin"
        " WHERE origin.host = ? AND origin.uuid = guest.uuid) WHERE host = ? AND uuid = ?"
        " AND EXISTS (SELECT 1 FROM guest AS origin WHERE origin.host = ? AND origin.uuid = guest.uuid)",
        (source, host, uuid, source),
    )


def switch(
    db: sqlite3.Connection, source: str, destination: str, uuid: str, paused_at: float, at: float
) -> None:
    """Let the guest go on at `destination` with its memory; at `source` only disks are left."""
    here = row(db, source, uuid)
    if here is None:
        return
    disks.fill(db, source, destination, uuid)
    carry_disk_state(db, source, destination, uuid)
    memory = dict(here)
    if here["running_since"] is not None:
        memory["run_s"] += paused_at - here["running_since"]
    runs = here["power_state"] == PowerState.RUNNING
    db.execute("DELETE FROM guest WHERE host = ? AND uuid = ?", (source, uuid))
    db.execute("UPDATE guest SET role = 'ended' WHERE host = ? AND uuid = ?", (destination, uuid))
    owners.give_disks(db, source, uuid, here["owner"])
    owners.give_disks(db, destination, uuid, "")
    names = CARRIED_WITH_MEMORY.split(", ")
    db.execute(
        f"UPDATE guest SET prepared_only = 0, running_since = ?, {', '.join(f'{n} = ?' for n in names)}"
        " WHERE host = ? AND uuid = ?",
        (at if runs else None, *(memory[n] for n in names), destination, uuid),
    )


def heartbeat(db: sqlite3.Connection, found: sqlite3.Row, now: float) -> int:
    """Return the counter in the guest's memory: it counts while the guest runs, and is lost when it stops."""
    if not is_alive(found):
        return 0
    run_s = found["run_s"]
    if found["running_since"] is not None:
        still = db.execute(
            "SELECT paused_at FROM job WHERE guest = ? AND outcome = 'running' AND switched = 0",
            (found["uuid"],),
        ).fetchone()
        until = min(now, still["paused_at"]) if still and still["paused_at"] is not None else now
        run_s += until - found["running_since"]
    return int(run_s * HEARTBEATS_S)


def agent_answers(found: sqlite3.Row, now: float) -> bool:
    """Return whether the guest's agent is there and has come up."""
    runs = found["power_state"] == PowerState.RUNNING
    return runs and found["agent"] == "ready" and now >= (found["agent_ready_at"] or 0)


def describe(db: sqlite3.Connection, found: sqlite3.Row, now: float) -> FoundGuest:
    """Return the guest as a driver reports it."""
    job = db.execute(
        "SELECT kind, destination_name FROM job WHERE guest = ? AND source = ? AND outcome = 'running'",
        (found["uuid"], found["host"]),
    ).fetchone()
    return FoundGuest(
        uuid=UUID(found["uuid"]),
        name=found["name"],
        power_state=PowerState(found["power_state"]),
        job=JobKind(job["kind"]) if job else None,
        job_destination=(job["destination_name"] or None) if job else None,
        agent=agent_answers(found, now),
        memory_mb=found["memory_mb"],
        vcpus=found["vcpus"],
        disks=disks.disks(db, found["host"], found["uuid"]),
        nics=nics(db, found["uuid"]),
        prepared_only=bool(found["prepared_only"]),
        owner="" if found["owner"] == owners.ANYBODY else owners.of_guest(found),
    )
