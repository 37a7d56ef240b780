"""What only looks changes nothing: libvirt's changing calls are watched while drivers put their questions."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import libvirt
import pytest

from servers.drivers.base import Fence, Guest, HostRef
from servers.drivers.libvirt.errand import Errand
from servers.drivers.libvirt.seat import Seat, Settings

CHANGING: dict[Any, tuple[str, ...]] = {
    libvirt.virDomain: (
        "abortJob",
        "backupBegin",
        "create",
        "destroy",
        "fsFreeze",
        "fsThaw",
        "migrateStartPostCopy",
        "migrateToURI3",
        "setAutostart",
        "setMetadata",
        "shutdownFlags",
        "suspend",
        "undefineFlags",
        "updateDeviceFlags",
    ),
    libvirt.virConnect: ("defineXML",),
    libvirt.virStoragePool: ("createXML", "createXMLFrom"),
    libvirt.virStorageVol: ("delete", "upload"),
}


class Thread(threading.local):
    """What a thread does: it has proven the fence a moment ago, or it puts a question, proven or not."""

    fresh = False
    question: bool | None = None


THREAD = Thread()


@dataclass(frozen=True)
class Noting:
    """A fence that remembers in its thread that it was proven."""

    fence: Fence

    @property
    def owner(self) -> UUID:
        return self.fence.owner

    def prove(self) -> None:
        self.fence.prove()
        THREAD.fresh = True

    def prove_alone(self, guest: Guest, host: str) -> None:
        self.fence.prove_alone(guest, host)


def watch(patch: pytest.MonkeyPatch) -> list[str]:
    """Let each changing call be refused that is made by a question for which no fence was proven; return those."""
    refused: list[str] = []
    take, run, put = Seat.__init__, Errand._run, Errand.put

    def taken(seat: Seat, host: HostRef, settings: Settings, fence: Fence) -> None:
        take(seat, host, settings, fence if isinstance(fence, Noting) else Noting(fence))

    def running(errand: Any) -> None:
        question = errand._question

        def marked(place: Any) -> Any:
            THREAD.question = errand.is_proven
            return question(place)

        errand._question = marked
        run(errand)

    def putting(errand: Any) -> None:
        errand.is_proven, THREAD.fresh = THREAD.fresh, False
        put(errand)

    patch.setattr(Seat, "__init__", taken)
    patch.setattr(Errand, "_run", running)
    patch.setattr(Errand, "put", putting)
    for kind, names in CHANGING.items():
        for name in names:
            patch.setattr(kind, name, guarded(name, getattr(kind, name), refused))
    return refused


def guarded(name: str, call: Callable[..., Any], refused: list[str]) -> Callable[..., Any]:
    def guarded_call(*arguments: Any, **named: Any) -> Any:
        if THREAD.question is False:
            refused.append(name)
            raise AssertionError(f"{name} by a question that only looks")
        return call(*arguments, **named)

    return guarded_call
