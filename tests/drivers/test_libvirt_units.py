"""What the libvirt driver does without a hypervisor: faults, time limits, definitions, metadata, whom it asks first."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from uuid import UUID

import pytest
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

libvirt = pytest.importorskip("libvirt", reason="libvirt-python is not installed: make lab")

from servers.drivers.base import LOOKING, Guest, HostRef, Nic  # noqa: E402
from servers.drivers.libvirt import LibvirtDriver, Settings, definitions, domain_metadata, volume_sidecar  # noqa: E402  # noqa: E402
from servers.drivers.libvirt.backup import fetching, freezing  # noqa: E402
from servers.drivers.libvirt.checks import left_behind, unmovable  # noqa: E402
from servers.drivers.libvirt.connections import CONNECTIONS  # noqa: E402
from servers.drivers.libvirt.domain_metadata import Direction  # noqa: E402
from servers.drivers.libvirt.host_session import HostSession  # noqa: E402
from servers.drivers.libvirt.job import progress  # noqa: E402
from servers.drivers.libvirt.pools import pool  # noqa: E402
from servers.drivers.libvirt.redefining import new_definition  # noqa: E402
from servers.errors import (  # noqa: E402
    BackupFailed,
    DriverFault,
    HypervisorTimeout,
    HypervisorUnavailable,
    RestoreFailed,
)
from servers.fleet.drivers import driver_of  # noqa: E402
from servers.states import PowerState  # noqa: E402
from tests.drivers.fences import OWNER, Trusting  # noqa: E402

HOST = HostRef("node1", "libvirt", "test:///default", "test")
NOBODY = HostRef("node9", "libvirt", "qemu+tcp://127.0.0.1:1/system")
DOMAIN = """
<domain type='kvm'><name>web</name><memory unit='KiB'>524288</memory><vcpu>2</vcpu>
 <devices>
  <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/pool/web.qcow2'/><target dev='vda'/></disk>
  <disk type='file' device='cdrom'><target dev='sda'/><readonly/></disk>
  <interface type='network'><mac address='52:54:00:00:00:01'/><source network='blue'/></interface>
  <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0' state='disconnected'/></channel>
 </devices>
</domain>"""


@pytest.fixture
def driver() -> LibvirtDriver:
    return LibvirtDriver(HOST, Trusting(), Settings(timeout_s=5))


@pytest.fixture
def domain() -> Iterator[object]:
    connection = libvirt.open("test:///default")
    yield connection.lookupByName("test")
    connection.close()


def test_a_host_says_what_it_is(driver: LibvirtDriver) -> None:
    info = driver.describe()
    assert (info.hypervisor_type, info.vcpus) == ("TEST", 16)
    assert info.pools[0].name == "default-pool"


def test_a_host_lists_its_guests_and_finds_each(driver: LibvirtDriver) -> None:
    (guest,) = driver.list_guests()
    assert guest.power_state is PowerState.RUNNING
    assert driver.find_guest(guest.uuid) == guest


def test_a_guest_that_is_not_defined_is_not_found(driver: LibvirtDriver) -> None:
    assert driver.find_guest(UUID(int=7)) is None


def test_a_host_that_refuses_the_connection_is_unavailable_and_named() -> None:
    with pytest.raises(HypervisorUnavailable, match="node9"):
        LibvirtDriver(NOBODY, LOOKING, Settings()).describe()


def test_an_answer_that_does_not_come_in_time_is_a_host_that_is_not_there() -> None:
    asked = threading.Event()
    with pytest.raises(HypervisorUnavailable, match=r"0\.2 s"):
        HostSession(HOST, Settings(timeout_s=0.2)).ask("describe", lambda connection: asked.wait(2))


def test_a_change_that_does_not_end_in_time_has_an_unknown_outcome() -> None:
    asked = threading.Event()
    with pytest.raises(HypervisorTimeout, match="confirm"):
        HostSession(HOST, Settings(timeout_s=0.2), Trusting()).ask(
            "confirm", lambda connection: asked.wait(2), changes=True
        )


def test_a_change_on_a_connection_that_breaks_has_an_unknown_outcome() -> None:
    def breaks(connection: object) -> None:
        raise broken("internal error: client socket is closed")

    with pytest.raises(HypervisorTimeout):
        HostSession(HOST, Settings(), Trusting()).ask("confirm", breaks, changes=True)
    with pytest.raises(HypervisorUnavailable):
        HostSession(HOST, Settings()).ask("describe", breaks)


def broken(message: str) -> object:
    error = libvirt.libvirtError(message)
    error.err = (libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_FROM_NONE, message, 2, None, None, None, 0, 0)
    return error


def test_what_a_host_refuses_is_a_fault_with_its_words(driver: LibvirtDriver) -> None:
    with pytest.raises(DriverFault, match="node1 refused"):
        driver.session.ask("anything", lambda connection: connection.lookupByName("nobody"), changes=True)


def test_a_slow_host_is_in_nobodys_way(driver: LibvirtDriver) -> None:
    slow = HostSession(HostRef("slow", "libvirt", "test:///default?slow"), Settings(timeout_s=3))
    busy = threading.Thread(target=lambda: slow.ask("describe", lambda connection: time.sleep(1)))
    busy.start()
    started = time.monotonic()
    driver.describe()
    assert time.monotonic() - started < 0.9
    busy.join()


class Line:
    """A connection that can die."""

    alive = True

    def isAlive(self) -> bool:
        return self.alive


def test_a_dead_connection_is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("servers.drivers.libvirt.connections.connect", lambda uri: Line())
    first = CONNECTIONS.get("qemu:///dies")
    assert CONNECTIONS.get("qemu:///dies") is first
    first.alive = False
    assert CONNECTIONS.get("qemu:///dies") is not first


def test_a_definition_is_read(driver: LibvirtDriver) -> None:
    tree = definitions.parse(DOMAIN)
    assert [(d.device, d.path, d.format) for d in definitions.disks(tree)] == [
        ("vda", "/pool/web.qcow2", "qcow2")
    ]
    assert [(n.mac, n.network) for n in definitions.nics(tree)] == [("52:54:00:00:00:01", "blue")]
    assert (definitions.memory_mb(tree), definitions.vcpus(tree)) == (512, 2)
    assert definitions.has_agent(tree, running=False)
    assert not definitions.has_agent(tree, running=True)


@pytest.mark.parametrize(
    ("device", "reason"),
    [
        ("<hostdev mode='subsystem' type='pci'/>", "host device"),
        ("<filesystem type='mount'/>", "folder"),
        ("<interface type='direct'><source dev='eth0'/></interface>", "direct"),
        ("<disk device='cdrom'><source file='/iso'/></disk>", "cdrom"),
    ],
)
def test_a_device_that_binds_a_guest_to_its_host_is_named(device: str, reason: str) -> None:
    assert unmovable(definitions.parse(DOMAIN)) == ""
    assert reason in unmovable(definitions.parse(DOMAIN.replace("</devices>", f"{device}</devices>")))


class Domain:
    """A domain as libvirt describes it, of which something is or is not kept on its host."""

    def __init__(self, *, persistent: bool = True, saved: bool = False, snapshots: int = 0) -> None:
        self.persistent, self.saved, self.snapshots = persistent, saved, snapshots

    def isPersistent(self) -> bool:
        return self.persistent

    def hasManagedSaveImage(self) -> bool:
        return self.saved

    def snapshotNum(self) -> int:
        return self.snapshots


@pytest.mark.parametrize(
    ("domain", "more", "reason"),
    [
        (Domain(persistent=False), "", "virsh define"),
        (Domain(saved=True), "", "managedsave-remove"),
        (Domain(snapshots=1), "", "snapshot-delete"),
        (Domain(), "<devices><tpm><backend type='emulator'/></tpm></devices>", "TPM"),
        (Domain(), "<os><nvram>/var/lib/libvirt/qemu/nvram/web.fd</nvram></os>", "UEFI variables"),
    ],
)
def test_what_would_stay_behind_when_a_guest_moves_while_it_is_off_is_named(
    domain: Domain, more: str, reason: str
) -> None:
    assert left_behind(Domain(), definitions.parse("<domain/>")) == ""
    assert reason in left_behind(domain, definitions.parse(f"<domain>{more}</domain>"))


def test_a_definition_cannot_read_files_of_the_server(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("swordfish")
    xml = f'<!DOCTYPE d [<!ENTITY e SYSTEM "{secret.as_uri()}">]><domain><name>&e;</name></domain>'
    assert definitions.parse(xml).findtext("name") != "swordfish"


def test_a_mark_comes_back_as_it_was_written(domain: object) -> None:
    flags = libvirt.VIR_DOMAIN_AFFECT_CONFIG
    metadata = domain_metadata.of_move(Direction.OUTGOING, NOBODY, str(OWNER), was_running=True)
    domain_metadata.write(domain, metadata, flags)
    assert domain_metadata.read(domain, flags) == metadata
    domain_metadata.write(domain, None, flags)
    domain_metadata.write(domain, None, flags)
    assert domain_metadata.read(domain, flags) is None


def test_a_mark_is_replaced_in_a_definition() -> None:
    tree = definitions.parse(DOMAIN)
    for way in (Direction.OUTGOING, Direction.INCOMING):
        domain_metadata.into(tree, domain_metadata.of_move(way, NOBODY, str(OWNER)))
    found = tree.findall(f"metadata/{{{domain_metadata.NAMESPACE}}}move")
    assert [metadata.get("way") for metadata in found] == ["from"]


OLD_MARKS = {
    "live": "<move way='live' host='node9' uri='u' post_copy='yes'/>",
    "to": "<move way='to' host='node9' uri='u' was_running='yes' autostart='yes'/>",
    "from": "<move way='from' host='node9' uri='u'/>",
}
"""As older versions wrote them: they name no migration."""


@pytest.mark.parametrize("way", OLD_MARKS)
def test_a_mark_of_an_older_version_is_read_and_belongs_to_whoever_asks(domain: object, way: str) -> None:
    flags = libvirt.VIR_DOMAIN_AFFECT_CONFIG
    kind = libvirt.VIR_DOMAIN_METADATA_ELEMENT
    domain.setMetadata(kind, OLD_MARKS[way], domain_metadata.PREFIX, domain_metadata.NAMESPACE, flags)
    metadata = domain_metadata.read(domain, flags)
    domain_metadata.write(domain, None, flags)
    assert metadata is not None
    assert (metadata.way, metadata.host, metadata.migration, metadata.owner) == (way, "node9", "", "")
    assert metadata.is_ours(Direction(way), str(OWNER))
    assert (metadata.post_copy, metadata.was_running) == (way == "live", way == "to")


def test_a_mark_that_nobody_can_read_is_no_mark_of_ours(domain: object) -> None:
    flags = libvirt.VIR_DOMAIN_AFFECT_CONFIG
    strange = OLD_MARKS["to"].replace("'to'", "'sideways'")
    domain.setMetadata(
        libvirt.VIR_DOMAIN_METADATA_ELEMENT, strange, domain_metadata.PREFIX, domain_metadata.NAMESPACE, flags
    )
    with pytest.raises(DriverFault, match="cannot be read"):
        domain_metadata.read(domain, flags)
    assert domain_metadata.within(definitions.parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))) is None
    domain_metadata.write(domain, None, flags)


def test_a_move_that_is_over_has_no_owner() -> None:
    metadata = domain_metadata.of_move(Direction.OUTGOING, NOBODY, str(OWNER))
    assert (metadata.owner, metadata.ended(str(OWNER)).owner) == (str(OWNER), "")


def test_a_guest_that_is_found_says_to_which_move_it_belongs(driver: LibvirtDriver) -> None:
    (guest,) = driver.list_guests()
    assert guest.owner == ""
    metadata = domain_metadata.of_move(Direction.INCOMING, NOBODY, str(OWNER))

    def write(connection: object, content: object) -> None:
        domain = connection.lookupByUUIDString(str(guest.uuid))
        domain_metadata.write(domain, content, domain_metadata.everywhere(domain))

    driver.session.ask("metadata", lambda connection: write(connection, metadata), changes=True)
    found = driver.find_guest(guest.uuid)
    listed = driver.list_guests()
    driver.session.ask("metadata", lambda connection: write(connection, None), changes=True)
    assert found is not None
    assert [found.owner, *(g.owner for g in listed)] == [str(OWNER)] * 2


OLD_NOTE = {
    "guest": "11111111-2222-4333-8444-555555555555",
    "role": "copied",
    "host": "node1",
    "uri": "u",
    "version": "1.2",
    "sha256": "ab",
    "target": "",
    "stage": "complete",
    "consistent": False,
}
"""As older versions wrote them: they name no owner."""


def test_a_note_of_an_older_version_is_read_and_has_no_owner() -> None:
    sidecar = volume_sidecar.parse(json.dumps(OLD_NOTE).encode().ljust(volume_sidecar.SIZE_BYTES))
    assert sidecar is not None
    assert (sidecar.role, sidecar.version, sidecar.owner) == (volume_sidecar.Role.COPIED, "1.2", "")


def test_a_note_comes_back_as_it_was_written() -> None:
    sidecar = volume_sidecar.of_disk(
        NEW, volume_sidecar.Role.BACKUP, NOBODY, str(OWNER), target="/x", attempt=volume_sidecar.attempt()
    )
    assert (
        volume_sidecar.parse(json.dumps(asdict(sidecar)).encode().ljust(volume_sidecar.SIZE_BYTES)) == sidecar
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ODD_NOTES = st.dictionaries(st.sampled_from([*OLD_NOTE, "owner", "attempt"]), JSON).map(
    lambda odd: json.dumps({**OLD_NOTE, **odd}).encode()
)


@given(st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()) | ODD_NOTES)
def test_whatever_lies_beside_a_disk_is_a_note_or_none(content: bytes) -> None:
    sidecar = volume_sidecar.parse(content)
    assert sidecar is None or isinstance(sidecar.guest + sidecar.owner + sidecar.uri, str)


def test_a_directory_is_shared_only_where_the_deployment_says_so() -> None:
    connection = libvirt.open("test:///default")
    (found,) = connection.listAllStoragePools()
    assert not pool(found, frozenset()).shared
    declared = pool(found, frozenset({"default-pool"}))
    assert declared.shared
    assert declared.identity == "shared:default-pool"
    connection.close()


def test_a_uri_that_a_host_has_noted_is_not_opened_unless_it_is_one_of_ours() -> None:
    noted = HostRef("node2", "libvirt", "qemu+ext:///system?command=/bin/false")
    with pytest.raises(DriverFault, match="node2"):
        HostSession(HOST, Settings()).at_sidecar(noted)
    assert HostSession(HOST, Settings(knows=lambda uri: uri == noted.uri)).at_sidecar(noted).ref == noted


def test_progress_is_in_bytes() -> None:
    now = progress({"memory_total": 10, "memory_dirty_rate": 3, "memory_page_size": 4096, "disk_bps": 5})
    assert (now.memory_total_bytes, now.dirty_rate_bytes_s, now.rate_bytes_s) == (10, 12288, 5)


def test_the_conductor_finds_the_driver_by_its_name() -> None:
    with override_settings(LIBVIRT_TIMEOUT_S=7.0, LIBVIRT_SHARED_POOLS=["nfs"]):
        driver = driver_of(replace(HOST, name="rack 7"))
    assert isinstance(driver, LibvirtDriver)
    assert driver.session.settings.timeout_s == 7
    assert driver.session.settings.shared_pools == {"nfs"}


# ------------------------------------------------------------------------- backups, and guests made of them

SAVED = """
<domain type='kvm' id='7'><name>web</name><uuid>11111111-2222-4333-8444-555555555555</uuid><genid>x</genid>
 <metadata><g:move xmlns:g='urn:gantry:move' way='live' host='n' uri='u'/></metadata>
 <sysinfo type='smbios'><system><entry name='uuid'>11111111-2222-4333-8444-555555555555</entry></system></sysinfo>
 <os><type>hvm</type><nvram>/var/lib/libvirt/qemu/nvram/web_VARS.fd</nvram></os>
 <devices>
  <disk type='block' device='disk'><driver name='qemu' type='raw' io='native'/><source dev='/dev/vg/web'/>
   <backingStore/><target dev='vda' bus='virtio'/><serial>S1</serial></disk>
  <disk type='file' device='disk'><source file='/pool/data.qcow2'/><target dev='vdb'/></disk>
  <disk type='file' device='cdrom'><source file='/iso/debian.iso'/><target dev='sda'/><readonly/></disk>
  <interface type='network'><mac address='52:54:00:00:00:01'/><source network='blue'/><target dev='vnet3'/></interface>
  <hostdev mode='subsystem' type='pci'/>
  <serial type='file'><source path='/var/log/web.log'/><target port='0'/></serial>
 </devices>
</domain>"""
NEW = Guest(
    UUID("99999999-2222-4333-8444-555555555555"),
    "instance-2",
    2,
    512,
    nics=(Nic("52:54:00:00:00:99", "blue"),),
)


def test_a_new_definition_has_nothing_of_the_saved_guest_that_two_cannot_have() -> None:
    text = new_definition(SAVED, NEW, "qemu", "vda", "/pool/new.qcow2")
    for of_the_saved_one in (
        "11111111",
        "52:54:00:00:00:01",
        "VARS",
        "web",
        "vdb",
        "iso",
        "hostdev",
        "vnet3",
    ):
        assert of_the_saved_one not in text
    assert "urn:gantry:move" not in text and "S1" not in text


def test_a_new_definition_is_what_the_saved_guest_was() -> None:
    tree = definitions.parse(new_definition(SAVED, NEW, "qemu", "vda", "/pool/new.qcow2"))
    assert (tree.get("type"), tree.findtext("name"), tree.findtext("uuid")) == (
        "qemu",
        NEW.name,
        str(NEW.uuid),
    )
    assert [(d.device, d.path, d.format) for d in definitions.disks(tree)] == [
        ("vda", "/pool/new.qcow2", "qcow2")
    ]
    assert list(definitions.nics(tree)) == list(NEW.nics)
    assert tree.find("devices/disk[@device='cdrom']") is not None


@pytest.mark.parametrize("saved", ["", "<domain/>", SAVED.replace("'vda'", "'sdz'")])
def test_a_definition_that_is_of_no_use_is_refused(saved: str) -> None:
    with pytest.raises(RestoreFailed):
        new_definition(saved, NEW, "qemu", "vda", "/pool/new.qcow2")


class Agent:
    """A domain whose agent answers with errors of libvirt's, by verb; it counts what it is asked."""

    def __init__(self, **errors: int) -> None:
        self.errors = errors
        self.asked: list[str] = []

    def __getattr__(self, verb: str) -> Callable[..., int]:
        def ask(*_: object) -> int:
            self.asked.append(verb)
            if verb in self.errors:
                error = libvirt.libvirtError(verb)
                error.err = (self.errors[verb], libvirt.VIR_FROM_QEMU, "no", 2, "", "", "", 0, 0)
                raise error
            return 1

        return ask


def test_an_agent_that_does_not_answer_is_not_asked_to_freeze() -> None:
    assert not freezing.can_freeze(Agent(getTime=libvirt.VIR_ERR_AGENT_UNRESPONSIVE))
    assert freezing.can_freeze(Agent(getTime=libvirt.VIR_ERR_INTERNAL_ERROR))  # it answers, and has no clock


def test_a_guest_is_thawed_when_what_was_done_meanwhile_fails() -> None:
    agent = Agent()
    with pytest.raises(ZeroDivisionError), freezing.frozen(agent) as frozen:
        assert frozen
        1 / 0  # noqa: B018
    assert agent.asked[-1] == "fsThaw"


def test_an_agent_that_refuses_to_freeze_makes_no_backup_fail() -> None:
    agent = Agent(fsFreeze=libvirt.VIR_ERR_INTERNAL_ERROR)
    with freezing.frozen(agent) as frozen:
        assert not frozen
    assert "fsThaw" not in agent.asked


def test_an_agent_that_falls_silent_while_it_freezes_is_asked_to_thaw() -> None:
    agent = Agent(fsFreeze=libvirt.VIR_ERR_AGENT_UNRESPONSIVE)
    with pytest.raises(libvirt.libvirtError), freezing.frozen(agent):
        pass
    assert agent.asked[-1] == "fsThaw"


def test_a_guest_that_is_not_thawed_is_said_to_be_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freezing, "THAW_AGAIN_S", 0)
    agent = Agent(fsThaw=libvirt.VIR_ERR_AGENT_UNRESPONSIVE)
    with pytest.raises(DriverFault, match="may be frozen"):
        freezing.thaw(agent)
    assert agent.asked.count("fsThaw") == freezing.THAW_TRIES


def test_a_file_that_is_no_qcow2_is_no_backup(tmp_path: Path) -> None:
    if shutil.which("qemu-img") is None:
        pytest.skip("qemu-img is not installed")
    (tmp_path / "image").write_bytes(b"x" * 4096)
    with pytest.raises(BackupFailed, match="qemu-img check"):
        fetching.check(tmp_path / "image")
