"""The way to the agent inside a guest: commands over libvirt's channel, each with a time limit of its own."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass
from typing import Any

import libvirt
import libvirt_qemu

from servers.drivers.base import Guest
from servers.drivers.guest_network.script import Run
from servers.drivers.libvirt import definitions
from servers.drivers.libvirt.definitions import AGENT_CHANNEL
from servers.drivers.libvirt.errors import is_lost
from servers.drivers.libvirt.seat import Seat, domain_of
from servers.errors import AgentNotReady, AgentUnavailable, DriverFault

ANSWER_S = 5
"""How long the agent may take to answer a command; libvirt waits as long again for it to be listening at all."""
CONNECT_S = 10
"""How long to wait for an agent that is not connected: after a migration it comes back within a second or two."""
RUN_S = 180
"""How long a program in the guest may run: it waits for another change, sets the network, and may have to put it back."""
SILENCE_S = 20
"""How long the agent may be silent while a program runs."""
LOOK_S = 0.5

INSTALL = (
    f"Give it a virtio channel named {AGENT_CHANNEL}, and install and start qemu-guest-agent in the guest: "
    "docs/connect-your-hosts.md."
)
COMMAND_TIMEOUT = 112
"""VIR_ERR_AGENT_COMMAND_TIMEOUT, since libvirt 10.9: a host may be newer than the binding here, which does not name it."""
SILENT = frozenset({libvirt.VIR_ERR_AGENT_UNRESPONSIVE, libvirt.VIR_ERR_AGENT_UNSYNCED, COMMAND_TIMEOUT})
FORBIDDEN = ("has been disabled", "has not been found")


@dataclass(frozen=True)
class Done:
    """A program that ran in the guest to its end."""

    status: int
    stdout: str
    stderr: str


class AgentChannel:
    """The agent of one guest."""

    def __init__(self, seat: Seat, guest: Guest) -> None:
        self.seat = seat
        self.guest = guest

    def find(self) -> None:
        """Return when the agent is connected. Raises AgentUnavailable, GuestNotFound."""
        end = time.monotonic() + CONNECT_S
        while not self.seat.ask("find_agent", self._is_connected):
            if time.monotonic() > end:
                raise self.unavailable(f"has a channel for a guest agent, but none is connected. {INSTALL}")
            time.sleep(LOOK_S)

    def command(
        self, name: str, arguments: dict[str, Any] | None = None, *, secrets: tuple[str, ...] = ()
    ) -> Any:
        """Return what the agent answers; `secrets` are texts that no fault may repeat.

        Raises AgentNotReady when it is silent, AgentUnavailable, DriverFault when it refuses.
        """
        text = json.dumps({"execute": name, "arguments": arguments or {}})

        def send(connection: libvirt.virConnect) -> str:
            domain = self._domain(connection)
            try:
                answer: str = libvirt_qemu.qemuAgentCommand(domain, text, ANSWER_S, 0)
            except libvirt.libvirtError as error:
                if is_lost(error):
                    raise
                said = error.get_error_message() or ""
                for secret in filter(None, secrets):
                    said = said.replace(secret, "…")
                raise self._fault(name, error.get_error_code(), said) from None  # the cause has it all
            return answer

        limit_s = self.seat.settings.timeout_s + 2 * ANSWER_S
        return json.loads(self.seat.ask(name, send, changes=True, limit_s=limit_s))["return"]

    def run(self, program: Run) -> Done:
        """Run a program in the guest to its end. Raises AgentNotReady, DriverFault."""
        arguments = {
            "path": program.path,
            "arg": list(program.arguments),
            "input-data": _encoded(program.stdin),
            "capture-output": True,
        }
        status = self._wait_for_exit(self.command("guest-exec", arguments)["pid"])
        return Done(status.get("exitcode", -1), _text(status, "out-data"), _text(status, "err-data"))

    def refused(self, what: str) -> DriverFault:
        """Return the fault for what the guest did not do."""
        return DriverFault(message=f"Guest {self.guest.name} {what}")

    def unavailable(self, why: str) -> AgentUnavailable:
        return AgentUnavailable(f"Guest {self.guest.name} {why}")

    def _wait_for_exit(self, pid: int) -> dict[str, Any]:
        end = time.monotonic() + RUN_S
        heard = time.monotonic()
        while time.monotonic() < end:
            try:
                status: dict[str, Any] = self.command("guest-exec-status", {"pid": pid})
            except AgentNotReady:
                if time.monotonic() - heard > SILENCE_S:
                    raise
            else:
                heard = time.monotonic()
                if status["exited"]:
                    return status
            time.sleep(LOOK_S)
        raise self.refused(
            f"did not come to an end with it in {RUN_S} s; a program may still be at work there."
        )

    def _domain(self, connection: libvirt.virConnect) -> libvirt.virDomain:
        domain = domain_of(connection, self.guest.uuid)
        if domain is None:
            raise self.seat.missing(self.guest)
        return domain

    def _is_connected(self, connection: libvirt.virConnect) -> bool:
        domain = self._domain(connection)
        if not domain.isActive():
            raise self.unavailable("does not run, so nothing can be changed inside it.")
        definition = definitions.parse(domain.XMLDesc())
        if not definitions.has_agent(definition, running=False):
            raise self.unavailable(f"has no channel for a guest agent. {INSTALL}")
        return definitions.has_agent(definition, running=True)

    def _fault(self, name: str, code: int, said: str) -> DriverFault:
        """Return what an error of the agent means."""
        if code in SILENT:
            return AgentNotReady(
                f"The guest agent of {self.guest.name} does not answer. "
                "Where this goes on, restart qemu-guest-agent in the guest."
            )
        if code == libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED:
            return self.unavailable(f"has no channel for a guest agent. {INSTALL}")
        if code == libvirt.VIR_ERR_OPERATION_INVALID:
            return self.unavailable("does not run, so nothing can be changed inside it.")
        if any(words in said for words in FORBIDDEN):
            return self.unavailable(
                f"has an agent that does not permit {name}, or is too old for it: take it off the agent's block list, "
                "in /etc/sysconfig/qemu-ga or /etc/qemu/qemu-ga.conf."
            )
        if name == "guest-exec-status":  # of a process that an earlier agent had started
            return AgentNotReady(f"The guest agent of {self.guest.name} was started anew.")
        return self.refused(f"refused {name}: {said}")


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _text(status: dict[str, Any], name: str) -> str:
    return base64.b64decode(status.get(name, "")).decode(errors="replace")
