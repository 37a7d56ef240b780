"""What the answers and errors of a guest's agent mean; libvirt's test driver has guests, but no agents."""

from __future__ import annotations

import base64
import json
from uuid import UUID

import pytest

libvirt = pytest.importorskip("libvirt", reason="libvirt-python is not installed: make lab")

from servers.drivers.base import Guest, HostRef, Nic  # noqa: E402
from servers.drivers.guest_network.script import Run  # noqa: E402
from servers.drivers.libvirt import LibvirtDriver, Settings  # noqa: E402
from servers.drivers.libvirt.agent import agent_channel, replies  # noqa: E402
from servers.drivers.libvirt.agent.agent_channel import AgentChannel  # noqa: E402
from servers.drivers.libvirt.errors import COMMAND_FAILED, COMMAND_TIMEOUT  # noqa: E402
from servers.drivers.libvirt.host_session import HostSession  # noqa: E402
from servers.errors import (  # noqa: E402
    AgentAnswerInvalid,
    AgentNotReady,
    AgentUnavailable,
    DriverFault,
    GuestNotFound,
    HypervisorTimeout,
)
from tests.drivers.fences import Trusting  # noqa: E402

HOST = HostRef("node1", "libvirt", "test:///default", "test")
SETTINGS = Settings(timeout_s=5)
SECRET = "correct horse 7"
NIC = Nic("52:54:00:00:00:01", "blue", ("192.0.2.10/24",), "192.0.2.1")


class Answers:
    """What the agent says: the next line of the script, and what was sent."""

    def __init__(self, *lines: object) -> None:
        self.lines = list(lines)
        self.sent: list[dict[str, object]] = []

    def __call__(self, domain: object, text: str, timeout: int, flags: int) -> str:
        assert timeout == agent_channel.ANSWER_S
        self.sent.append(json.loads(text))
        line = self.lines.pop(0)
        if isinstance(line, Exception):
            raise line
        return json.dumps({"return": line})


@pytest.fixture
def guest() -> Guest:
    connection = libvirt.open("test:///default")
    uuid = UUID(connection.lookupByName("test").UUIDString())
    connection.close()
    return Guest(uuid, "web", 2, 8192, nics=(NIC,))


@pytest.fixture
def channel(guest: Guest) -> AgentChannel:
    return AgentChannel(HostSession(HOST, SETTINGS, Trusting()), guest)


def error(code: int, text: str) -> libvirt.libvirtError:
    made = libvirt.libvirtError(text)
    made.err = (code, libvirt.VIR_FROM_QEMU, text, 2, None, None, None, -1, -1)
    return made


def answering(patch: pytest.MonkeyPatch, *lines: object) -> Answers:
    answers = Answers(*lines)
    patch.setattr(agent_channel.libvirt_qemu, "qemuAgentCommand", answers)
    patch.setattr(agent_channel, "LOOK_S", 0)
    return answers


@pytest.mark.parametrize(
    ("code", "text", "kind", "says"),
    [
        (libvirt.VIR_ERR_AGENT_UNRESPONSIVE, "not available for now", AgentNotReady, "does not answer"),
        (COMMAND_TIMEOUT, "not responding", AgentNotReady, "does not answer"),
        (libvirt.VIR_ERR_AGENT_UNSYNCED, "out of sync", AgentNotReady, "does not answer"),
        (libvirt.VIR_ERR_OPERATION_TIMEOUT, "cannot acquire state change lock", AgentNotReady, "not answer"),
        (libvirt.VIR_ERR_NO_DOMAIN, "no domain with matching uuid", GuestNotFound, "not defined"),
        (COMMAND_FAILED, "chpasswd: no user", DriverFault, "refused guest-set-user-password: chpasswd"),
        (libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED, "not configured", AgentUnavailable, "org.qemu.guest_agent.0"),
        (libvirt.VIR_ERR_OPERATION_INVALID, "not running", AgentUnavailable, "does not run"),
        (
            libvirt.VIR_ERR_INTERNAL_ERROR,
            "unable to execute QEMU agent command: The command guest-set-user-password has been disabled",
            AgentUnavailable,
            "block list",
        ),
        (
            libvirt.VIR_ERR_INTERNAL_ERROR,
            "chpasswd: no user",
            DriverFault,
            "refused guest-set-user-password: ",
        ),
        (libvirt.VIR_ERR_RPC, "client socket is closed", HypervisorTimeout, "not known"),
        (libvirt.VIR_ERR_RPC, "Unable to encode message payload", AgentAnswerInvalid, "Unable to encode"),
    ],
)
def test_each_error_is_said_in_our_words(
    channel: AgentChannel,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    text: str,
    kind: type[DriverFault],
    says: str,
) -> None:
    answering(monkeypatch, error(code, text))
    with pytest.raises(kind, match=says) as raised:
        channel.command(replies.SET_PASSWORD, changes=True)
    assert type(raised.value) is kind


def test_a_program_is_waited_for_and_its_words_come_back(
    channel: AgentChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = base64.b64encode(b"hello\n").decode()
    ended = {"exited": True, "exitcode": 3, "out-data": out}
    answers = answering(monkeypatch, {"pid": 7}, {"exited": False}, ended)
    done = channel.run(Run(("-c", "true"), stdin="order\n"))
    assert (done.exitcode, done.stdout, done.stderr) == (3, "hello\n", "")
    assert answers.sent[0]["arguments"] == {
        "path": "/bin/sh",
        "arg": ["-c", "true"],
        "input-data": base64.b64encode(b"order\n").decode(),
        "capture-output": True,
    }


def test_an_agent_that_is_silent_for_a_moment_while_a_program_runs_is_asked_on(
    channel: AgentChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    silence = error(libvirt.VIR_ERR_AGENT_UNRESPONSIVE, "not available for now")
    answering(monkeypatch, {"pid": 7}, silence, {"exited": True, "exitcode": 0})
    assert channel.run(Run(("-c", "true"))).exitcode == 0


def test_an_agent_that_is_silent_for_good_while_a_program_runs_is_given_up(
    channel: AgentChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_channel, "SILENCE_S", 0)
    answering(monkeypatch, {"pid": 7}, error(libvirt.VIR_ERR_AGENT_UNRESPONSIVE, "not available for now"))
    with pytest.raises(AgentNotReady):
        channel.run(Run(("-c", "true")))


def test_a_program_that_does_not_end_is_not_waited_for_for_ever(
    channel: AgentChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_channel, "RUN_S", 0.2)
    answering(monkeypatch, {"pid": 7}, *[{"exited": False}] * 100_000)
    with pytest.raises(DriverFault, match="did not come to an end"):
        channel.run(Run(("-c", "sleep 3600")))


def test_a_program_of_an_agent_that_was_started_anew_is_run_again_later(
    channel: AgentChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_channel, "SILENCE_S", 0)
    answering(monkeypatch, {"pid": 7}, error(libvirt.VIR_ERR_INTERNAL_ERROR, "PID 7 does not exist"))
    with pytest.raises(AgentNotReady, match="started anew"):
        channel.run(Run(("-c", "true")))


def test_a_password_is_in_no_fault_and_in_none_of_its_causes(
    guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = base64.b64encode(SECRET.encode()).decode()
    text = f"guest-set-user-password: {SECRET}, {secret}: too short"
    answers = answering(monkeypatch, error(libvirt.VIR_ERR_INTERNAL_ERROR, text))
    monkeypatch.setattr(AgentChannel, "find", lambda channel: None)
    with pytest.raises(DriverFault) as raised:
        LibvirtDriver(HOST, Trusting(), SETTINGS).agent.set_admin_password(guest, SECRET)
    assert answers.sent[0]["arguments"] == {"username": "root", "password": secret, "crypted": False}
    fault: BaseException | None = raised.value
    while fault is not None:
        assert SECRET not in str(fault)
        assert secret not in str(fault)
        fault = fault.__cause__
    assert raised.value.__suppress_context__


def test_a_guest_without_a_channel_is_refused_with_how_to_have_one(guest: Guest) -> None:
    with pytest.raises(AgentUnavailable, match=r"channel named org.qemu.guest_agent.0.*install"):
        LibvirtDriver(HOST, Trusting(), SETTINGS).agent.inject_network_info(guest)


def test_a_guest_that_is_not_there_is_said_so(guest: Guest) -> None:
    elsewhere = Guest(UUID(int=7), "elsewhere", 1, 128)
    with pytest.raises(GuestNotFound):
        LibvirtDriver(HOST, Trusting(), SETTINGS).agent.inject_network_info(elsewhere)
