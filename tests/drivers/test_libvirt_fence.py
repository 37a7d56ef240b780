"""In whose name a host is asked: what changes something is proven directly before, and never asked too late."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

import pytest

libvirt = pytest.importorskip("libvirt", reason="libvirt-python is not installed: make lab")

from servers.drivers.base import LOOKING, Guest, HostRef  # noqa: E402
from servers.drivers.libvirt import (  # noqa: E402
    Settings,
    connections,
    host_session,
)
from servers.drivers.libvirt.connections import Connections  # noqa: E402
from servers.drivers.libvirt.host_session import HostSession  # noqa: E402
from servers.drivers.libvirt.watched import watched  # noqa: E402
from servers.errors import (  # noqa: E402
    BelongsToAnother,
    DriverFault,
    GuestNotFound,
    HypervisorTimeout,
    HypervisorUnavailable,
    LeaseLost,
    NotSupported,
)
from tests.drivers.fences import ANOTHER, OWNER, Lost, Trusting  # noqa: E402

HOST = HostRef("node1", "libvirt", "test:///default", "test")
NOBODY = HostRef("node9", "libvirt", "qemu+tcp://127.0.0.1:1/system")
GUEST = Guest(UUID(int=7), "web", 1, 128)


@dataclass
class Told:
    """A fence that writes down when it was proven, and by whom."""

    owner: UUID = OWNER
    said: list[str] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)

    def prove(self) -> None:
        self.said.append("proven")
        self.threads.append(threading.get_ident())

    def prove_alone(self, guest: Guest, host: str) -> None: ...


def a_seat(fence: object, timeout_s: float = 5, host: HostRef = HOST) -> HostSession:
    return HostSession(host, Settings(timeout_s=timeout_s), fence)


def test_the_fence_is_proven_directly_before_the_question_and_by_who_asks() -> None:
    told = Told()
    a_seat(told).ask("confirm", lambda connection: told.said.append("asked"), changes=True)
    assert told.said == ["proven", "asked"]
    assert told.threads == [threading.get_ident()]


def test_a_question_that_only_looks_proves_nothing() -> None:
    told = Told()
    a_seat(told).ask("find_guest", lambda connection: None)
    a_seat(told).see("find_guest", lambda connection: None)
    assert told.said == []


def test_who_has_lost_the_lease_asks_nothing() -> None:
    asked: list[object] = []
    with pytest.raises(LeaseLost):
        a_seat(Lost()).ask("confirm", asked.append, changes=True)
    assert asked == []


def test_a_driver_without_a_fence_changes_nothing() -> None:
    asked: list[object] = []
    with pytest.raises(NotSupported):
        a_seat(LOOKING).ask("confirm", asked.append, changes=True)
    assert asked == []


def test_a_host_to_which_there_is_no_way_was_not_changed_and_nothing_is_proven() -> None:
    told = Told()
    with pytest.raises(HypervisorUnavailable):
        a_seat(told, host=NOBODY).ask("confirm", lambda connection: None, changes=True)
    assert told.said == []


def test_the_name_is_taken_along_to_another_host() -> None:
    told = Told(owner=ANOTHER)
    assert a_seat(told).at(NOBODY).owner == str(ANOTHER)


# ------------------------------------------------------------------------------------------ too late


@pytest.fixture
def slow_way(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Let the way to a host open when the event is set."""
    opened = threading.Event()

    class Slow:
        def get(self, uri: str) -> object:
            opened.wait(5)
            return object()

    monkeypatch.setattr(host_session, "CONNECTIONS", Slow())
    yield opened
    opened.set()


def test_a_question_that_reaches_its_host_too_late_is_not_put_any_more(slow_way: threading.Event) -> None:
    asked = threading.Event()
    told = Told()
    with pytest.raises(HypervisorUnavailable):
        a_seat(told, timeout_s=0.2).ask("confirm", lambda connection: asked.set(), changes=True)
    slow_way.set()
    assert not asked.wait(0.3)
    assert told.said == []


def test_work_that_has_not_begun_when_who_watches_it_leaves_never_begins() -> None:
    opened, began = threading.Event(), threading.Event()

    @contextmanager
    def way() -> Iterator[None]:
        opened.wait(5)
        yield

    def leave() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        watched(a_seat(Told()), "copy", way, lambda place: began.set(), leave, changes=True)
    opened.set()
    assert not began.wait(0.3)


def test_work_without_a_lease_never_begins() -> None:
    began: list[object] = []

    @contextmanager
    def way() -> Iterator[None]:
        yield

    with pytest.raises(LeaseLost):
        watched(a_seat(Lost()), "copy", way, began.append, lambda: None, changes=True)
    assert began == []


def test_a_host_that_hangs_is_tried_once_however_many_ask_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    hangs = threading.Event()

    def refuse(uri: str) -> object:
        tried.append(uri)
        hangs.wait(5)
        raise broken("connection refused")

    monkeypatch.setattr(connections, "connect", refuse)
    failed: list[Exception] = []

    def ask(all_of_them: Connections) -> None:
        try:
            all_of_them.get("qemu:///hangs")
        except libvirt.libvirtError as error:
            failed.append(error)

    mine = Connections()
    askers = [threading.Thread(target=ask, args=(mine,)) for _ in range(8)]
    for asker in askers:
        asker.start()
    time.sleep(0.2)
    hangs.set()
    for asker in askers:
        asker.join(5)
    assert (tried, len(failed)) == (["qemu:///hangs"], 8)


# --------------------------------------------------------------------------- questions that fail


def broken(message: str) -> object:
    error = libvirt.libvirtError(message)
    error.err = (libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_FROM_NONE, message, 2, None, None, None, 0, 0)
    return error


def failing(times: int) -> Callable[[object], str]:
    """Return a question that fails so often, and is answered then."""
    left = [times]

    def question(connection: object) -> str:
        if left[0]:
            left[0] -= 1
            raise broken("internal error: cannot acquire state change lock")
        return "answered"

    return question


def test_a_failed_look_at_what_goes_on_is_taken_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_session, "LOOK_AGAIN_S", 0)
    assert a_seat(LOOKING).see("live_migration", failing(host_session.LOOKS - 1)) == "answered"


def test_looks_that_go_on_failing_are_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_session, "LOOK_AGAIN_S", 0)
    with pytest.raises(HypervisorTimeout):
        a_seat(LOOKING).see("live_migration", failing(host_session.LOOKS))
    with pytest.raises(HypervisorTimeout):
        a_seat(LOOKING, host=NOBODY).see("live_migration", failing(0))
    with pytest.raises(HypervisorTimeout):
        a_seat(LOOKING, timeout_s=0.1).see("live_migration", lambda connection: time.sleep(1))


def test_what_a_look_has_found_is_its_answer() -> None:
    def gone(connection: object) -> None:
        raise a_seat(LOOKING).missing(GUEST)

    with pytest.raises(GuestNotFound):
        a_seat(LOOKING).see("live_migration", gone)


# ------------------------------------------------------------------------------------------- owners


def test_what_belongs_to_another_is_refused_by_name() -> None:
    mine = a_seat(Trusting())
    mine.require_own(GUEST, "")
    mine.require_own(GUEST, str(OWNER))
    with pytest.raises(BelongsToAnother) as refused:
        mine.require_own(GUEST, str(ANOTHER))
    assert isinstance(refused.value, DriverFault)
    assert (refused.value.facts["host"], refused.value.facts["owner"]) == ("node1", str(ANOTHER))
