"""Whether a guest has a guest agent; the limit is short, because a person waits for the answer."""

from __future__ import annotations

from servers.actions import Action
from servers.fleet.drivers import ref
from servers.fleet.guest_sightings import LIMIT_S
from servers.fleet.polling import ask_all
from servers.models import Server

NO_AGENT = (
    "No guest agent answers in {server}. {then} To have one: give the guest a virtio channel named "
    "org.qemu.guest_agent.0, and install and start qemu-guest-agent in it."
)


def agent_warning(action: type[Action], server: Server, limit_s: float = LIMIT_S) -> str:
    """Return a warning when `action` uses a guest agent and the guest has none; otherwise an empty string.

    The host is asked for at most `limit_s` seconds. Empty as well when the host does not answer, or does not
    have the guest: then nothing is known of an agent.
    """
    if not action.without_agent or server.host is None:
        return ""
    host = ref(server.host)
    found = ask_all([host], lambda driver: driver.find_guest(server.pk), limit_s, "agent")[host.name].value
    if found is None or found.agent:
        return ""
    return NO_AGENT.format(server=server.name, then=action.without_agent)
