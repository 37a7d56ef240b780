"""Backups of real guests: a copy of the disk on the host, fetched into a file here and checked."""

from __future__ import annotations

import time
from pathlib import Path

from servers import clock
from servers.drivers.base import Backup, Guest, OnProgress, Snapshot
from servers.drivers.libvirt.backup import backup_job
from servers.drivers.libvirt.backup.disk_backup import DiskBackup
from servers.drivers.libvirt.host_session import HostSession
from servers.drivers.libvirt.watched import POLL_S
from servers.errors import (
    BackupFailed,
    BelongsToAnother,
    DriverFault,
    GuestNotFound,
    HypervisorTimeout,
    HypervisorUnavailable,
    NotSupported,
)

PASSED_ON = (
    BackupFailed,
    BelongsToAnother,
    GuestNotFound,
    HypervisorTimeout,
    HypervisorUnavailable,
    NotSupported,
)


class LibvirtBackup(Backup):
    """Backups of one host's guests."""

    def __init__(self, session: HostSession) -> None:
        self.session = session

    def snapshot(self, guest: Guest, target: str, on_progress: OnProgress) -> Snapshot:
        try:
            return DiskBackup(self.session, guest, Path(target), on_progress).run()
        except PASSED_ON:
            raise
        except DriverFault as fault:
            raise BackupFailed(reason=str(fault)) from fault

    def discard(self, guest: Guest) -> None:
        verb, session = "discard_backup", self.session
        end = time.monotonic() + session.settings.timeout_s
        if session.ask(verb, lambda connection: backup_job.own(connection, session, guest)) is None:
            return
        while not session.ask(
            verb, lambda connection: backup_job.discarded(connection, session, guest), changes=True
        ):
            if time.monotonic() > end:
                raise DriverFault(message=f"Host {session.ref.name} still writes the backup of {guest.name}.")
            clock.sleep(POLL_S / 4)
