"""What is changed inside a real guest, through REST and the QEMU guest agent: proven from the guest's side."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from typing import Any

import libvirt
import libvirt_qemu
import pytest

from servers.drivers.base import MoveOptions
from servers.drivers.libvirt.agent.agent_channel import AgentChannel
from servers.engine.execution.queue import run_until_idle
from servers.errors import AgentNotReady
from servers.models import ActionRecord, NetworkInterface, Project, Server
from servers.states import ActionStatus, TaskState
from tests.conftest import Caller
from tests.drivers.contract import move
from tests.factories import make_host, make_interface, make_server
from tests.lab.hosts import wait_for
from tests.lab.stage import GUEST, READY_S, SETTINGS, LibvirtLab

pytestmark = pytest.mark.django_db

NEWEST = "2.96"
CHANNEL = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
ADDRESS, OTHER, GATEWAY = "192.0.2.10", "192.0.2.77", "192.0.2.1"
INJECT: dict[str, Any] = {"injectNetworkInfo": None}
RESET: dict[str, Any] = {"resetNetwork": None}
PASSWORD = {"changePassword": {"adminPass": "correct horse 7"}}
STOP = "pid=$(cat /run/qemu-ga.pid); (sleep 1; kill -STOP $pid; sleep {}; kill -CONT $pid) >/dev/null 2>&1 &"


@pytest.fixture
def server(lab: LibvirtLab, project: Project, settings: Any) -> Server:
    """Return the record of the lab's guest; its gateway is the bridge of the host on which it runs."""
    settings.LIBVIRT_TIMEOUT_S = SETTINGS.timeout_s
    settings.HEARTBEAT_LIMIT_S = 600
    host, nic = lab.source, GUEST.nics[0]
    node1 = make_host(host.name, driver="libvirt", uri=host.uri, domain_type=host.domain_type)
    server = make_server(project, uuid=GUEST.uuid, host=node1, memory_mb=GUEST.memory_mb)
    make_interface(server, *nic.addresses, mac=nic.mac, gateway=nic.gateway)
    lab.host(host).inside("ip", "addr", "replace", f"{GATEWAY}/24", "dev", "br0")
    return server


def act(caller: Caller, server: Server, body: dict[str, Any]) -> ActionRecord:
    """Ask for an action, and carry it out."""
    response = caller.post(f"/v2.1/servers/{server.uuid}/action", body, NEWEST)
    assert response.status_code == 202, response.content
    run_until_idle()
    return ActionRecord.objects.filter(server=server).latest("created_at")


def answers(lab: LibvirtLab, address: str) -> bool:
    """Return whether somebody answers there, as the host sees it: a closed port is an answer of its owner."""
    knock = ["timeout", "3", "bash", "-c", f"exec 3<>/dev/tcp/{address}/9"]
    enter = ["nsenter", "-t", str(lab.host(lab.source).init), "-a", *knock]
    return "refused" in subprocess.run(enter, capture_output=True, text=True, check=False).stderr


def in_guest(lab: LibvirtLab, command: str) -> str:
    """Return what a command prints in the guest; the way is the test's own, by the same agent."""
    with lab.connected(lab.host(lab.source)) as connection:
        domain = connection.lookupByUUIDString(str(GUEST.uuid))

        def ask(name: str, **arguments: Any) -> dict[str, Any]:
            order = json.dumps({"execute": name, "arguments": arguments})
            answer: dict[str, Any] = json.loads(libvirt_qemu.qemuAgentCommand(domain, order, 10, 0))["return"]
            return answer

        run = {"path": "/bin/sh", "arg": ["-c", command], "capture-output": True}
        pid = ask("guest-exec", **run)["pid"]
        while not (status := ask("guest-exec-status", pid=pid))["exited"]:
            time.sleep(0.1)
        return base64.b64decode(status.get("out-data", "")).decode()


def boots(lab: LibvirtLab) -> int:
    return lab.serial(lab.source).count("READY")


def reboot(lab: LibvirtLab, definition: str = "") -> None:
    """Turn the guest off and on again, with another definition if one is given."""
    with lab.connected(lab.host(lab.source)) as connection:
        domain = connection.lookupByUUIDString(str(GUEST.uuid))
        domain.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)
        wait_for("the guest is off", lambda: not domain.isActive(), READY_S)
        if definition:
            domain = connection.defineXML(definition)
        before = boots(lab)
        domain.create()
        wait_for("the guest", lambda: boots(lab) > before, READY_S, 0.1)


def kill_agent(lab: LibvirtLab) -> None:
    """End the agent in the guest; its channel stays."""
    in_guest(lab, "(sleep 1; kill -9 $(cat /run/qemu-ga.pid)) >/dev/null 2>&1 &")
    wait_for("the agent is gone", lambda: not has_agent(lab))


def has_agent(lab: LibvirtLab) -> bool:
    found = lab.driver(lab.source).find_guest(GUEST.uuid)
    return found is not None and found.agent


def link_states(lab: LibvirtLab) -> list[str]:
    """Return the cable's states as the guest has seen them."""
    lines = lab.serial(lab.source).splitlines()
    return [line.split()[1] for line in lines if line.startswith("CARRIER ")]


def pull_cable(lab: LibvirtLab, flags: int) -> None:
    with lab.connected(lab.host(lab.source)) as connection:
        nic = f"<interface type='bridge'><mac address='{GUEST.nics[0].mac}'/><source bridge='br0'/>"
        pulled = f"{nic}<model type='virtio'/><link state='down'/></interface>"
        connection.lookupByUUIDString(str(GUEST.uuid)).updateDeviceFlags(pulled, flags)


def is_free(server: Server) -> bool:
    """Return whether nothing is stuck: the next action could begin."""
    server.refresh_from_db()
    return (
        server.task_state == TaskState.IDLE
        and not ActionRecord.objects.exclude(status__in=[ActionStatus.SUCCEEDED, ActionStatus.FAILED])
        .filter(server=server)
        .exists()
    )


def test_the_address_that_was_injected_answers_also_after_a_reboot(
    admin: Caller, server: Server, lab: LibvirtLab
) -> None:
    assert not answers(lab, ADDRESS)
    record = act(admin, server, INJECT)
    assert record.status == ActionStatus.SUCCEEDED, record.error_text
    assert record.result["format"] == "ifupdown"
    (interface,) = record.result["interfaces"]
    assert (interface["name"], interface["mac"]) == ("eth0", GUEST.nics[0].mac)
    assert f"{ADDRESS}/24" in interface["addresses"]
    assert answers(lab, ADDRESS)
    assert f"default via {GATEWAY}" in in_guest(lab, "ip route")
    reboot(lab)
    assert answers(lab, ADDRESS)


def test_another_address_takes_the_place_of_the_first(admin: Caller, server: Server, lab: LibvirtLab) -> None:
    act(admin, server, INJECT)
    NetworkInterface.objects.update(addresses=[f"{OTHER}/24"], dns=["192.0.2.53"])
    record = act(admin, server, INJECT)
    assert record.status == ActionStatus.SUCCEEDED, record.error_text
    assert answers(lab, OTHER)
    assert not answers(lab, ADDRESS)
    assert in_guest(lab, "cat /etc/resolv.conf") == "nameserver 192.0.2.53\n"


def test_network_information_that_cannot_be_right_leaves_the_guest_as_it_is(
    admin: Caller, server: Server, lab: LibvirtLab
) -> None:
    act(admin, server, INJECT)
    NetworkInterface.objects.update(gateway="2001:db8::1")
    record = act(admin, server, INJECT)
    assert record.status == ActionStatus.FAILED
    assert "needs an IPv6 address" in record.error_text
    assert answers(lab, ADDRESS)
    assert is_free(server)


def test_a_worker_that_dies_while_the_guest_is_at_it_is_followed_by_one_that_ends_it(
    server: Server, lab: LibvirtLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """The worker is gone."""

    agent = lab.driver(lab.source).agent
    wait_for_exit, runs = AgentChannel._wait_for_exit, []

    def dies_at_the_second(channel: AgentChannel, pid: int) -> dict[str, Any]:
        runs.append(pid)
        if len(runs) == 2:  # the first was the survey
            raise Killed
        return wait_for_exit(channel, pid)

    with monkeypatch.context() as patch:
        patch.setattr(AgentChannel, "_wait_for_exit", dies_at_the_second)
        with pytest.raises(Killed):
            agent.inject_network_info(GUEST)
    assert agent.inject_network_info(GUEST)["format"] == "ifupdown"
    assert answers(lab, ADDRESS)


def test_a_reset_through_the_agent_sets_the_interfaces_anew(
    admin: Caller, server: Server, lab: LibvirtLab
) -> None:
    act(admin, server, INJECT)
    in_guest(lab, "ip addr add 203.0.113.9/24 dev eth0")
    record = act(admin, server, RESET)
    assert record.status == ActionStatus.SUCCEEDED, record.error_text
    assert (record.result["way"], record.result["format"]) == ("agent", "ifupdown")
    assert "203.0.113.9" not in in_guest(lab, "ip addr")
    assert answers(lab, ADDRESS)


def test_a_password_is_the_one_that_the_guest_has_then(
    admin: Caller, server: Server, lab: LibvirtLab
) -> None:
    record = act(admin, server, PASSWORD)
    assert record.status == ActionStatus.SUCCEEDED, record.error_text
    _, kept, *_ = in_guest(lab, "grep ^root: /etc/shadow").split(":")
    _, kind, salt, _ = kept.split("$")
    hashed = subprocess.run(
        ["openssl", "passwd", f"-{kind}", "-salt", salt, "-stdin"],
        input=PASSWORD["changePassword"]["adminPass"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert hashed.stdout.strip() == kept
    assert PASSWORD["changePassword"]["adminPass"] not in str(ActionRecord.objects.values().get(pk=record.pk))


def test_a_guest_without_a_channel_is_refused_at_once_and_reset_by_its_cables(
    admin: Caller, server: Server, lab: LibvirtLab
) -> None:
    reboot(lab, lab.definition.replace(CHANNEL, ""))
    assert not has_agent(lab)
    began = time.monotonic()
    for body in (INJECT, PASSWORD):
        record = act(admin, server, body)
        assert (record.status, record.error_code) == (ActionStatus.FAILED, "agent_unavailable")
        assert "channel named org.qemu.guest_agent.0" in record.error_text
        assert "install and start qemu-guest-agent" in record.error_text
        assert is_free(server)
    assert time.monotonic() - began < 5
    before = link_states(lab)
    record = act(admin, server, RESET)
    assert record.status == ActionStatus.SUCCEEDED, record.error_text
    assert (record.result["way"], record.result["interfaces"]) == ("link", [{"mac": GUEST.nics[0].mac}])
    wait_for("the guest sees it", lambda: link_states(lab)[len(before) :] == ["0", "1"])


def test_a_channel_that_is_attached_gives_a_guest_its_agent_at_the_next_start(
    admin: Caller, server: Server, lab: LibvirtLab
) -> None:
    reboot(lab, lab.definition.replace(CHANNEL, ""))
    with lab.connected(lab.host(lab.source)) as connection:
        domain = connection.lookupByUUIDString(str(GUEST.uuid))
        domain.attachDeviceFlags(CHANNEL, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
    assert not has_agent(lab)
    reboot(lab)
    assert act(admin, server, INJECT).status == ActionStatus.SUCCEEDED
    assert has_agent(lab)


def test_an_agent_that_does_not_run_is_missed_within_seconds(
    admin: Caller, server: Server, lab: LibvirtLab
) -> None:
    kill_agent(lab)
    began = time.monotonic()
    record = act(admin, server, INJECT)
    assert time.monotonic() - began < 20
    assert (record.status, record.error_code) == (ActionStatus.FAILED, "agent_unavailable")
    assert "none is connected" in record.error_text
    assert is_free(server)


def test_a_cable_that_a_dead_worker_has_left_out_is_plugged_in(
    admin: Caller, server: Server, lab: LibvirtLab
) -> None:
    kill_agent(lab)
    pull_cable(lab, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    wait_for("the guest sees it", lambda: link_states(lab)[-1:] == ["0"])
    assert act(admin, server, RESET).status == ActionStatus.SUCCEEDED
    wait_for("the guest sees it", lambda: link_states(lab)[-1:] == ["1"])


def test_a_cable_that_is_out_by_definition_stays_out(admin: Caller, server: Server, lab: LibvirtLab) -> None:
    kill_agent(lab)
    pull_cable(lab, libvirt.VIR_DOMAIN_AFFECT_LIVE | libvirt.VIR_DOMAIN_AFFECT_CONFIG)
    record = act(admin, server, RESET)
    assert (record.status, record.error_code) == (ActionStatus.FAILED, "agent_unavailable")
    assert link_states(lab)[-1:] == ["0"]


def test_an_agent_that_hangs_is_not_waited_for(server: Server, lab: LibvirtLab) -> None:
    in_guest(lab, STOP.format(30))
    time.sleep(2)
    agent = lab.driver(lab.source).agent
    for verb in (agent.inject_network_info, agent.reset_network):
        began = time.monotonic()
        with pytest.raises(AgentNotReady, match="does not answer"):
            verb(GUEST)
        assert time.monotonic() - began < 15


def test_an_agent_that_hangs_for_a_while_is_asked_again(
    admin: Caller, server: Server, lab: LibvirtLab
) -> None:
    in_guest(lab, STOP.format(12))
    time.sleep(2)
    record = act(admin, server, INJECT)
    assert record.status == ActionStatus.SUCCEEDED, record.error_text
    assert record.tries > 0
    assert answers(lab, ADDRESS)


def test_an_agent_that_hangs_for_good_leaves_nothing_stuck(
    admin: Caller, server: Server, lab: LibvirtLab
) -> None:
    in_guest(lab, STOP.format(3600))
    time.sleep(2)
    before = lab.heartbeat()
    record = act(admin, server, PASSWORD)
    assert (record.status, record.error_code) == (ActionStatus.FAILED, "agent_not_ready")
    assert PASSWORD["changePassword"]["adminPass"] not in record.error_text
    assert is_free(server)
    assert lab.heartbeat() > before


def test_a_guest_that_has_just_moved_takes_its_network(lab: LibvirtLab) -> None:
    move(lab, options=MoveOptions())
    assert lab.driver(lab.destination).agent.inject_network_info(GUEST)["format"] == "ifupdown"
