"""The lab as the contract of the drivers wants it: two hosts with local disks and a guest that counts."""

from __future__ import annotations

import hashlib
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from uuid import UUID

import libvirt

from servers.drivers.base import Disk, Fence, Guest, HostRef, MoveOptions, Nic
from servers.drivers.libvirt import LibvirtDriver, Settings
from tests.drivers.fences import Trusting
from tests.lab.certificates import give_to_qemu, make_authority, make_server_certificate
from tests.lab.hosts import NUMBER, LabHost, make_bridge, remove_bridge, run, wait_for

MIB = 1024**2
IMAGES = "/var/lib/libvirt/images"
READY_S = 60
EVERYTHING = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
)
OURS = tuple(f"qemu+{transport}://10.{NUMBER}." for transport in ("tcp", "tls"))
SETTINGS = Settings(timeout_s=15, shutdown_s=20, knows=lambda uri: uri.startswith(OURS))

POOL = f"<pool type='dir'><name>default</name><target><path>{IMAGES}</path></target></pool>"
DOMAIN = """\
<domain type='qemu'>
  <name>{name}</name><uuid>{uuid}</uuid>
  <memory unit='MiB'>{memory_mb}</memory><vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{boot}/vmlinuz</kernel><initrd>{boot}/initrd.gz</initrd>
    <cmdline>console=ttyS0 quiet panic=-1</cmdline>
  </os>
  <features><acpi/></features>
  <on_reboot>destroy</on_reboot><on_crash>destroy</on_crash>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' cache='none'/><source file='{disk}'/><target dev='vda' bus='virtio'/>
    </disk>
    <interface type='bridge'><mac address='{mac}'/><source bridge='br0'/><model type='virtio'/></interface>
    <serial type='file'><source path='/var/lib/libvirt/serial.log' append='on'/><target port='0'/></serial>
    <serial type='pty'><target port='1'/></serial>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <memballoon model='virtio'/>
  </devices>
</domain>
"""
GUEST = Guest(
    uuid=UUID("11111111-2222-4333-8444-555555555555"),
    name="web",
    vcpus=1,
    memory_mb=128,
    disks=(Disk("vda", f"{IMAGES}/web.qcow2", "default", 64 * MIB, 0),),
    nics=(Nic("52:54:00:00:00:01", "br0", ("192.0.2.10/24",), "192.0.2.1"),),
)


class LibvirtLab:
    """node1 and node2, and a guest of 128 MiB that counts on its console."""

    guest = GUEST
    slow = MoveOptions(bandwidth_mib_s=15)

    def __init__(self, state: Path, boot: Path, hosts: int = 2) -> None:
        self.state, self.boot = state, boot
        self.hosts = [LabHost(state, number) for number in range(1, hosts + 1)]
        self.source, self.destination = (self.ref(host) for host in self.hosts[:2])

    @staticmethod
    def ref(host: LabHost) -> HostRef:
        return HostRef(host.name, "libvirt", host.uri, "qemu")

    def host(self, ref: HostRef) -> LabHost:
        return next(host for host in self.hosts if host.name == ref.name)

    # the machine room

    def up(self) -> None:
        """Start the hosts, which are joined already, and make the guest's disk."""
        make_authority(self.hosts[0].pki)
        for host in self.hosts:
            make_server_certificate(host.pki, host.name, host.address)
            give_to_qemu(host.pki, host.name, host.qemu_pki)
            host.start()
            with self.connected(host) as connection:
                pool = connection.storagePoolDefineXML(POOL)
                pool.setAutostart(1)
                pool.create()
        content = self.state / "content"
        content.mkdir()
        (content / "data").write_bytes(bytes(range(1, 256)) * 16_000)
        raw = self.state / "web.raw"
        run("truncate", "-s", "64M", raw)
        run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", "-d", content, raw)
        run("qemu-img", "convert", "-O", "qcow2", raw, self.state / "web.qcow2")

    def down(self) -> None:
        """Stop everything that the lab has started."""
        for host in self.hosts:
            host.crash()
        remove_bridge()

    def connected(self, host: LabHost) -> Connected:
        return Connected(host.uri)

    def clear(self) -> None:
        """Bring both hosts back to having no guest and no disk."""
        for host in self.hosts:
            if host.outer is None:
                host.start()
            host.heal()
            if not host.has_libvirtd():
                host.start_libvirtd()
            wait_for(f"libvirtd of {host.name}", host.answers)
            with self.connected(host) as connection:
                for domain in connection.listAllDomains():
                    for remove in (domain.destroy, partial(domain.undefineFlags, EVERYTHING)):
                        with suppress(libvirt.libvirtError):  # it was off, or is gone by itself
                            remove()
                wait_for("no guest is left", lambda: not connection.listAllDomains())
                (host.folder / "lib" / "serial.log").write_text("")
                for file in host.images.iterdir():
                    file.unlink()
                connection.storagePoolLookupByName("default").refresh()

    def boot_guest(self) -> None:
        """Boot the guest on the first host once, and put it to sleep: every test wakes it up from there."""
        host = self.host(self.source)
        self.put_disk(self.state / "web.qcow2")
        with self.connected(host) as connection:
            definition = DOMAIN.format(
                name=GUEST.name,
                uuid=GUEST.uuid,
                memory_mb=GUEST.memory_mb,
                boot=self.boot,
                disk=GUEST.disks[0].path,
                mac=GUEST.nics[0].mac,
            )
            domain = connection.defineXML(definition)
            domain.create()
            wait_for("the guest", lambda: len(self.beats(self.source)) > 1, READY_S, 0.1)
            self.definition = definition
            domain.save(str(self.state / "asleep"))
            run("cp", "--sparse=always", host.images / "web.qcow2", self.state / "asleep.qcow2")

    def wake_guest(self) -> None:
        """Let the guest run on the first host, as it was when it had just booted."""
        self.put_disk(self.state / "asleep.qcow2")
        with self.connected(self.host(self.source)) as connection:
            connection.defineXML(self.definition)
            connection.restore(str(self.state / "asleep"))
        wait_for("the guest", lambda: self.beats(self.source), READY_S, 0.1)

    def put_disk(self, file: Path) -> None:
        """Lay the guest's disk into the pool of the first host."""
        host = self.host(self.source)
        run("cp", "--sparse=always", file, host.images / "web.qcow2")
        with self.connected(host) as connection:
            connection.storagePoolLookupByName("default").refresh()

    # the guest's side

    def serial(self, ref: HostRef) -> str:
        """Return what the guest has printed while it was on a host."""
        return (self.host(ref).folder / "lib" / "serial.log").read_text(errors="replace")

    def beats(self, ref: HostRef) -> list[int]:
        """Return the heartbeats that were counted on a host."""
        return [int(n) for n in re.findall(r"^HB (\d+)\r?$", self.serial(ref), re.MULTILINE)]

    def heartbeat(self) -> int:
        """Return the next beat, from whichever host it comes; 0 when it is silent for as long as a boot may take."""
        refs = [self.ref(host) for host in self.hosts]
        before = {ref.name: len(self.beats(ref)) for ref in refs}
        end = time.monotonic() + READY_S
        while time.monotonic() < end:
            for ref in refs:
                beats = self.beats(ref)
                if len(beats) > before[ref.name]:
                    return beats[-1]
            time.sleep(0.1)
        return 0

    def beating(self, seconds: float = 2.5) -> list[str]:
        """Return the hosts on which the guest was heard within so many seconds."""
        refs = [self.ref(host) for host in self.hosts]
        before = {ref.name: len(self.beats(ref)) for ref in refs}
        time.sleep(seconds)
        return [ref.name for ref in refs if len(self.beats(ref)) > before[ref.name]]

    def is_beating(self) -> bool:
        return bool(self.beating())

    def disk_md5(self, host: HostRef, guest: UUID | None = None) -> str | None:
        """Return the md5 sum of what the guest sees on its disk there."""
        file = self.host(host).images / ("web.qcow2" if guest is None else f"{guest}.qcow2")
        if not file.exists():
            return None
        raw = self.state / f"{host.name}.raw"
        run("qemu-img", "convert", "-U", "-O", "raw", file, raw)
        return hashlib.md5(raw.read_bytes()).hexdigest()

    def make_busy(self) -> None:
        """Let the guest rewrite 32 MiB of its memory for ever."""
        with self.connected(self.host(self.source)) as connection:
            stream = connection.newStream()
            connection.lookupByName(GUEST.name).openConsole("serial1", stream)
            stream.send(b"32\n")
            wait_for("the guest is busy", lambda: "BUSY" in self.serial(self.source), READY_S)
            stream.abort()

    def driver(self, host: HostRef, fence: Fence | None = None) -> LibvirtDriver:
        return LibvirtDriver(host, fence or Trusting(), SETTINGS)

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)


class Connected:
    """A connection of the test's own, apart from the driver's."""

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def __enter__(self) -> libvirt.virConnect:
        self.connection = libvirt.open(self.uri)
        return self.connection

    def __exit__(self, *exception: object) -> None:
        self.connection.close()


def staged(state: Path, boot: Path) -> Iterator[LibvirtLab]:
    """Yield a lab that is up; whatever happens it is taken down again."""
    lab = LibvirtLab(state, boot)
    state.mkdir(parents=True, exist_ok=True)
    make_bridge(state, lab.hosts)  # refused where another lab has it: then nothing of that one is taken down
    try:
        lab.up()
        lab.boot_guest()
        yield lab
    finally:
        lab.down()


def build_boot_files(folder: Path) -> None:
    """Build the guest's kernel and initramfs unless they are there."""
    if not (folder / "initrd.gz").exists():
        subprocess.run([Path(__file__).parent / "guest" / "build.sh", folder], check=True)
