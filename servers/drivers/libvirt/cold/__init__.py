"""Cold migration: disks copied and verified, the source kept until the move is confirmed."""

from servers.drivers.libvirt.cold.migration import LibvirtColdMigration

__all__ = ["LibvirtColdMigration"]
