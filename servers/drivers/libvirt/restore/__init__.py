"""Restoring: a backup sent to a host, and a guest of its own defined around it."""

from servers.drivers.libvirt.restore.restoring import LibvirtRestore

__all__ = ["LibvirtRestore"]
