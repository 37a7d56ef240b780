"""Root in a guest chooses what its agent answers: whatever it is, a verb ends with its result or with a fault."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

libvirt = pytest.importorskip("libvirt", reason="libvirt-python is not installed: make libvirt")

from servers.drivers.base import Guest, HostRef, Nic  # noqa: E402
from servers.drivers.guest_network import FORMATS, Survey, Unrenderable  # noqa: E402
from servers.drivers.libvirt import LibvirtDriver, Settings  # noqa: E402
from servers.drivers.libvirt.agent import agent_channel, replies  # noqa: E402
from servers.drivers.libvirt.agent.agent_channel import AgentChannel  # noqa: E402
from servers.drivers.libvirt.agent.replies import Improper  # noqa: E402
from servers.errors import AgentAnswerInvalid, Fault, HypervisorTimeout  # noqa: E402
from tests.drivers.fences import Trusting  # noqa: E402
from tests.drivers.storable import storable  # noqa: E402

HOST = HostRef("node1", "libvirt", "test:///default", "test")
MAC = "52:54:00:00:00:01"
NIC = Nic(MAC, "blue", ("192.0.2.10/24",), "192.0.2.1")
MAX_RESULT_CHARS = 1_000_000
MAX_FAULT_CHARS = 12_000


def b64(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def ended(out: str = "", err: str = "", code: int = 0) -> dict[str, Any]:
    return {"exited": True, "exitcode": code, "out-data": b64(out), "err-data": b64(err)}


SURVEY = f"link hardware eth0 {MAC}\nformat ifupdown\nfile /etc/network/interfaces {b64('auto eth0')}\n"
ADDRESS = {"ip-address": "192.0.2.10", "ip-address-type": "ipv4", "prefix": 24}
TOLD = [{"name": "eth0", "hardware-address": MAC, "ip-addresses": [ADDRESS], "statistics": {"rx-bytes": 5}}]
PROGRAM = [{"pid": 7}, ended(SURVEY), {"pid": 8}, ended(), TOLD]
PROPER: dict[str, list[Any]] = {
    "inject_network_info": PROGRAM,
    "reset_network": PROGRAM,
    "set_admin_password": [{}],
}
"""What a well-behaved agent returns, command by command, of each verb."""
PLACES = [(verb, place) for verb, answers in PROPER.items() for place in range(len(answers))]


@dataclass
class Agent:
    """An agent that behaves well but at one place, where it answers `odd`: bytes as they come from the guest."""

    proper: list[Any]
    place: int
    odd: bytes
    asked: list[str] = field(default_factory=list)

    def __call__(self, domain: object, text: str, timeout: int, flags: int) -> str:
        self.asked.append(json.loads(text)["execute"])
        place = len(self.asked) - 1
        return (
            self.odd if place == self.place else returned(self.proper[place])
        ).decode()  # as the binding does


def returned(value: Any) -> bytes:
    return json.dumps({"return": value}).encode(errors="surrogatepass")


def guest() -> Guest:
    connection = libvirt.open("test:///default")
    uuid = UUID(connection.lookupByName("test").UUIDString())
    connection.close()
    return Guest(uuid, "web", 2, 8192, nics=(NIC,))


@pytest.fixture(autouse=True)
def connected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AgentChannel, "find", lambda channel: None)
    monkeypatch.setattr(agent_channel, "LOOK_S", 0)
    monkeypatch.setattr(agent_channel, "RUN_S", 0.05)


def ask(verb: str, agent: Callable[..., str], whom: Guest | None = None) -> Any:
    """Return what a verb returns, or its fault. Any other exception passes through, and fails the test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agent_channel.libvirt_qemu, "qemuAgentCommand", agent)
        whom = whom or guest()
        arguments = (whom, "correct horse 7") if verb == "set_admin_password" else (whom,)
        try:
            return getattr(LibvirtDriver(HOST, Trusting(), Settings(timeout_s=5)).agent, verb)(*arguments)
        except Fault as fault:
            return fault


def require_kept(result: Any) -> None:
    """Fail unless a result, or the text of a fault, can be kept in every database."""
    if isinstance(result, Fault):
        assert storable(str(result)) and len(str(result)) <= MAX_FAULT_CHARS
    else:
        assert storable(result) and len(json.dumps(result)) <= MAX_RESULT_CHARS


def test_a_well_behaved_agent_is_understood() -> None:
    for verb in PROPER:
        assert not isinstance(ask(verb, Agent(PROPER[verb], -1, b"")), Fault)
    told = ask("inject_network_info", Agent(PROGRAM, -1, b""))["interfaces"]
    assert told == [{"name": "eth0", "mac": MAC, "addresses": ["192.0.2.10/24"]}]


# ----------------------------------------------------------------------------------- at every place, anything

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=20)
    | st.sampled_from(["", "a", b64("x"), b64(SURVEY), "eth0", "\0", "\ud800", MAC, 2**63, -1, 10**400])
)
KEYS = st.text(max_size=5) | st.sampled_from(
    [
        "pid",
        "exited",
        "exitcode",
        "out-data",
        "err-data",
        "name",
        "hardware-address",
        "ip-addresses",
        "return",
        "ip-address",
        "prefix",
    ]
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4)
)
NEAR = st.one_of(
    st.fixed_dictionaries({"pid": SCALARS}),
    st.fixed_dictionaries({"exited": SCALARS}, optional={"exitcode": SCALARS, "out-data": SCALARS}),
    st.fixed_dictionaries({"exited": st.just(True), "exitcode": st.just(0)}, optional={"out-data": SCALARS}),
    st.lists(st.fixed_dictionaries({"name": SCALARS}, optional={"ip-addresses": JSON}), max_size=3),
    st.lists(
        st.fixed_dictionaries(
            {"name": st.just("eth0"), "ip-addresses": st.lists(st.dictionaries(KEYS, SCALARS), max_size=2)},
            optional={"hardware-address": SCALARS},
        ),
        max_size=3,
    ),
)
OUTPUT = st.builds(lambda raw: {"exited": True, "exitcode": 0, "out-data": b64(raw)}, st.binary(max_size=300))
ODD = (
    st.binary(max_size=100)
    | st.text(st.characters(), max_size=50).map(lambda text: text.encode(errors="surrogatepass"))
    | (JSON | NEAR | OUTPUT).map(returned)
    | JSON.map(lambda value: json.dumps(value).encode(errors="surrogatepass"))
)
HOSTILE = [
    b"",
    b"[" * 100_000,
    b'{"return":' * 100_000,
    b'{"return": NaN}',
    b'{"return": {"pid": ' + b"9" * 10_000 + b"}}",
    b'{"return": {"pid": 1}, "return": {"pid": 2}}',
    b'{"return": {"pid": 1e400}}',
    b'{"return": {"exited": true, "exitcode": 0, "out-data": "a"}}',
    b'{"return": {"exited": true, "exitcode": 0, "out-data": "\xc3\xa9"}}',
    b'{"return": {"exited": true, "exitcode": 1, "err-data": "' + b64(b"\0\x1b[2J\xff").encode() + b'"}}',
    b'{"return": {"exited": true, "exitcode": 1, "err-data": "' + b64(b"x" * 900_000).encode() + b'"}}',
    b'{"return": [{"name": "eth0", "hardware-address": "\\u0000"}]}',
    b'{"return": [{"name": "eth0", "hardware-address": "\\ud800"}]}',
    b'{"return": {"exited": false}}',
    b"\xff\xfe",
    b'"' + b"x" * (5 * 1024**2) + b'"',
]


@pytest.mark.parametrize(("verb", "place"), PLACES)
@given(odd=ODD)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_an_odd_answer_at_any_place_ends_with_a_result_or_a_fault(verb: str, place: int, odd: bytes) -> None:
    require_kept(ask(verb, Agent(PROPER[verb] + [{"exited": False}] * 10_000, place, odd)))


@pytest.mark.parametrize(("verb", "place"), PLACES)
@pytest.mark.parametrize("odd", range(len(HOSTILE)))
def test_what_a_hostile_agent_would_answer_ends_with_a_result_or_a_fault(
    verb: str, place: int, odd: int
) -> None:
    require_kept(ask(verb, Agent(PROPER[verb] + [{"exited": False}] * 10_000, place, HOSTILE[odd])))


@pytest.mark.parametrize(("verb", "place"), [each for each in PLACES if each[1] != 4])
def test_an_answer_of_another_form_is_said_to_be_one(verb: str, place: int) -> None:
    fault = ask(verb, Agent(PROPER[verb], place, b'{"return": "secret words of the guest"}'))
    assert type(fault) is AgentAnswerInvalid
    assert str(fault).startswith("The guest agent of web answered something else than what guest-")
    assert "secret words" not in str(fault) and fault.__cause__ is None


def test_what_was_done_is_done_when_the_agent_cannot_say_how_it_is_now() -> None:
    done = ask("inject_network_info", Agent(PROGRAM, 4, b'{"return": 5}'))
    assert done["interfaces"] == [{"name": "eth0"}]


LINE = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.builds(
        "link {} {} {}".format, st.sampled_from(["hardware", "virtual"]), st.text(max_size=20), st.just(MAC)
    ),
    st.builds(
        "link hardware {} {} {}".format, st.text(max_size=20), st.text(max_size=20), st.text(max_size=9)
    ),
    st.builds("format {}".format, st.sampled_from([style.name for style in FORMATS]) | st.text(max_size=9)),
    st.builds(
        "file {} {}".format,
        st.sampled_from(["/etc/network/interfaces", "/etc/resolv.conf"]) | st.text(max_size=40),
        st.text(max_size=30) | st.binary(max_size=60).map(b64) | st.text(max_size=60).map(b64),
    ),
)
PRINTED = st.lists(LINE, max_size=8).map("\n".join)


@given(printed=PRINTED)
@example(printed="format ifupdown\nfile /etc/network/interfaces é")
@example(printed=f"link hardware eth0 {MAC}\nformat ifupdown\nfile /etc/x\0y {b64('iface eth0 inet dhcp')}")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@pytest.mark.parametrize("verb", ["inject_network_info", "reset_network"])
def test_whatever_the_guest_prints_of_its_network_ends_with_a_result_or_a_fault(
    verb: str, printed: str
) -> None:
    bare = Guest(guest().uuid, "web", 1, 1) if verb == "reset_network" else None
    for whom in (guest(), bare):
        require_kept(ask(verb, Agent(PROGRAM, 1, returned(ended(SURVEY + printed))), whom))
        require_kept(ask(verb, Agent(PROGRAM, 1, returned(ended(printed + "\n" + SURVEY))), whom))


@given(text=st.text(st.characters(), max_size=200), names=st.lists(st.text(max_size=5), max_size=2))
def test_any_file_of_a_guest_can_be_rendered_anew(text: str, names: list[str]) -> None:
    printed = f"{SURVEY}file /etc/network/interfaces {b64(text.encode(errors='replace'))}"
    survey = Survey.parse(printed)
    for style in FORMATS:
        style.render((), survey.files)


def test_a_guest_does_not_keep_its_network_in_a_thousand_files() -> None:
    with pytest.raises(Unrenderable, match="more than"):
        Survey.parse("".join(f"file /etc/network/interfaces.d/{n} \n" for n in range(1000)))


# ------------------------------------------------------------------------------------------- one by one


@given(
    answer=st.none() | st.integers() | st.text(st.characters()) | JSON.map(json.dumps) | NEAR.map(json.dumps)
)
def test_a_command_reads_its_answer_or_calls_it_improper(answer: object) -> None:
    for command in replies.COMMANDS:
        try:
            command.parse(answer)
        except Improper as how:
            assert storable(str(how)) and len(str(how)) < 100


@pytest.mark.parametrize(
    ("answer", "how"),
    [
        ("x" * (replies.MAX_CHARS + 1), "longer than 4 MiB"),
        ("[" * 50_000, "too deeply"),
        ('{"return": {"pid": NaN}}', "no JSON"),
        ('{"return": {"pid": 1, "pid": 2}}', "no JSON"),
        ('{"error": {}}', "no returned value"),
        ('{"return": {"pid": "7"}}', "another form"),
        ('{"return": {"pid": true}}', "another form"),
        ('{"return": {"pid": 7.5}}', "another form"),
        ('{"return": {"pid": 0}}', "another form"),
        ('{"return": [{"pid": 7}]}', "another form"),
    ],
)
def test_it_is_said_how_an_answer_is_improper(answer: str, how: str) -> None:
    with pytest.raises(Improper, match=how):
        replies.EXEC.parse(answer)


@pytest.mark.parametrize(
    "content",
    [
        [{"name": ""}],
        [{"name": "x" * 257}],
        [{"name": "eth0\n"}],
        [{"name": "eth0", "ip-addresses": [{"ip-address": "::1"}]}],
        [{"name": "eth0", "ip-addresses": [{"ip-address": "::1", "prefix": 129}]}],
        [{"name": "eth0", "ip-addresses": [ADDRESS] * 65}],
        [{"name": "eth0"}] * 4097,
    ],
)
def test_an_interface_has_a_name_and_addresses_that_can_be_kept(content: list[Any]) -> None:
    with pytest.raises(Improper):
        replies.INTERFACES.parse(json.dumps({"return": content}))


def test_what_newer_agents_add_is_passed_over() -> None:
    assert replies.EXEC.parse('{"return": {"pid": 7, "started": {"at": [1, 2]}}}') == 7


def refusal(code: int | None, text: str) -> Any:
    error = libvirt.libvirtError("")
    error.err = None if code is None else (code, libvirt.VIR_FROM_QEMU, text, 2, "", "", "", 0, 0)
    return error


@given(
    verb=st.sampled_from([*PROPER]),
    errors=st.lists(st.none() | st.tuples(st.none() | st.integers(0, 120), st.text(max_size=50)), max_size=8),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_libvirt_says_of_an_agent_ends_with_a_result_or_a_fault(
    verb: str, errors: list[tuple[int, str] | None]
) -> None:
    agent, left = Agent(PROPER[verb], -1, b""), list(errors)

    def failing(*args: Any) -> str:
        found = left.pop(0) if left else None
        if found is not None:
            raise refusal(*found)
        return agent(*args)

    require_kept(ask(verb, failing))


def test_an_agent_that_hangs_longer_than_libvirt_lets_it_leaves_the_outcome_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    released = threading.Event()
    monkeypatch.setattr(agent_channel, "TURN_S", -15)

    def hangs(*args: Any) -> str:
        released.wait(5)
        return "{}"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agent_channel.libvirt_qemu, "qemuAgentCommand", hangs)
        with pytest.raises(HypervisorTimeout, match="not known"):
            LibvirtDriver(HOST, Trusting(), Settings(timeout_s=5.2)).agent.set_admin_password(guest(), "new")
    released.set()


def test_a_password_that_is_no_text_is_a_fault() -> None:
    with pytest.raises(Fault, match="no text"):
        LibvirtDriver(HOST, Trusting(), Settings()).agent.set_admin_password(guest(), "\ud800")
