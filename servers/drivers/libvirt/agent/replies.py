"""What is asked of a guest's agent, and what it has to answer: whoever has root in the guest chooses every byte of it.

A command cannot be sent but with the schema of its answer, and what leaves this module is of the types below.
https://www.qemu.org/docs/master/interop/qemu-ga-ref.html
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, NoReturn, TypeVar

from jsonschema import Draft202012Validator
from jsonschema.protocols import Validator

MAX_CHARS = 4 * 1024**2
"""libvirt carries no longer string: REMOTE_STRING_MAX in src/remote/remote_protocol.x."""
MAX_NUMBER = 2**53 - 1
MAX_INTERFACES, MAX_ADDRESSES = 4096, 64
NAME_CHARS, ADDRESS_CHARS = 256, 64
PRINTABLE = r"\A[\x20-\x7e\xa0-\ud7ff\ue000-\U0010ffff]*\Z"

T = TypeVar("T")


class Improper(ValueError):
    """An answer is not what the command answers; the text says how, and quotes nothing of it."""


@dataclass(frozen=True)
class Command(Generic[T]):
    """A command of the agent, and how its answer is read."""

    name: str
    schema: Validator
    read: Callable[[Any], T]

    def parse(self, answer: object) -> T:
        """Return what an answer says. Raises Improper."""
        content = _decoded(answer)
        if not isinstance(content, dict) or "return" not in content:
            raise Improper("it holds no returned value")
        if not self.schema.is_valid(content["return"]):
            raise Improper("it has another form")
        return self.read(content["return"])


@dataclass(frozen=True)
class Status:
    """What has become of a program in the guest; `exitcode` is -1 where a signal has ended it."""

    exited: bool
    exitcode: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Interface:
    """A network interface as the guest has it; addresses in CIDR form."""

    name: str
    mac: str
    addresses: tuple[str, ...]


def _decoded(answer: object) -> Any:
    """Return the JSON of an answer, whose size and depth are bounded. Raises Improper."""
    if not isinstance(answer, str):
        raise Improper("it is no text")
    if len(answer) > MAX_CHARS:
        raise Improper(f"it is longer than {MAX_CHARS // 1024**2} MiB")
    try:
        return json.loads(answer, parse_constant=_refuse, object_pairs_hook=_object)
    except RecursionError:
        raise Improper("it is nested too deeply") from None
    except ValueError:
        raise Improper("it is no JSON") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)  # NaN and Infinity, which JSON does not have


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


def _text(content: dict[str, Any], name: str) -> str:
    """Return what a program has printed; what is no UTF-8 is replaced. Raises Improper where it is no base64."""
    try:
        return base64.b64decode(content.get(name, ""), validate=True).decode(errors="replace")
    except ValueError:
        raise Improper(f"its {name} is no base64") from None


def _status(content: dict[str, Any]) -> Status:
    return Status(
        content["exited"],
        int(content.get("exitcode", -1)),
        _text(content, "out-data"),
        _text(content, "err-data"),
    )


def _interfaces(content: list[dict[str, Any]]) -> tuple[Interface, ...]:
    return tuple(
        Interface(
            each["name"],
            each.get("hardware-address", ""),
            tuple(f"{ip['ip-address']}/{int(ip['prefix'])}" for ip in each.get("ip-addresses", ())),
        )
        for each in content
    )


def _number(least: int, most: int = MAX_NUMBER) -> dict[str, Any]:
    return {"type": "integer", "minimum": least, "maximum": most}


def _word(most: int, least: int = 0) -> dict[str, Any]:
    return {"type": "string", "maxLength": most, "minLength": least, "pattern": PRINTABLE}


def _with(required: list[str], **properties: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an object. What newer agents add is passed over; names have _ for the agent's -."""
    named = {name.replace("_", "-"): schema for name, schema in properties.items()}
    return {"type": "object", "required": required, "properties": named}


def _list(of: dict[str, Any], most: int) -> dict[str, Any]:
    return {"type": "array", "maxItems": most, "items": of}


_ADDRESS = _with(["ip-address", "prefix"], ip_address=_word(ADDRESS_CHARS, 1), prefix=_number(0, 128))
_INTERFACE = _with(
    ["name"],
    name=_word(NAME_CHARS, 1),
    hardware_address=_word(ADDRESS_CHARS),
    ip_addresses=_list(_ADDRESS, MAX_ADDRESSES),
)
_STATUS = _with(
    ["exited"],
    exited={"type": "boolean"},
    exitcode=_number(-MAX_NUMBER - 1),
    out_data={"type": "string"},
    err_data={"type": "string"},
)

EXEC: Command[int] = Command(
    "guest-exec",
    Draft202012Validator(_with(["pid"], pid=_number(1))),
    lambda content: int(content["pid"]),
)
"""Start a program; its answer is the process."""
EXEC_STATUS: Command[Status] = Command("guest-exec-status", Draft202012Validator(_STATUS), _status)
INTERFACES: Command[tuple[Interface, ...]] = Command(
    "guest-network-get-interfaces", Draft202012Validator(_list(_INTERFACE, MAX_INTERFACES)), _interfaces
)
SET_PASSWORD: Command[None] = Command(
    "guest-set-user-password", Draft202012Validator({"type": "object"}), lambda _: None
)
COMMANDS: tuple[Command[Any], ...] = (EXEC, EXEC_STATUS, INTERFACES, SET_PASSWORD)
