"""Live migration: begun or attached to, watched, and its outcome found out from where the guest is."""

from servers.drivers.libvirt.live.migration import LibvirtLiveMigration

__all__ = ["LibvirtLiveMigration"]
