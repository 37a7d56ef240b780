"""The way to the agent inside a guest: commands over libvirt's channel, each with a time limit of its own."""

from __future__ import annotations

import base64
import json
import time
from typing import Any, NoReturn, TypeVar

import libvirt
import libvirt_qemu

from servers.drivers.base import Guest
from servers.drivers.guest_network.script import Run
from servers.drivers.libvirt import definitions
from servers.drivers.libvirt.agent import replies
from servers.drivers.libvirt.agent.replies import Command, Improper, Status
from servers.drivers.libvirt.definitions import AGENT_CHANNEL
from servers.drivers.libvirt.errors import AGENT_SILENT, is_lost, is_lost_with, note
from servers.drivers.libvirt.host_session import HostSession, domain_of
from servers.errors import AgentAnswerInvalid, AgentNotReady, AgentUnavailable, DriverFault, printable

ANSWER_S = 5
"""How long the agent may take to answer a command; libvirt waits as long again for it to be listening at all."""
TURN_S = 30
"""How long libvirt lets a command wait for its turn, behind whatever else is asked of that agent."""
CONNECT_S = 10
"""How long to wait for an agent that is not connected: after a migration it comes back within a second or two."""
MAX_ERROR_CHARS = 1000
"""How much of what a guest says is handed on."""
RUN_S = 180
"""How long a program in the guest may run: it waits for another change, sets the network, and may have to put it back."""
SILENCE_S = 20
"""How long the agent may be silent while a program runs."""
LOOK_S = 0.5

INSTALL = (
    f"Give it a virtio channel named {AGENT_CHANNEL}, and install and start qemu-guest-agent in the guest: "
    "docs/connect-your-hosts.md."
)
SILENT = AGENT_SILENT | {libvirt.VIR_ERR_OPERATION_TIMEOUT}  # the latter: its turn did not come
FORBIDDEN = ("has been disabled", "has not been found")

T = TypeVar("T")


class AgentChannel:
    """The agent of one guest."""

    def __init__(self, session: HostSession, guest: Guest) -> None:
        self.session = session
        self.guest = guest

    def find(self) -> None:
        """Return when the agent is connected. Raises AgentUnavailable, GuestNotFound."""
        end = time.monotonic() + CONNECT_S
        while not self.session.ask("find_agent", self._is_connected):
            if time.monotonic() > end:
                raise self.unavailable(f"has a channel for a guest agent, but none is connected. {INSTALL}")
            time.sleep(LOOK_S)

    def command(
        self,
        command: Command[T],
        arguments: dict[str, Any] | None = None,
        *,
        changes: bool = False,
        secrets: tuple[str, ...] = (),
    ) -> T:
        """Return what the agent answers; `secrets` are texts that no fault may repeat.

        changes: the command changes something in the guest.
        Raises AgentNotReady when it is silent, AgentUnavailable, AgentAnswerInvalid, DriverFault when it refuses.
        """
        text = json.dumps({"execute": command.name, "arguments": arguments or {}})

        def send(connection: libvirt.virConnect) -> object:
            domain = self._domain(connection)
            try:
                return libvirt_qemu.qemuAgentCommand(domain, text, ANSWER_S, 0)
            except UnicodeDecodeError:
                self._improper(command, "it is no text")
            except libvirt.libvirtError as error:
                if is_lost_with(connection, error):
                    raise
                said = error.get_error_message() or ""
                for secret in filter(None, secrets):
                    said = said.replace(secret, "…")
                raise self._fault(command, error, said) from None  # the cause has it all

        limit_s = self.session.settings.timeout_s + TURN_S + 2 * ANSWER_S
        answer = self.session.ask(command.name, send, changes=changes, limit_s=limit_s)
        try:
            return command.parse(answer)
        except Improper as how:
            self._improper(command, str(how))

    def run(self, program: Run, *, changes: bool = False) -> Status:
        """Run a program in the guest to its end. Raises AgentNotReady, AgentAnswerInvalid, DriverFault."""
        arguments = {
            "path": program.path,
            "arg": list(program.arguments),
            "input-data": self.encoded(program.stdin),
            "capture-output": True,
        }
        return self._wait_for_exit(self.command(replies.EXEC, arguments, changes=changes))

    def encoded(self, text: str) -> str:
        """Return a text as the agent takes it. Raises DriverFault where it is none."""
        try:
            return base64.b64encode(text.encode()).decode()
        except UnicodeEncodeError:
            raise self.refused("cannot be given what is no text.") from None

    def refused(self, what: str) -> DriverFault:
        """Return the fault for what the guest did not do."""
        return DriverFault(message=f"Guest {self.guest.name} {what}")

    def unavailable(self, why: str) -> AgentUnavailable:
        return AgentUnavailable(f"Guest {self.guest.name} {why}")

    def _wait_for_exit(self, pid: int) -> Status:
        end = time.monotonic() + RUN_S
        heard = time.monotonic()
        while time.monotonic() < end:
            try:
                status = self.command(replies.EXEC_STATUS, {"pid": pid})
            except AgentNotReady:
                if time.monotonic() - heard > SILENCE_S:
                    raise
            else:
                heard = time.monotonic()
                if status.exited:
                    return status
            time.sleep(LOOK_S)
        raise self.refused(
            f"did not come to an end with it in {RUN_S} s; a program may still be at work there."
        )

    def _domain(self, connection: libvirt.virConnect) -> libvirt.virDomain:
        domain = domain_of(connection, self.guest.uuid)
        if domain is None:
            raise self.session.missing(self.guest)
        return domain

    def _is_connected(self, connection: libvirt.virConnect) -> bool:
        domain = self._domain(connection)
        if not domain.isActive():
            raise self.unavailable("does not run, so nothing can be changed inside it.")
        definition = definitions.parse(domain.XMLDesc())
        if not definitions.has_agent(definition, running=False):
            raise self.unavailable(f"has no channel for a guest agent. {INSTALL}")
        return definitions.has_agent(definition, running=True)

    def _improper(self, command: Command[Any], how: str) -> NoReturn:
        """Raise the fault for an answer that is none. Its cause is left out: it might quote the answer."""
        raise AgentAnswerInvalid(guest=self.guest.name, command=command.name, reason=how) from None

    def _fault(self, command: Command[Any], error: libvirt.libvirtError, said: str) -> DriverFault:
        """Return what an error of the agent means."""
        note(self.session.ref, error)
        code, name = error.get_error_code(), command.name
        if is_lost(error):  # and yet the way is there: it is the answer that cannot go it
            return AgentAnswerInvalid(guest=self.guest.name, command=name, reason=f"libvirt says: {said}")
        if code in SILENT:
            return AgentNotReady(
                f"The guest agent of {self.guest.name} does not answer. "
                "Where this goes on, restart qemu-guest-agent in the guest."
            )
        if code == libvirt.VIR_ERR_NO_DOMAIN:
            return self.session.missing(self.guest)
        if code == libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED:
            return self.unavailable(f"has no channel for a guest agent. {INSTALL}")
        if code == libvirt.VIR_ERR_OPERATION_INVALID:
            return self.unavailable("does not run, so nothing can be changed inside it.")
        if any(words in said for words in FORBIDDEN):
            return self.unavailable(
                f"has an agent that does not permit {name}, or is too old for it: take it off the agent's block list, "
                "in /etc/sysconfig/qemu-ga or /etc/qemu/qemu-ga.conf."
            )
        if command is replies.EXEC_STATUS:  # of a process that an earlier agent had started
            return AgentNotReady(f"The guest agent of {self.guest.name} was started anew.")
        return self.refused(f"refused {name}: {printable(said, MAX_ERROR_CHARS)}")
