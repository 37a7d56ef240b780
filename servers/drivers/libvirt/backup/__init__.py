"""Backups: a job on the host into a scratch volume, which is fetched and checked."""

from servers.drivers.libvirt.backup.snapshot import LibvirtBackup

__all__ = ["LibvirtBackup"]
