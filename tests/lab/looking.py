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
from servers.drivers.libvirt.host_session import HostSession, Settings
from servers.drivers.libvirt.own_thread import OwnThread

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
    take, run, put = HostSession.__init__, OwnThread._run, OwnThread.put

    def taken(session: HostSession, host: HostRef, settings: Settings, fence: Fence) -> None:
        take(session, host, settings, fence if isinstance(fence, Noting) else Noting(fence))

    def running(thread: Any) -> None:
        question = thread._question

        def marked(place: Any) -> Any:
            THREAD.question = thread.is_proven
            return question(place)

        thread._question = marked
        run(thread)

    def putting(thread: Any) -> None:
        thread.is_proven, THREAD.fresh = THREAD.fresh, False
        put(thread)

    patch.setattr(HostSession, "__init__", taken)
    patch.setattr(OwnThread, "_run", running)
    patch.setattr(OwnThread, "put", putting)
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
