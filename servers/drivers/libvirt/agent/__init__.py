"""What is changed inside a guest: through the QEMU guest agent, or by its cables."""

from servers.drivers.libvirt.agent.guest_agent import LibvirtGuestAgent

__all__ = ["LibvirtGuestAgent"]
