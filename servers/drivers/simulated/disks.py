"""Pools and the disks in them. A volume lies in a place; hosts that share the place see the same volume."""

from __future__ import annotations

import hashlib
import sqlite3

from servers.drivers.base import Disk, Pool
from servers.drivers.simulated.store import insert

DISKS = """
SELECT disk.*, volume.size_bytes, volume.used_bytes, volume.format, volume.content, pool.shared
FROM disk JOIN volume USING (place, path) JOIN pool ON pool.host = disk.host AND pool.name = disk.pool
WHERE disk.host = ? AND disk.guest = ? ORDER BY position
"""


def place_of(host: str, pool: Pool) -> str:
    """Return where a pool's volumes lie: a local pool is another place on each host, whatever its identity."""
    return pool.identity if pool.shared else f"{host}:{pool.identity}"


def add_pool(db: sqlite3.Connection, host: str, pool: Pool) -> None:
    """Let the host see a pool; what is available in it is counted, not stored."""
    row = {
        "host": host,
        "name": pool.name,
        "identity": pool.identity,
        "shared": pool.shared,
        "capacity_bytes": pool.capacity_bytes,
        "place": place_of(host, pool),
    }
    insert(db, "pool", row)


def add_disk(
    db: sqlite3.Connection,
    host: str,
    guest: str,
    position: int,
    disk: Disk,
    place: str,
    *,
    content: str | None = None,
    owner: str = "",
) -> None:
    """Give the guest a disk on this host: the volume that is in that place already, else a new one.

    content=None: the new volume holds something of its own.
    """
    volume = {
        "place": place,
        "path": disk.path,
        "size_bytes": disk.size_bytes,
        "used_bytes": disk.used_bytes,
        "format": disk.format,
        "content": f"{guest}/{disk.device}" if content is None else content,
    }
    row = {
        "host": host,
        "guest": guest,
        "position": position,
        "device": disk.device,
        "pool": disk.pool,
        "place": place,
        "path": disk.path,
        "owner": owner,
    }
    insert(db, "volume", volume, otherwise="IGNORE")
    insert(db, "disk", row)


def rows(db: sqlite3.Connection, host: str, guest: str) -> list[sqlite3.Row]:
    """Return the guest's disks on this host with their volumes, the root disk first."""
    return db.execute(DISKS, (host, guest)).fetchall()


def disks(db: sqlite3.Connection, host: str, guest: str) -> tuple[Disk, ...]:
    """Return the guest's disks on this host, the root disk first."""
    return tuple(
        Disk(r["device"], r["path"], r["pool"], r["size_bytes"], r["used_bytes"], r["format"])
        for r in rows(db, host, guest)
    )


def pools(db: sqlite3.Connection, host: str) -> tuple[Pool, ...]:
    """Return the pools that the host sees; available is what no volume has used yet."""
    found = db.execute(
        "SELECT pool.*, (SELECT coalesce(sum(used_bytes), 0) FROM volume WHERE volume.place = pool.place)"
        " AS used_bytes FROM pool WHERE host = ? ORDER BY name",
        (host,),
    )
    return tuple(
        Pool(
            r["name"],
            r["identity"],
            bool(r["shared"]),
            r["capacity_bytes"],
            max(r["capacity_bytes"] - r["used_bytes"], 0),
        )
        for r in found
    )


def room(db: sqlite3.Connection, host: str, pool_names: set[str], *, promised: bool) -> int:
    """Return the bytes that are left in the named pools of a host.

    `promised` counts each volume as large as it may become (Nova's disk_available_least), else as it is.
    """
    column = "size_bytes" if promised else "used_bytes"
    places: dict[str, int] = {
        r["place"]: r["capacity_bytes"]
        for r in db.execute("SELECT * FROM pool WHERE host = ?", (host,))
        if r["name"] in pool_names
    }
    taken: int = 0
    for name in places:
        found = db.execute(f"SELECT coalesce(sum({column}), 0) AS bytes FROM volume WHERE place = ?", (name,))
        taken += found.fetchone()["bytes"]
    return max(sum(places.values()) - taken, 0)


def landings(
    db: sqlite3.Connection, source: str, destination: str, guest: str
) -> list[tuple[sqlite3.Row, sqlite3.Row | None]]:
    """Return the guest's disks at `source`, each with the pool at `destination` where it will lie.

    That is the pool which shares the disk's place, else the one of the same name, else None.
    """
    there = db.execute("SELECT * FROM pool WHERE host = ?", (destination,)).fetchall()
    by_name = {r["name"]: r for r in there}
    by_place = {r["place"]: r for r in there}
    return [(r, by_place.get(r["place"]) or by_name.get(r["pool"])) for r in rows(db, source, guest)]


def missing_pools(db: sqlite3.Connection, source: str, destination: str, guest: str) -> str:
    """Return which pools the guest's disks need that `destination` does not have, or an empty string."""
    found = landings(db, source, destination, guest)
    return ", ".join(sorted({disk["pool"] for disk, pool in found if pool is None}))


def to_copy(db: sqlite3.Connection, source: str, destination: str, guest: str) -> list[sqlite3.Row]:
    """Return the guest's disks at `source` that `destination` does not see."""
    found = landings(db, source, destination, guest)
    return [disk for disk, pool in found if pool is None or pool["place"] != disk["place"]]


def lay(db: sqlite3.Connection, source: str, destination: str, guest: str, *, owner: str = "") -> None:
    """Give the guest its disks at `destination`: the same volumes where they are shared, else empty ones."""
    db.execute("DELETE FROM disk WHERE host = ? AND guest = ?", (destination, guest))
    for disk, pool in landings(db, source, destination, guest):
        if pool is None:
            continue
        landed = Disk(disk["device"], disk["path"], pool["name"], disk["size_bytes"], 0, disk["format"])
        add_disk(db, destination, guest, disk["position"], landed, pool["place"], content="", owner=owner)


def fill(db: sqlite3.Connection, source: str, destination: str, guest: str) -> None:
    """Write what the guest's disks hold at `source` into those at `destination`."""
    for r in to_copy(db, source, destination, guest):
        db.execute(
            "UPDATE volume SET content = ?, used_bytes = ? WHERE (place, path) IN"
            " (SELECT place, path FROM disk WHERE host = ? AND guest = ? AND device = ?)",
            (r["content"], r["used_bytes"], destination, guest, r["device"]),
        )


def drop(db: sqlite3.Connection, host: str, guest: str) -> None:
    """Take the guest's disks from this host; a volume that is nobody's disk any more is deleted."""
    db.execute("DELETE FROM disk WHERE host = ? AND guest = ?", (host, guest))
    db.execute(
        "DELETE FROM volume WHERE NOT EXISTS"
        " (SELECT 1 FROM disk WHERE disk.place = volume.place AND disk.path = volume.path)"
    )


def md5(content: str) -> str:
    """Return the md5 sum of a disk with this content."""
    return hashlib.md5(content.encode(), usedforsecurity=False).hexdigest()
