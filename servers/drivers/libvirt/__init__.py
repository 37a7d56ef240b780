"""Hosts that libvirt drives. Nothing outside this package imports libvirt; it is an extra: pip install gantry[libvirt]."""

from servers.drivers.libvirt.driver import LibvirtDriver
from servers.drivers.libvirt.host_session import Settings

__all__ = ["LibvirtDriver", "Settings"]
