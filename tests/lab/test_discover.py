"""`discover` and `reconcile` on real hosts, where somebody else uses virsh; and the page "Connect your hosts" as it stands."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command

from servers.inventory.reconciliation.reconcile import reconcile
from servers.models import Allocation, Host, Server
from servers.states import VmState
from tests.conftest import Caller
from tests.factories import make_project
from tests.lab.hosts import LabHost, wait_for
from tests.lab.stage import DOMAIN, GUEST, IMAGES, READY_S, SETTINGS, LibvirtLab
from tests.running import ROOT

pytestmark = pytest.mark.django_db

PAGE = ROOT / "docs/connect-your-hosts.md"
SETS_UP_A_MACHINE = ("apt-get install", ".venv/bin/pip install", "make up FLEET=lab")
"""What the page says and somebody else tries: `make lab` itself, the guest's build, and test_up.py."""
OTHER = UUID("22222222-2222-4333-8444-555555555555")

Say = Callable[..., str]


def commands() -> list[str]:
    """Return the commands of the page, each on one line and without its comment."""
    lines = [line[4:] for line in PAGE.read_text().splitlines() if line.startswith("    ")]
    whole = re.sub(r" *\\\n *", " ", "\n".join(lines))
    return [re.sub(r" +# .*$", "", line) for line in whole.splitlines() if not line.startswith("#")]


def command(start: str) -> str:
    """Return the one command of the page that begins like this."""
    (found,) = (line for line in commands() if line.startswith(start))
    return found


@pytest.fixture
def say(lab: LibvirtLab, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Say:
    """Return what runs a line of the page, on Gantry's machine, with the lab's hosts in the place of the page's."""
    settings.LIBVIRT_TIMEOUT_S = SETTINGS.timeout_s
    make_project(name="admin")

    def said(line: str, typed: str = "y\n") -> str:
        for host in lab.hosts:
            line = line.replace(f"qemu+tls://{host.name}.example.org/system", host.uri)
        words = shlex.split(line.replace("--domain-type kvm", "--domain-type qemu"))
        assert words[:2] == [".venv/bin/python", "manage.py"]
        out, terminal = StringIO(), StringIO(typed)
        monkeypatch.setattr(terminal, "isatty", lambda: True)
        monkeypatch.setattr(sys, "stdin", terminal)
        call_command(*words[2:], stdout=out)
        return out.getvalue()

    return said


@pytest.fixture
def known(say: Say) -> Say:
    """Return the same, when both hosts have been read in."""
    say(command(".venv/bin/python manage.py discover"))
    return say


def again(say: Say) -> str:
    """Run the page's command once more, without --add."""
    return say(".venv/bin/python manage.py discover")


def virsh(host: LabHost, *words: object) -> str:
    return host.inside("virsh", "-q", *words)


def define(host: LabHost, folder: Path, name: str, uuid: UUID, boot: Path) -> None:
    """Define a guest with an empty disk, by virsh, as anybody would."""
    virsh(host, "vol-create-as", "default", f"{name}.qcow2", "8M", "--format", "qcow2")
    definition = folder / f"{name}.xml"
    disk, mac = f"{IMAGES}/{name}.qcow2", f"52:54:00:00:01:{host.number:02x}"
    definition.write_text(
        DOMAIN.format(name=name, uuid=uuid, memory_mb=GUEST.memory_mb, boot=boot, disk=disk, mac=mac)
    )
    virsh(host, "define", definition)


def migrate_by_hand(lab: LibvirtLab) -> None:
    """Move the guest with virsh, behind Gantry's back."""
    here, there = lab.hosts
    flags = ["--live", "--p2p", "--persistent", "--undefinesource", "--copy-storage-all"]
    virsh(here, "migrate", *flags, GUEST.name, there.uri)
    assert lab.beating() == [there.name]


# ------------------------------------------------------------------------------------------ the page


def test_every_command_of_the_page_is_tried() -> None:
    tried = (
        ".venv/bin/python manage.py discover",
        "virsh attach-device web",
        *SETS_UP_A_MACHINE,
    )
    assert [line for line in commands() if not line.startswith(tried)] == []
    for start in tried:
        assert any(line.startswith(start) for line in commands()), start


def test_the_page_reads_hosts_and_guests_in(lab: LibvirtLab, say: Say) -> None:
    page = command(".venv/bin/python manage.py discover")
    with pytest.raises(SystemExit):
        say(page, typed="n\n")
    assert not Host.objects.exists()
    said = say(page)
    assert "memory: 128 MiB" in said and said.endswith("Written: 3.\n")
    for host in Host.objects.all():
        assert (host.domain_type, host.hypervisor_type, [p.name for p in host.pools.all()]) == (
            "qemu",
            "QEMU",
            ["default"],
        )
    web = Server.objects.get()
    assert (web.pk, web.name, web.host.name, web.vm_state) == (GUEST.uuid, "web", "node1", VmState.ACTIVE)
    assert web.disks.get().path == GUEST.disks[0].path
    assert web.interfaces.get().mac == GUEST.nics[0].mac
    assert again(say) == "Nothing to do.\n"
    assert lab.beating() == ["node1"]


def test_hosts_are_told_apart_by_what_the_page_looks_at(lab: LibvirtLab) -> None:
    (line,) = re.findall(r"`(virsh capabilities [^`]+)`", PAGE.read_text())
    first, second = (host.inside("sh", "-c", line) for host in lab.hosts)
    assert "<uuid>" in first and "<uuid>" in second and first != second


def test_a_guest_gets_its_agents_channel_as_the_page_says(lab: LibvirtLab, tmp_path: Path) -> None:
    host = lab.hosts[0]
    without = re.sub(r"<channel.*?</channel>", "", lab.definition, flags=re.DOTALL)
    (tmp_path / "web.xml").write_text(without)
    virsh(host, "define", tmp_path / "web.xml")
    (device,) = re.findall(r"# agent\.xml: (<channel.*</channel>)", PAGE.read_text())
    (tmp_path / "agent.xml").write_text(device)
    host.inside("sh", "-c", f"cd {tmp_path} && {command('virsh attach-device web')}")
    virsh(host, "shutdown", GUEST.name, "--mode", "acpi")
    wait_for("the guest is off", lambda: "shut off" in virsh(host, "domstate", GUEST.name), READY_S)
    virsh(host, "start", GUEST.name)
    (line,) = re.findall(r"`(virsh dumpxml web [^`]+)`", PAGE.read_text())
    wait_for("the agent", lambda: "state='connected'" in host.inside("sh", "-c", line), READY_S)


# -------------------------------------------------------------------------- somebody else uses virsh


def test_what_virsh_has_made_moved_and_removed_is_found(lab: LibvirtLab, known: Say, tmp_path: Path) -> None:
    there = lab.hosts[1]
    define(there, tmp_path, "db", OTHER, lab.boot)
    migrate_by_hand(lab)
    said = again(known)
    assert re.search(r"guest new\W+node2\W+db", said) and re.search(r"guest moved\W+node2\W+web", said)
    db, web = Server.objects.get(name="db"), Server.objects.get(name="web")
    assert (db.host.name, db.vm_state, db.disks.get().size_bytes) == ("node2", VmState.STOPPED, 8 * 1024**2)
    assert (web.host.name, web.vm_state) == ("node2", VmState.ACTIVE)
    assert Allocation.objects.get(server=web).host.name == "node2"
    assert again(known) == "Nothing to do.\n"
    virsh(there, "undefine", "db")
    assert re.search(r"guest gone\W+node2\W+db", again(known))
    db.refresh_from_db()
    assert (db.vm_state, db.deleted_at) == (VmState.ERROR, None)
    assert (there.images / "db.qcow2").exists()


def test_reconcile_follows_a_guest_that_was_moved_stopped_and_started_by_hand(
    lab: LibvirtLab, known: Say
) -> None:
    there = lab.hosts[1]
    migrate_by_hand(lab)
    reconcile()
    web = Server.objects.get()
    assert web.host.name == "node2"
    virsh(there, "destroy", GUEST.name)
    reconcile()
    web.refresh_from_db()
    assert web.vm_state == VmState.STOPPED
    virsh(there, "start", GUEST.name)
    reconcile()
    web.refresh_from_db()
    assert web.vm_state == VmState.ACTIVE
    assert reconcile().found == ()
    assert lab.heartbeat() > 0
    assert lab.beating() == ["node2"]


def test_a_guest_on_two_hosts_is_reported_refused_and_left_alone(
    lab: LibvirtLab, known: Say, admin: Caller, tmp_path: Path
) -> None:
    there = lab.hosts[1]
    define(there, tmp_path, GUEST.name, GUEST.uuid, lab.boot)
    virsh(there, "start", GUEST.name)
    (found,) = reconcile().found
    assert (found.finding.kind, found.finding.hosts, found.finding.safe) == (
        "guest_twice",
        ("node1", "node2"),
        False,
    )
    before = Server.objects.values().get()
    answer = admin.post(f"/v2.1/servers/{GUEST.uuid}/action", {"os-resetState": {"state": "active"}}, "2.96")
    message = answer.json()["conflictingRequest"]["message"]
    assert answer.status_code == 409 and "node1" in message and "node2" in message
    assert Server.objects.values().get() == before
    wait_for("both are heard", lambda: lab.beating() == ["node1", "node2"], READY_S)
