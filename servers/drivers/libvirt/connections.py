"""One connection per host and process: kept alive, re-opened when it is dead, and never in anybody's way."""

from __future__ import annotations

import os
import threading
import time

import libvirt

KEEPALIVE_INTERVAL_S, KEEPALIVE_COUNT = 5, 3
"""A peer that is silent for interval × (count + 1) is given up; every call that waits for it then ends."""


class Connections:
    """The connections of this process. A child process makes its own: a socket has one owner."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = 0
        self._open: dict[str, libvirt.virConnect] = {}
        self._opening: dict[str, threading.Lock] = {}
        self._inherited: list[dict[str, libvirt.virConnect]] = []

    def get(self, uri: str) -> libvirt.virConnect:
        """Return a live connection to `uri`. Blocks as long as libvirt does: call it from a thread that may wait."""
        with self._lock:
            self._be_at_home()
            opening = self._opening.setdefault(uri, threading.Lock())
        with opening:
            known = self._open.get(uri)
            if known is not None and known.isAlive():
                return known
            self._open[uri] = connect(uri)
            return self._open[uri]

    def _be_at_home(self) -> None:
        """Start the event loop of this process, and leave alone what it has inherited."""
        if self._process == os.getpid():
            return
        if self._process:
            self._inherited.append(self._open)  # closing it would end the parent's connection
        self._process, self._open, self._opening = os.getpid(), {}, {}
        start_event_loop()


def connect(uri: str) -> libvirt.virConnect:
    """Open a connection that notices when its peer is gone."""
    connection = libvirt.open(uri)
    if not uri.startswith("test:"):
        connection.setKeepAlive(KEEPALIVE_INTERVAL_S, KEEPALIVE_COUNT)
    return connection


def start_event_loop() -> None:
    """Run libvirt's event loop, on which keepalive depends, in a thread of its own."""
    libvirt.virEventRegisterDefaultImpl()
    libvirt.registerErrorHandler(lambda context, error: None, None)  # else every error is printed as well
    threading.Thread(target=_run_event_loop, name="libvirt events", daemon=True).start()


def _run_event_loop() -> None:
    """Run for ever: without it no connection would notice that its peer is gone."""
    while True:
        try:
            libvirt.virEventRunDefaultImpl()
        except libvirt.libvirtError:
            time.sleep(1)


CONNECTIONS = Connections()
