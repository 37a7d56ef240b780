"""Changing something inside a guest, through the agent that runs there."""

from __future__ import annotations

from typing import Any

from servers.drivers.base import Guest, GuestAgent
from servers.drivers.guest_network import FORMATS, Format, Survey, Unrenderable, match, script
from servers.drivers.libvirt.agent import links, replies
from servers.drivers.libvirt.agent.agent_channel import MAX_ERROR_CHARS, AgentChannel
from servers.drivers.libvirt.agent.replies import Status
from servers.drivers.libvirt.host_session import HostSession
from servers.errors import AgentUnavailable, DriverFault, printable

ADMINISTRATOR = "root"
MAX_TOLD = 64
"""How many interfaces of a guest its record holds."""


class LibvirtGuestAgent(GuestAgent):
    """The guests of one host, by their agents. Whoever asks again does it again: each verb ends in the same state."""

    def __init__(self, session: HostSession) -> None:
        self.session = session

    def inject_network_info(self, guest: Guest) -> dict[str, Any]:
        channel = AgentChannel(self.session, guest)
        channel.find()
        survey = _survey(channel)
        style = _style(survey)
        try:
            if style is None:
                known = ", ".join(each.name for each in FORMATS)
                raise Unrenderable(f"it keeps its network in none of the formats {known}")
            interfaces = match(guest.nics, survey)
            files = style.render(interfaces, survey.files)
        except Unrenderable as reason:
            raise channel.refused(f"cannot take its network information: {reason}.") from None
        done = channel.run(script.inject(style, interfaces, files), changes=True)
        if done.exitcode:
            raise channel.refused(f"could not set its network, and is as it was: {_complaint(done)}")
        names = [interface.name for interface in interfaces]
        return {
            "format": style.name,
            "files": [file.path for file in files],
            "interfaces": _interfaces(channel, names),
        }

    def reset_network(self, guest: Guest) -> dict[str, Any]:
        channel = AgentChannel(self.session, guest)
        try:
            channel.find()
        except AgentUnavailable as fault:
            return {
                "way": "link",
                "reason": str(fault),
                "interfaces": links.reset(self.session, guest, fault),
            }
        survey = _survey(channel)
        style, names = _style(survey), _names(guest, survey)
        if not names:
            raise channel.refused("has no network interface that its agent could reset.")
        done = channel.run(script.reset(style, names), changes=True)
        if done.exitcode:
            raise channel.refused(f"could not bring its interfaces up again: {_complaint(done)}")
        return {
            "way": "agent",
            "format": style.name if style else "",
            "interfaces": _interfaces(channel, names),
        }

    def set_admin_password(self, guest: Guest, password: str) -> None:
        channel = AgentChannel(self.session, guest)
        channel.find()
        sealed = channel.encoded(password)
        arguments = {"username": ADMINISTRATOR, "password": sealed, "crypted": False}
        channel.command(replies.SET_PASSWORD, arguments, changes=True, secrets=(password, sealed))


def _survey(channel: AgentChannel) -> Survey:
    done = channel.run(script.survey())
    if done.exitcode:
        raise channel.refused(f"cannot say how its network is kept: {_complaint(done)}")
    try:
        return Survey.parse(done.stdout)
    except Unrenderable as reason:
        raise channel.refused(f"cannot say how its network is kept: {reason}.") from None


def _style(survey: Survey) -> type[Format] | None:
    """Return the format in charge of the guest's network, or None."""
    return next((style for style in FORMATS if style.name in survey.formats), None)


def _names(guest: Guest, survey: Survey) -> list[str]:
    """Return the guest's names of its interfaces; of all its hardware where none are recorded."""
    ours = {nic.mac.lower() for nic in guest.nics}
    return [link.name for link in survey.links if link.hardware and (not ours or link.mac in ours)]


def _interfaces(channel: AgentChannel, names: list[str]) -> list[dict[str, Any]]:
    """Return the interfaces as the guest has them now; their names alone where its agent cannot tell."""
    told = names[:MAX_TOLD]
    try:
        found = {each.name: each for each in channel.command(replies.INTERFACES)}
    except DriverFault:  # what was asked for is done; this is its report alone
        return [{"name": name} for name in told]
    return [
        {"name": name, "mac": found[name].mac, "addresses": list(found[name].addresses)}
        for name in told
        if name in found
    ]


def _complaint(done: Status) -> str:
    said = (done.stderr or done.stdout).strip()[-MAX_ERROR_CHARS:]
    return printable(said) or f"exit status {done.exitcode}"
