"""What libvirt says is logged whole, with the request for which it was asked."""

from __future__ import annotations

from typing import Any

import pytest
import structlog
from structlog.contextvars import bound_contextvars, merge_contextvars

libvirt = pytest.importorskip("libvirt", reason="libvirt-python is not installed: make libvirt")

from servers.drivers.base import HostRef  # noqa: E402
from servers.drivers.libvirt.errors import Unreadable, fault, unavailable  # noqa: E402
from servers.errors import DriverFault, HypervisorUnavailable  # noqa: E402

HOST = HostRef("node1", "libvirt", "test:///default", "test")
SAID = "internal error: unable to execute QEMU command 'migrate'"
MORE = "Failed to connect to '10.0.0.2:49152': Connection refused"


def error(code: int = 1, domain: int = 10) -> Any:
    made = libvirt.libvirtError("")
    made.args = (SAID,)
    made.err = (code, domain, SAID, 2, "%s", MORE, None, 0, 0)
    return made


@pytest.fixture
def lines() -> Any:
    known = structlog.get_config()
    found = structlog.testing.LogCapture()
    structlog.configure(processors=[merge_contextvars, found])
    yield found.entries
    structlog.configure(**known)


def test_all_that_libvirt_says_is_found_by_the_id_of_the_request(lines: Any) -> None:
    with bound_contextvars(request_id="req-1", action="a"):
        found = fault(HOST, error())
    (line,) = lines
    assert (line["event"], line["host"], line["request_id"], line["action"]) == (
        "libvirt.error",
        "node1",
        "req-1",
        "a",
    )
    assert (line["code"], line["domain"]) == (1, 10)
    assert SAID in line["text"] and MORE in line["text"]
    assert type(found) is DriverFault and str(found) == f"Host node1 refused: {SAID}"


def test_way_that_is_lost_is_one_line_as_well(lines: Any) -> None:
    with bound_contextvars(request_id="req-1"):
        assert isinstance(fault(HOST, error(libvirt.VIR_ERR_NO_CONNECT)), HypervisorUnavailable)
        assert len(lines) == 1
        unavailable(HOST, "no answer to describe in 30 s")  # of ours, and not libvirt's
    assert len(lines) == 1


def test_answer_that_cannot_be_read_is_logged_too(lines: Any) -> None:
    with bound_contextvars(request_id="req-1"):
        fault(HOST, Unreadable("odd \x1b[31m"))
    assert "\x1b" not in lines[0]["text"]


def test_what_nobody_has_asked_for_is_left_to_whoever_asks_all_the_time(lines: Any) -> None:
    fault(HOST, error(), asked=True)
    assert lines == []
