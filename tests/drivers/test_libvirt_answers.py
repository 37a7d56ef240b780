"""What libvirt answers: what cannot be read or kept is nobody's fate, and one odd guest hides none of the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

libvirt = pytest.importorskip("libvirt", reason="libvirt-python is not installed: make libvirt")

from servers.drivers import limits  # noqa: E402
from servers.drivers.base import FoundGuest, HostRef, JobKind, Progress  # noqa: E402
from servers.drivers.libvirt import LibvirtDriver, Settings, describing, job, listing, pools  # noqa: E402
from servers.drivers.libvirt.errors import Unreadable, ignore_libvirt_errors  # noqa: E402
from servers.drivers.libvirt.host_session import HostSession  # noqa: E402
from servers.errors import DriverFault, Fault, HypervisorTimeout, HypervisorUnavailable  # noqa: E402
from servers.models import Host, NetworkInterface, Server, ServerDisk, StoragePool  # noqa: E402
from servers.states import PowerState  # noqa: E402
from tests.drivers.fences import Trusting  # noqa: E402
from tests.drivers.storable import storable  # noqa: E402

HOST = HostRef("node1", "libvirt", "test:///default", "test")
SOUND = """<domain type='kvm'><name>{name}</name><memory unit='KiB'>524288</memory><vcpu>2</vcpu><devices>
 <disk type='file' device='disk'><driver type='qcow2'/><source file='/pool/{name}.qcow2'/><target dev='vda'/></disk>
 <interface type='network'><mac address='52:54:00:00:00:01'/><source network='blue'/></interface>
</devices></domain>"""


def error(code: int, text: str = "no", domain: int = 0) -> Any:
    made = libvirt.libvirtError("")
    made.err = (code, domain, text, 2, "", "", "", 0, 0)
    return made


CLOSED = error(libvirt.VIR_ERR_INTERNAL_ERROR, "client socket is closed")
BUSY = error(libvirt.VIR_ERR_OPERATION_TIMEOUT, "cannot acquire state change lock")
GONE = error(libvirt.VIR_ERR_NO_DOMAIN, "Domain not found")


class Domain:
    """A domain that answers what it is given, or raises it."""

    def __init__(self, number: int = 1, **answers: Any) -> None:
        self.number = number
        name = f"guest{number}"
        self.answers = {
            "name": name,
            "state": [libvirt.VIR_DOMAIN_RUNNING, 0],
            "isActive": 1,
            "jobStats": {"type": libvirt.VIR_DOMAIN_JOB_NONE},
            "XMLDesc": SOUND.format(name=name),
            "blockInfo": [1024**3, 4096, 4096],
            "metadata": error(libvirt.VIR_ERR_NO_DOMAIN_METADATA),
            **answers,
        }

    def UUIDString(self) -> str:
        return str(UUID(int=self.number))

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        answer = self.answers[verb]

        def say(*_: Any) -> Any:
            found = answer() if callable(answer) else answer
            if isinstance(found, Exception):
                raise found
            return found

        return say


class Connection:
    """A connection to a host with these domains, whose disks lie in no pool."""

    def __init__(self, *domains: Domain) -> None:
        self.domains = domains

    def listAllDomains(self) -> list[Domain]:
        return list(self.domains)

    def lookupByUUIDString(self, uuid: str) -> Domain:
        return next((d for d in self.domains if d.UUIDString() == uuid), None) or self._missing()

    def _missing(self) -> Any:
        raise GONE

    def storageVolLookupByPath(self, path: str) -> Any:
        raise error(libvirt.VIR_ERR_NO_STORAGE_VOL)

    def storagePoolLookupByName(self, name: str) -> Any:
        raise error(libvirt.VIR_ERR_NO_STORAGE_POOL)


def listed(*domains: Domain) -> dict[int, FoundGuest]:
    return {guest.uuid.int: guest for guest in listing.all_guests(Connection(*domains), "node1")}


def require_kept(guest: FoundGuest) -> None:
    """Fail unless a guest can be recorded, in every database."""
    facts = asdict(guest) | {"uuid": "", "power_state": int(guest.power_state)}
    assert storable(facts)
    assert len(guest.name) <= limits.NAME and len(guest.unread) <= 500
    assert guest.memory_mb <= limits.AMOUNT and guest.vcpus <= limits.AMOUNT
    for disk in guest.disks:
        assert len(disk.device) <= limits.DEVICE and len(disk.path) <= limits.PATH
        assert len(disk.format) <= limits.FORMAT and len(disk.pool) <= limits.NAME
        assert 0 <= disk.used_bytes <= limits.BYTES and 0 <= disk.size_bytes // pools.GIB <= limits.AMOUNT
    for nic in guest.nics:
        assert len(nic.mac) <= limits.MAC and len(nic.network) <= limits.NAME


# --------------------------------------------------------------------------------------------- odd guests

WORD = st.one_of(
    st.text(st.characters(), max_size=20),
    st.integers().map(str),
    st.sampled_from(["", "-1", "1e9", "0x10", "99999999999999999999999", "9" * 5000, "NaN", "٣", "x" * 2000]),
    st.sampled_from(["a\0b", "\ud800", "😀" * 100, "n" * 256, "\x1b[2J", "file", "vda", "block"]),
)


def element(tag: str, /, *children: st.SearchStrategy[str], **attributes: st.SearchStrategy[str]) -> Any:
    """Return a strategy of an element, without any of its attributes and children now and then."""
    chosen = st.fixed_dictionaries({}, optional=dict(attributes))
    content = st.tuples(*[st.just("") | child for child in children]).map("".join)
    return st.builds(
        lambda found, inner: (
            f"<{tag} {' '.join(f'{k}={quoted(v)}' for k, v in found.items())}>{inner}</{tag}>"
        ),
        chosen,
        content,
    )


def quoted(text: str) -> str:
    return '"' + text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;") + '"'


def leaf(name: str) -> st.SearchStrategy[str]:
    return WORD.map(lambda word: f"<{name}>{quoted(word)[1:-1]}</{name}>")


DISK = element(
    "disk",
    element("source", file=WORD, dev=WORD, pool=WORD, volume=WORD),
    element("target", dev=WORD),
    element("driver", type=WORD),
    device=st.just("disk") | WORD,
)
NIC = element(
    "interface", element("mac", address=WORD), element("source", network=WORD, bridge=WORD, dev=WORD)
)
CHANNEL = element("channel", element("target", name=st.just("org.qemu.guest_agent.0") | WORD, state=WORD))
DEFINITION = st.one_of(
    element("domain", leaf("memory"), leaf("vcpu"), element("devices", DISK, DISK, NIC, CHANNEL)),
    st.text(st.characters(), max_size=50),
    st.sampled_from(["", "<domain/>", "<domain>", "<a>" * 100_000, "<a>" * 500 + "</a>" * 500]),
    st.just("<?xml version='1.0' encoding='latin-1'?><domain/>"),
    st.just("<!DOCTYPE d [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><domain><memory>&e;</memory></domain>"),
    st.none() | st.integers() | st.binary(),
)
NUMBER = (
    st.integers() | st.floats() | st.none() | st.text(max_size=5) | st.sampled_from([2**64 - 1, -1, 2**31])
)
STATISTICS = st.one_of(
    st.none() | st.integers() | st.lists(NUMBER),
    st.dictionaries(st.sampled_from(["type", "operation", "memory_total", "disk_bps"]), NUMBER),
)
RAISED = st.sampled_from(
    [
        BUSY,
        error(libvirt.VIR_ERR_INTERNAL_ERROR),
        error(libvirt.VIR_ERR_OPERATION_INVALID),
        error(9999),
        Unreadable("odd"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    ]
)
ODD = st.fixed_dictionaries(
    {},
    optional={
        "XMLDesc": DEFINITION | RAISED,
        "name": st.text(st.characters(), max_size=300) | RAISED.filter(lambda e: isinstance(e, UnicodeError)),
        "state": st.lists(NUMBER, max_size=3) | RAISED.filter(lambda e: not isinstance(e, UnicodeError)),
        "jobStats": STATISTICS | RAISED.filter(lambda e: not isinstance(e, UnicodeError)),
        "blockInfo": st.lists(NUMBER, max_size=4) | RAISED,
        "metadata": DEFINITION | RAISED.filter(lambda e: not isinstance(e, UnicodeError)),
    },
)


@given(odd=ODD)
@example(odd={"XMLDesc": SOUND.format(name="x" * 2000)})
@example(odd={"XMLDesc": SOUND.format(name="a").replace("524288", "-5")})
@example(odd={"XMLDesc": SOUND.format(name="a").replace("524288", str(2**64))})
@example(odd={"jobStats": {"type": 2, "operation": 7}, "metadata": "<move way='odd'/>"})
@example(odd={"name": "a\0b"})
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=300)
def test_one_odd_guest_keeps_none_of_the_others_from_being_told(odd: dict[str, Any]) -> None:
    sound, last = Domain(1), Domain(3)
    found = listed(sound, Domain(2, **odd), last)
    assert set(found) == {1, 2, 3}
    for number in (1, 3):
        assert found[number] == describing.found_guest(Connection(), Domain(number))
        assert not found[number].unread
    require_kept(found[2])


@given(odd=ODD)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=200)
def test_an_odd_guest_is_found_or_its_host_does_not_say(odd: dict[str, Any]) -> None:
    session = HostSession(HOST, Settings(timeout_s=5))
    try:
        found = session.ask("find_guest", lambda _: describing.seen_guest(Connection(), Domain(2, **odd)))
    except HypervisorUnavailable as fault:
        assert storable(str(fault))
    else:
        require_kept(found)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("<memory unit='KiB'>524288</memory>", ""), "memory"),
        (("524288", "-5"), "memory"),
        (("524288", "much"), "memory"),
        (("524288", str(2**63)), "memory"),
        (("<vcpu>2", "<vcpu>two"), "processors"),
        (("/pool/", "/" + "p" * 1024), "path"),
        (("vda", "v" * 33), "disk"),
        (("52:54:00:00:00:01", "52:54:00:00:00:01:02"), "hardware address"),
        (("blue", "b" * 256), "network"),
        (("</domain>", ""), "no XML"),
    ],
)
def test_a_guest_that_cannot_be_kept_is_told_with_the_reason(change: tuple[str, str], why: str) -> None:
    (found,) = listed(Domain(1, XMLDesc=SOUND.format(name="web").replace(*change))).values()
    assert why in found.unread
    assert (found.name, found.power_state, found.disks) == ("guest1", PowerState.RUNNING, ())


def test_a_guest_in_a_state_that_is_newer_than_this_runs_when_it_has_a_process() -> None:
    assert listed(Domain(1, state=[99, 0]))[1].power_state is PowerState.RUNNING
    assert listed(Domain(1, state=[99, 0], isActive=0))[1].power_state is PowerState.SHUTDOWN


def test_a_guest_that_goes_while_it_is_looked_at_is_not_told() -> None:
    for verb in ("state", "XMLDesc"):
        assert set(listed(Domain(1), Domain(2, **{verb: GONE}))) == {1}


def test_a_connection_that_breaks_is_no_odd_guest() -> None:
    for verb in ("state", "jobStats", "XMLDesc", "blockInfo"):
        with pytest.raises(libvirt.libvirtError):
            listed(Domain(1), Domain(2, **{verb: CLOSED}))


def test_a_guest_that_hangs_keeps_the_others_waiting_for_a_moment_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listing, "LATE_S", 0.1)
    released = threading.Event()
    hang = {"jobStats": lambda: released.wait(10) and {}}
    started = time.monotonic()
    found = listed(Domain(1), Domain(2, **hang), Domain(3))
    assert time.monotonic() - started < 2
    assert [bool(found[number].unread) for number in (1, 2, 3)] == [False, True, False]
    assert found[2].power_state is PowerState.RUNNING
    released.set()


def test_where_many_hang_the_least_is_told_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "LATE_S", 0.1)
    released = threading.Event()
    asked: list[int] = []

    def hang(number: int) -> Callable[[], Any]:
        return lambda: asked.append(number) or (released.wait(10) and {})

    found = listed(*(Domain(number, jobStats=hang(number)) for number in range(1, 21)))
    assert len(found) == 20 and all(guest.unread for guest in found.values())
    assert len(asked) == listing.MOST_LATE
    released.set()


def test_a_real_host_with_an_odd_guest_tells_all_of_them(tmp_path: Path) -> None:
    odd = "<domain type='test'><name>odd</name><memory>{}</memory><os><type>hvm</type></os></domain>"
    node = tmp_path / "node.xml"
    node.write_text("<node>" + odd.format(2**42) + odd.format(4096).replace("odd", "sound") + "</node>")
    driver = LibvirtDriver(
        HostRef("node1", "libvirt", f"test://{node}", "test"), Trusting(), Settings(timeout_s=5)
    )
    first, second = driver.list_guests()
    assert (first.name, bool(first.unread), first.memory_mb) == ("odd", True, 0)
    assert (second.name, second.unread, second.memory_mb) == ("sound", "", 4)
    assert driver.find_guest(first.uuid) == first


def test_as_much_is_kept_as_the_records_are_wide() -> None:
    def width(model: Any, field: str) -> int:
        return int(model._meta.get_field(field).max_length)

    names = [
        width(Server, "name"),
        width(Server, "guest_name"),
        width(StoragePool, "name"),
        width(StoragePool, "identity"),
        width(NetworkInterface, "network"),
        width(Host, "hypervisor_hostname"),
        width(Host, "cpu_model"),
    ]
    assert set(names) == {limits.NAME}
    assert width(Host, "hypervisor_type") == limits.TYPE
    assert (width(ServerDisk, "device"), width(ServerDisk, "path")) == (limits.DEVICE, limits.PATH)
    assert (width(ServerDisk, "format"), width(NetworkInterface, "mac")) == (limits.FORMAT, limits.MAC)


# --------------------------------------------------------------------------------- hosts, pools and jobs


class PoolOf:
    def __init__(
        self, xml: str = "<pool type='dir'/>", name: str = "disks", info: Any = (2, 100, 40, 60)
    ) -> None:
        self.xml, self.called, self.told = xml, name, info

    def XMLDesc(self) -> str:
        return self.xml

    def name(self) -> str:
        return self.called

    def UUIDString(self) -> str:
        return str(UUID(int=5))

    def info(self) -> Any:
        return list(self.told)


def test_a_pool_that_boasts_has_as_much_as_can_be_kept() -> None:
    found = pools.pool(PoolOf(info=(2, 2**64 - 1, 0, 2**64 - 1)), frozenset())
    assert found.capacity_bytes == found.available_bytes == limits.AMOUNT * pools.GIB


def test_an_identity_that_is_too_long_is_shortened_and_still_its_own() -> None:
    long = "<pool type='netfs'><source><host name='h'/><dir path='/{}{}'/></source></pool>"
    first, second = (pools.pool(PoolOf(long.format("x" * 400, n)), frozenset()) for n in (1, 2))
    assert len(first.identity) == limits.NAME and first.identity != second.identity
    assert pools.pool(PoolOf(long.format("x", 1)), frozenset()).identity == "netfs:h: /x1"


@given(
    xml=st.text(max_size=20) | element("pool", element("source", leaf("name")), type=WORD),
    name=st.text(st.characters(), max_size=300),
    info=st.lists(NUMBER, max_size=5),
)
def test_an_odd_pool_is_kept_or_unreadable(xml: str, name: str, info: list[Any]) -> None:
    try:
        found = pools.pool(PoolOf(xml, name, info), frozenset())
    except Unreadable:
        return
    assert storable(asdict(found)) and len(found.identity) <= limits.NAME
    assert 0 <= found.capacity_bytes // pools.GIB <= limits.AMOUNT


class Machine(Connection):
    """A host that describes itself in this way."""

    def __init__(self, **answers: Any) -> None:
        self.answers = {
            "getInfo": ["x86_64", 4096, 4, 2000, 1, 1, 4, 1],
            "getCapabilities": "<capabilities><host><cpu><model>qemu64</model></cpu></host></capabilities>",
            "getType": "QEMU",
            "getVersion": 7_002_000,
            "getHostname": "node1.example",
            "listAllStoragePools": [],
            **answers,
        }

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        return lambda *_: self.answers[verb]


@given(
    odd=st.fixed_dictionaries(
        {},
        optional={
            "getInfo": st.lists(NUMBER, max_size=8),
            "getCapabilities": DEFINITION,
            "getType": WORD | st.none(),
            "getVersion": NUMBER,
            "getHostname": WORD | st.none(),
        },
    )
)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_an_odd_host_is_kept_or_unreadable(odd: dict[str, Any]) -> None:
    try:
        info = describing.host_info(Machine(**odd), frozenset())
    except Unreadable as unreadable:
        assert storable(str(unreadable)) and len(str(unreadable)) <= 500
        return
    assert storable(asdict(info))
    assert all(0 <= n <= limits.AMOUNT for n in (info.vcpus, info.memory_mb, info.hypervisor_version))


@given(stats=st.dictionaries(st.sampled_from(["memory_total", "memory_bps", "disk_bps", "auto_converge_throttle",
    "memory_dirty_rate", "memory_page_size", "memory_iteration", "disk_remaining", "operation"]), NUMBER))  # fmt: skip
def test_odd_counters_of_a_job_can_be_kept(stats: dict[str, Any]) -> None:
    now = job.progress(stats)
    assert isinstance(now, Progress)
    assert all(isinstance(n, int) and 0 <= n <= limits.BYTES for n in asdict(now).values())
    assert now.iteration <= limits.AMOUNT and now.throttle_percent <= 100
    assert job.kind(stats) in {None, JobKind.LIVE_MIGRATION, JobKind.BACKUP}


# ----------------------------------------------------------------------- a question that fails is no fate


def raises(found: Exception) -> Callable[[object], None]:
    def question(connection: object) -> None:
        raise found

    return question


@pytest.mark.parametrize(
    "found", [BUSY, GONE, error(libvirt.VIR_ERR_INTERNAL_ERROR), Unreadable("odd"), CLOSED]
)
def test_what_a_host_does_not_say_is_not_known(found: Exception) -> None:
    with pytest.raises(HypervisorUnavailable, match="node1"):
        HostSession(HOST, Settings(), Trusting()).ask("find_guest", raises(found))


@pytest.mark.parametrize("found", [BUSY, Unreadable("odd"), CLOSED])
def test_a_change_of_which_nothing_is_said_has_an_unknown_outcome(found: Exception) -> None:
    with pytest.raises(HypervisorTimeout, match="node1"):
        HostSession(HOST, Settings(), Trusting()).ask("confirm", raises(found), changes=True)


def test_a_change_that_is_refused_is_refused() -> None:
    with pytest.raises(DriverFault, match="node1 refused") as raised:
        HostSession(HOST, Settings(), Trusting()).ask(
            "confirm", raises(error(libvirt.VIR_ERR_OPERATION_FAILED)), changes=True
        )
    assert type(raised.value) is DriverFault


def test_a_closed_socket_is_never_forgiven_whatever_its_code() -> None:
    with pytest.raises(libvirt.libvirtError), ignore_libvirt_errors(libvirt.VIR_ERR_INTERNAL_ERROR):
        raise CLOSED
    with ignore_libvirt_errors(libvirt.VIR_ERR_INTERNAL_ERROR):
        raise error(libvirt.VIR_ERR_INTERNAL_ERROR)


def test_what_cannot_be_read_does_not_repeat_libvirts_last_error() -> None:
    connection = libvirt.open("test:///default")
    with pytest.raises(libvirt.libvirtError):
        connection.lookupByName("nobody")
    assert str(Unreadable("odd")) == "odd"
    connection.close()


@given(text=st.text(st.characters()))
def test_every_fault_of_a_host_can_be_kept(text: str) -> None:
    for raised in (Unreadable(text), error(1, text)):
        with pytest.raises(Fault) as found:
            HostSession(HOST, Settings(), Trusting()).ask("find_guest", raises(raised))
        assert storable(str(found.value))
