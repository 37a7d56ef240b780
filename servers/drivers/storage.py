"""Whether a guest's disks have to be copied, and whether they fit, for any driver (Nova contract B.8)."""

from __future__ import annotations

from servers.drivers.base import Disk, Guest, MoveOptions, Pool
from servers.errors import InvalidLocalStorage, InvalidSharedStorage, MigrationPreCheckError

ON_SHARED = "Block migration can not be used with shared storage."
NOT_SHARED = (
    "Shared storage live-migration requires either shared storage or boot-from-volume with no local disks."
)


def check_storage(
    source: str,
    options: MoveOptions,
    disks: tuple[Disk, ...],
    here: tuple[Pool, ...],
    there: tuple[Pool, ...],
) -> bool:
    """Return whether the disks have to be copied. Raises InvalidLocalStorage, InvalidSharedStorage.

    A guest without disks boots from a volume: whether the hosts share any pool decides for it.
    """
    both = {p.identity for p in here if p.shared} & {p.identity for p in there if p.shared}
    shared_pools = {p.name for p in here if p.identity in both and p.shared}
    shared = all(d.pool in shared_pools for d in disks) if disks else bool(shared_pools)
    if options.block_migration is None:
        return bool(disks) and not shared
    if options.block_migration and shared:
        raise InvalidLocalStorage(path=source, reason=ON_SHARED)
    if not options.block_migration and disks and not shared:
        raise InvalidSharedStorage(path=source, reason=NOT_SHARED)
    return options.block_migration


def check_room(guest: Guest, options: MoveOptions, disks: tuple[Disk, ...], available: int) -> None:
    """Raise MigrationPreCheckError where the copied disks do not fit; not asked for since 2.25."""
    if options.disk_over_commit is None:
        return
    needed = sum(d.used_bytes if options.disk_over_commit else d.size_bytes for d in disks)
    if available < needed:
        reason = (
            f"Unable to migrate {guest.uuid}: Disk of instance is too large"
            f"(available on destination host:{available} < need:{needed})"
        )
        raise MigrationPreCheckError(reason=reason)
