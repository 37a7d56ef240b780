"""What an attempt at an action goes by: its record, the server and its guest, hosts and their drivers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from django.conf import settings

from servers import clock, sealed_parameters
from servers.actions import definitions
from servers.actions.base import Action, Step
from servers.actions.task import Limits, MigrationFacts, ServerFacts
from servers.drivers.base import Guest, MoveOptions
from servers.engine.execution.lease import Lease, fenced, renew, write
from servers.engine.execution.lease_renewal import Heartbeat
from servers.engine.records.facts import migration_facts, server_facts
from servers.errors import ActionFault, Cancelled, Later, LeaseLost
from servers.fleet.drivers import guest_of
from servers.microversions import Microversion
from servers.models import ActionRecord, Migration, Server
from servers.states import PowerState

LONG_ENOUGH = "the request has waited long enough"


class Attempt:
    """One attempt at an action, under a lease.

    What steps leave is written at once, so that the next attempt finds it. Every write raises LeaseLost when
    another attempt has the action. With `deadline_s` somebody waits: `checkpoint` raises Later after so many
    seconds, and so does a question to a host.
    """

    def __init__(
        self, lease: Lease, heartbeat: Heartbeat | None = None, deadline_s: float | None = None
    ) -> None:
        self.lease = lease
        self.heartbeat = heartbeat
        self.until = time.monotonic() + deadline_s if deadline_s is not None else None
        """How long somebody waits, by time.monotonic(); None where nobody does."""
        self.force_sent = False
        self.fault: ActionFault | None = None
        self.step: Step | None = None
        self.row = ActionRecord.objects.get(pk=lease.action)
        self.params: Mapping[str, Any] = self.row.params
        self.microversion = Microversion.parse(self.row.microversion)
        self.limits = limits()

    @cached_property
    def definition(self) -> Action:
        """Return the action's definition. Raises KeyError for one of another version, which can only be closed."""
        return definitions[self.row.slug]()

    @property
    def running_step(self) -> Step | None:
        """Return the step that the record names as the one that runs, or ran last."""
        return next((step for step in self.definition.steps if step.name == self.row.step), None)

    # ----------------------------------------------------- facts: read once a step, and after each write

    def forget_facts(self) -> None:
        """Let server, guest and migration be read again."""
        for name in ("server_row", "guest", "migration"):
            self.__dict__.pop(name, None)

    @cached_property
    def server_row(self) -> Server:
        """Return the server, to read."""
        return Server.objects.select_related("host").get(pk=self.row.server_id)

    @property
    def server(self) -> ServerFacts:
        """Return the facts of the server."""
        return server_facts(self.server_row)

    @cached_property
    def guest(self) -> Guest:
        """Return the guest that a hypervisor has to run for the server."""
        return guest_of(self.server_row)

    @cached_property
    def migration(self) -> MigrationFacts:
        """Return the facts of the action's migration. Raises LookupError when it has none."""
        return migration_facts(self._migration())

    @property
    def former_vm_state(self) -> str:
        """Return the server's vm_state at the time when the action was accepted."""
        return self.row.former_vm_state

    @property
    def former_power_state(self) -> PowerState:
        """Return the server's power state at the time when the action was accepted."""
        return PowerState(self.row.former_power_state)

    @property
    def source(self) -> str:
        """Return the server's host at the time when the action was accepted; "" when it had none."""
        return self.row.source_host

    def _migration(self, *, lock: bool = False) -> Migration:
        if self.row.migration_id is None:
            raise LookupError(f"action {self.row.pk} has no migration")
        rows = Migration.objects.select_for_update() if lock else Migration.objects.all()
        return rows.get(pk=self.row.migration_id)

    @property
    def memo(self) -> Mapping[str, Any]:
        """Return what earlier steps have left with `remember`."""
        memo: Mapping[str, Any] = self.row.memo
        return memo

    @property
    def begun(self) -> Sequence[str]:
        """Return the names of the steps that were begun, in order."""
        return self.row.begun

    @property
    def effective(self) -> Sequence[str]:
        """Return the names of the steps that may have had an effect which is not undone, in order."""
        return self.row.effective

    def secret(self, name: str) -> str:
        """Return a secret parameter in clear text. Raises KeyError when there is none of this name."""
        return sealed_parameters.unseal(self.row.sealed)[name]

    # --------------------------------------------------------------------------------------- the record

    @contextmanager
    def fenced(self, *, of_server: bool = True) -> Iterator[None]:
        """Open a transaction with the action's row locked, and the server's. Raises LeaseLost when the lease was lost."""
        with fenced(self.lease, of_server=of_server):
            yield

    def write(self, **values: Any) -> None:
        """Write fields of the action record, by one UPDATE. Raises LeaseLost."""
        write(self.lease, updated_at=clock.now(), **values)
        for name, value in values.items():
            setattr(self.row, name, value)

    def save(self, **values: Any) -> None:
        """Write fields of the action record in the transaction of `fenced`."""
        for name, value in values.items():
            setattr(self.row, name, value)
        self.row.updated_at = clock.now()
        self.row.save(update_fields=[*values, "updated_at"])

    def renew(self, **journal: object) -> None:
        """Extend the lease, and write fields of the journal. Raises LeaseLost."""
        if not renew(self.lease, **journal):
            raise LeaseLost

    def reread(self) -> ActionRecord:
        """Return the record as the database has it: `row` lacks what other processes have written."""
        return ActionRecord.objects.get(pk=self.lease.action)

    def remember(self, **facts: Any) -> None:
        """Merge `facts` into the record's memo."""
        self.write(memo={**self.row.memo, **facts})

    def answer(self, **facts: Any) -> None:
        """Merge `facts` into the record's result."""
        self.write(result={**self.row.result, **facts})

    def beat(self) -> None:
        """Tell the heartbeat that the work makes progress."""
        if self.heartbeat is not None:
            self.heartbeat.beat()

    def is_cancelled(self) -> bool:
        """Return whether the action was asked to stop; asks the database."""
        asked = ActionRecord.objects.filter(pk=self.row.pk).exclude(cancel_requested_at=None)
        return asked.exists()

    def checkpoint(self) -> None:
        """Raise Cancelled when the action was asked to stop, or Later when the deadline has passed."""
        if self.is_cancelled():
            raise Cancelled
        if self.until is not None and time.monotonic() > self.until:
            raise Later(reason=LONG_ENOUGH, delay_s=0)


def limits() -> Limits:
    """Return the deployment's options that steps go by."""
    return Limits(
        migrate_max_retries=settings.MIGRATE_MAX_RETRIES,
        max_attempts=settings.MAX_ATTEMPTS,
        move=MoveOptions(
            bandwidth_mib_s=settings.LIVE_MIGRATION_BANDWIDTH_MIB_S,
            auto_converge=settings.LIVE_MIGRATION_AUTO_CONVERGE,
            post_copy=settings.LIVE_MIGRATION_POST_COPY,
            native_tls=settings.LIVE_MIGRATION_WITH_NATIVE_TLS,
            completion_timeout_s=settings.LIVE_MIGRATION_COMPLETION_TIMEOUT_S,
            timeout_action=settings.LIVE_MIGRATION_TIMEOUT_ACTION,
        ),
    )
