"""A guest cannot harm its host's records: no answer of its agent keeps a server where it is."""

from __future__ import annotations

import json
from uuid import UUID

import pytest

libvirt = pytest.importorskip("libvirt", reason="libvirt-python is not installed: make libvirt")

from servers.drivers.libvirt.agent import agent_channel  # noqa: E402
from servers.drivers.libvirt.agent.agent_channel import AgentChannel  # noqa: E402
from servers.engine.execution.queue import run_until_idle  # noqa: E402
from servers.models import Server  # noqa: E402
from tests.drivers.storable import storable  # noqa: E402
from tests.factories import make_host, make_interface, make_server  # noqa: E402
from tests.small_fleet import SmallFleet  # noqa: E402

ODD = {
    "a process without a number": {"guest-exec": {}},
    "a process that is a number": {"guest-exec": 5},
    "no word whether it has ended": {"guest-exec": {"pid": 1}, "guest-exec-status": {}},
    "a list": {"guest-exec": {"pid": 1}, "guest-exec-status": []},
    "output that is no base64": {
        "guest-exec": {"pid": 1},
        "guest-exec-status": {"exited": True, "exitcode": 0, "out-data": "a"},
    },
    "NUL and escapes": {
        "guest-exec": {"pid": 1},
        "guest-exec-status": {"exited": True, "exitcode": 7, "err-data": "ABsABwBcdQ=="},
    },
}


@pytest.fixture
def hostile(fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch) -> Server:
    """Return a server on a libvirt host whose agent is connected."""
    monkeypatch.setattr(AgentChannel, "_is_connected", lambda channel, connection: True)
    connection = libvirt.open("test:///default")
    uuid = UUID(connection.lookupByName("test").UUIDString())
    connection.close()
    host = make_host("real", driver="libvirt", uri="test:///default", domain_type="test")
    server = make_server(fleet.project, uuid=uuid, name="hostile", host=host)
    make_interface(server, "192.0.2.10/24")
    return server


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_answer_ends_the_action_and_the_server_can_be_moved(
    fleet: SmallFleet, hostile: Server, monkeypatch: pytest.MonkeyPatch, odd: str
) -> None:
    def answer(domain: object, text: str, timeout: int, flags: int) -> str:
        return json.dumps({"return": ODD[odd][json.loads(text)["execute"]]})

    monkeypatch.setattr(agent_channel.libvirt_qemu, "qemuAgentCommand", answer)
    record = fleet.submit("inject-network-info", hostile).record
    run_until_idle(wait=False)
    record.refresh_from_db()
    assert (record.status, record.attempt) == ("failed", 1)
    assert record.error_text and storable(record.error_text)
    event = record.events.get()
    assert event.result == "Error" and storable(event.details) and storable(event.traceback)
    assert fleet.submit("live-migration", hostile, host=None, block_migration="auto")
