"""One attempt at an action: `servers.actions.task.Task`, implemented with models, drivers and the lease."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import Error as DatabaseFault
from django.db.models import Count, Q

from servers import clock
from servers.actions import definitions
from servers.actions.base import Action
from servers.actions.task import Change, Limits, MigrationFacts, ServerFacts
from servers.drivers.base import (
    Disk,
    Driver,
    Guest,
    HostRef,
    JobKind,
    MoveOptions,
    Progress,
    Saved,
    Snapshot,
)
from servers.engine import images
from servers.engine.capacity import claims, scheduling
from servers.engine.capacity.scheduling import select_hosts
from servers.engine.execution import ownership, single_instance
from servers.engine.execution.fence import ActionFence
from servers.engine.execution.lease import Lease, fenced, renew
from servers.engine.execution.lease_renewal import Heartbeat
from servers.engine.records import changes, events, sealed_parameters
from servers.engine.records import progress as progress_of
from servers.engine.records.facts import migration_facts, server_facts
from servers.errors import (
    ActionFault,
    BelongsToAnother,
    Cancelled,
    ComputeHostNotFound,
    DriverFault,
    Fault,
    GroupPolicyViolated,
    HypervisorTimeout,
    Later,
    LeaseLost,
)
from servers.fleet import guest_location
from servers.fleet.drivers import KnownFleet, driver_of, guest_of, ref
from servers.microversions import Microversion
from servers.models import ActionRecord, Host, Migration, Server
from servers.states import (
    MigrationStatus,
    MigrationType,
    PowerState,
)

log = structlog.get_logger(__name__)

SLOT_RETRY_S = 2.0
JOB_POLL_S = 0.5
JOB_LIMIT_S = 60.0
"""Seconds that a move may run on after it was asked to stop; then its outcome is unknown."""


class WorkingTask:
    """The implementation of `Task` for one attempt at an action, under a lease.

    What steps leave is written at once, so that the next attempt finds it. Every write raises LeaseLost when
    another attempt has the action. With `deadline_s` `checkpoint` raises Later after so many seconds.
    """

    def __init__(
        self, lease: Lease, heartbeat: Heartbeat | None = None, deadline_s: float | None = None
    ) -> None:
        self.lease = lease
        self.heartbeat = heartbeat
        self.deadline = clock.now() + timedelta(seconds=deadline_s) if deadline_s is not None else None
        self.force_sent = False
        self.fault: ActionFault | None = None
        self.owners: dict[int | None, UUID] = {}
        self.row = ActionRecord.objects.get(pk=lease.action)
        self.params: Mapping[str, Any] = self.row.params
        self.microversion = Microversion.parse(self.row.microversion)
        self.limits = Limits(
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

    @cached_property
    def definition(self) -> Action:
        """Return the action's definition. Raises KeyError for one of another version, which can only be closed."""
        return definitions[self.row.slug]()

    # ------------------------------------------------------------------------------------------ facts

    def _server(self) -> Server:
        return Server.objects.select_related("host").get(pk=self.row.server_id)

    @property
    def server(self) -> ServerFacts:
        """Return the facts of the server, read again."""
        return server_facts(self._server())

    @property
    def guest(self) -> Guest:
        """Return the guest that a hypervisor has to run for the server, read again."""
        return guest_of(self._server())

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
    def migration(self) -> MigrationFacts:
        """Return the facts of the action's migration, read again. Raises LookupError when it has none."""
        return migration_facts(self._migration())

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

    def is_up(self, host: str) -> bool:
        """Return whether the host answered lately, and is not forced down."""
        return KnownFleet().is_up(host)

    def host(self, name: str) -> HostRef:
        """Return how a driver reaches the host. Raises ComputeHostNotFound."""
        found = Host.objects.filter(name=name).first()
        if found is None:
            raise ComputeHostNotFound(host=name)
        return ref(found)

    def driver(self, host: str) -> Driver:
        """Return the host's driver, fenced by this attempt. Raises ComputeHostNotFound, NotSupported."""
        return driver_of(self.host(host), self.fence())

    def fence(self) -> ActionFence:
        """Return the fence of this attempt; its owner changes when a step opens a migration."""
        of_migration = self.row.migration_id
        if of_migration not in self.owners:
            self.owners[of_migration] = ownership.owner_of(
                self.row, makes_server=self.definition.makes_server
            )
        return ActionFence(self.owners[of_migration], self.prove, self.prove_alone)

    def secret(self, name: str) -> str:
        """Return a secret parameter in clear text. Raises KeyError when there is none of this name."""
        return sealed_parameters.unseal(self.row.sealed)[name]

    # --------------------------------------------------------------------------------------- the record

    def write(self, **values: Any) -> None:
        """Write fields of the action record, in one transaction. Raises LeaseLost."""
        with fenced(self.lease):
            self._save(**values)

    def _save(self, **values: Any) -> None:
        for name, value in values.items():
            setattr(self.row, name, value)
        self.row.updated_at = clock.now()
        self.row.save(update_fields=[*values, "updated_at"])

    def _reread(self) -> ActionRecord:
        """Return the record as the database has it: `row` lacks what other processes have written."""
        return ActionRecord.objects.get(pk=self.lease.action)

    def begin_step(self, name: str) -> None:
        """Write to the journal that a step begins, before it has an effect."""
        self.beat()
        self.row.begin(name)
        self.write(steps=self.row.steps, step=name)

    def finish_step(self, name: str) -> None:
        """Add to the journal that a step is done; written with the next step, the end, or the requeue."""
        self.row.finish(name)

    def prove(self) -> None:
        """Renew the lease, and write to the journal that the running step may have had an effect.

        To be called directly before each effect: the database decides, not what this process remembers.
        Raises LeaseLost.
        """
        if self.heartbeat is not None and self.heartbeat.is_lost:
            raise LeaseLost
        journal = {}
        if self._is_first_effect():
            self.row.mark(self.row.step, "effect")
            journal = {"steps": self.row.steps}
        if not renew(self.lease, **journal):
            raise LeaseLost

    def _is_first_effect(self) -> bool:
        return bool(self.row.step) and not self.row.verdict and self.row.step not in self.row.effective

    def _take_effect(self) -> None:
        """Write to the journal, in the caller's transaction, that the running step has an effect.

        Only for a step with `has_a_way_back`: undo and later attempts go by it.
        """
        step = next((step for step in self.definition.steps if step.name == self.row.step), None)
        if step is not None and step.has_a_way_back and self._is_first_effect():
            self.row.mark(self.row.step, "effect")
            self._save(steps=self.row.steps)

    def prove_alone(self, host: str) -> None:
        """Prove the lease, and check that no other host runs the guest which is to be started on `host`.

        Raises LeaseLost, GuestOnTwoHosts, HypervisorUnavailable.
        """
        self.prove()
        single_instance.refuse_elsewhere(self._server(), {host}, self._must_answer())

    def alone_at(self, *hosts: str) -> None:
        """Check that the guest runs on no other host. Raises GuestOnTwoHosts, HypervisorUnavailable."""
        single_instance.refuse_elsewhere(self._server(), set(hosts), self._must_answer())

    def _must_answer(self) -> set[str]:
        """Return the hosts that may run the guest, by the records; while one is silent, it is not started.

        Hosts that an operator has declared dead in a judgement are left out.
        """
        arriving = {step.name for step in self.definition.steps if step.arrives} & set(self.row.effective)
        server = self._server()
        hosts = {self.source, server.host.name if server.host else ""}
        if arriving and self.row.migration_id is not None:
            hosts.add(self._migration().dest_compute)
        answered_for = {name for said in self.row.judgements for name in said.get("dead_hosts", [])}
        return hosts - {""} - answered_for

    def decide(self, edge: str, fault: ActionFault | None = None) -> None:
        """Write how the action ends before anything is undone: the next attempt does not decide again."""
        self.fault = fault
        said = {"code": fault.code, "text": str(fault)} if fault is not None else {}
        self.write(verdict={"edge": edge, **said})

    def mark_undone(self, name: str) -> None:
        """Write to the journal that a step is undone."""
        self.row.mark(name, "undone")
        self.write(steps=self.row.steps)

    def not_undone(self, name: str, reason: str) -> None:
        """Write what could not be undone, and on which host, so that the reconciler removes it."""
        self.answer(not_undone=[*self.row.result.get("not_undone", []), f"{name}: {reason}"])
        moved = self.row.migration_id is not None
        self.write(left_on=self._migration().dest_compute if moved else self.source)

    def leave_behind(self, host: str, reason: str) -> None:
        """Write that something is left on `host`, and why, so that the reconciler removes it."""
        self.answer(left_behind=f"{host}: {reason}")
        self.write(left_on=host)

    def remember(self, **facts: Any) -> None:
        """Merge `facts` into the record's memo."""
        self.write(memo={**self.row.memo, **facts})

    def answer(self, **facts: Any) -> None:
        """Merge `facts` into the record's result."""
        self.write(result={**self.row.result, **facts})

    def record(self, change: Change) -> None:
        """Write `change` in one transaction, with the effect of the running step. Raises LeaseLost."""
        with fenced(self.lease):
            self._take_effect()
            changes.apply(self.row, change)

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
        if self.deadline is not None and clock.now() > self.deadline:
            raise Later(reason="the request has waited long enough", delay_s=0)

    # ------------------------------------------------------------------------------------------- events

    @contextmanager
    def event(self, name: str, host: str = "") -> Iterator[None]:
        """Record an event around the block, with Success, or Error and what the block raises.

        After LeaseLost, Later, HypervisorTimeout or a database error the event stays open: the next attempt
        goes on with it. Cancelled is a Success.
        """
        self.open_event(name, host)
        try:
            yield
        except (LeaseLost, Later, HypervisorTimeout, DatabaseFault):
            raise  # the event is not over: the next attempt goes on with it
        except Fault as fault:
            self._close(name, host, fault)
            raise
        except Exception as error:
            self._close(name, host, error)
            raise
        self._close(name, host, None)

    def _close(self, name: str, host: str | None, fault: BaseException | None) -> None:
        with fenced(self.lease):
            event = events.newest_open(self.row, name, host)
            if event is not None:
                events.close_event(event, None if isinstance(fault, Cancelled) else fault)

    def open_event(self, name: str, host: str = "") -> None:
        """Begin an event that spans steps. Does nothing when it is open."""
        with fenced(self.lease):
            events.open_event(self.row, name, host)

    def close_event(self, name: str, fault: ActionFault | None = None) -> None:
        """End the newest open event of this name, on whichever host; does nothing when there is none."""
        self._close(name, None, fault)

    def add_facts(self, name: str, **facts: Any) -> None:
        """Merge `facts` into the newest event of this name."""
        with fenced(self.lease):
            events.add_facts(self.row, name, facts)

    # ------------------------------------------------------------------------------------- destinations

    def open_migration(self, kind: MigrationType, destination: str = "") -> None:
        """Insert the migration and hand the source's allocation over to it, in one transaction.

        Does nothing when the action has a migration.
        """
        if self.row.migration_id is not None:
            return
        server = self._server()
        source = Host.objects.get(name=self.source)
        with fenced(self.lease):
            first = MigrationStatus.ACCEPTED if kind is MigrationType.LIVE else MigrationStatus.PRE_MIGRATING
            self.row.migration = Migration.objects.create(
                server=server,
                migration_type=kind,
                status=first,
                statuses=[first.value],
                user_id=self.row.user_id,
                project_id=self.row.project_id,
                source_compute=source.name,
                source_node=source.hypervisor_hostname,
                dest_compute=destination,
                old_vm_state=self.row.former_vm_state,
                old_flavor=server.flavor_id,
                new_flavor=server.flavor_id,
            )
            self._save(migration=self.row.migration)
            claims.charge_migration(server.pk, self.row.migration)

    def select(
        self, event: str, *, requested: str | None = None, ignore: Iterable[str] = (), at_most: int = 0
    ) -> tuple[str, ...]:
        """Return hosts in the scheduler's order; the event keeps all verdicts. Raises NoValidHost."""
        try:
            decision = select_hosts(self._server(), requested=requested, ignore=ignore, at_most=at_most)
        except Fault as fault:
            self.add_facts(event, verdicts=scheduling.verdicts_of(fault))
            raise
        self.add_facts(event, verdicts=scheduling.as_data(decision.verdicts))
        return decision.hosts

    def check_forced(self, host: str) -> None:
        """Check a destination that was forced, past the scheduler. Raises ActionFault."""
        scheduling.check_forced(self._server(), host)

    def claim(self, host: str) -> None:
        """Allocate the server's resources on `host`, in one transaction. Raises as `claims.claim`."""
        with fenced(self.lease):
            self._take_effect()
            claims.claim(self.row.server_id, host)

    def check_group(self, host: str) -> None:
        """Check that the server's group still allows `host`. Raises GroupPolicyViolated."""
        reason = claims.group_refuses(self._server(), host)
        if reason is not None:
            raise GroupPolicyViolated(reason=reason)

    def release(self) -> None:
        """Delete the allocation on the destination, or that of a server which the action makes."""
        with fenced(self.lease):
            if self.row.migration_id is not None:
                claims.release(self.row.server_id, self.row.migration_id)
            elif self.definition.makes_server:
                claims.deallocate(self.row.server_id)

    def take_slot(self, edge: str) -> None:
        """Apply `edge` to the migration, when the source may run one more (Nova contract B.6, 8).

        The source's running migrations are counted under the lock of its row. Raises Later when there are
        MAX_CONCURRENT_LIVE_MIGRATIONS.
        """
        busy = Q(status__in=[MigrationStatus.PREPARING, MigrationStatus.RUNNING])
        with fenced(self.lease):
            Host.objects.select_for_update().get(name=self.source)
            mine = self._migration().status in {MigrationStatus.PREPARING, MigrationStatus.RUNNING}
            moving = Migration.objects.filter(busy, source_compute=self.source).aggregate(n=Count("pk"))["n"]
            if not mine and moving >= settings.MAX_CONCURRENT_LIVE_MIGRATIONS:
                raise Later(reason=f"{moving} migrations run from {self.source}", delay_s=SLOT_RETRY_S)
            changes.apply(self.row, Change(migration=(edge,)))

    def place_disk(self, host: str, disk: Disk) -> None:
        """Record where the disk of a new server is. Idempotent."""
        with fenced(self.lease):
            changes.place_disk(self.row.server_id, host, disk)

    def clear_leftover(self, fault: BelongsToAnother) -> None:
        """Remove what the owner in `fault` has left of the guest; raise `fault` when its work is not over."""
        owner = UUID(fault.facts["owner"])
        if not ownership.is_over(owner):
            raise fault
        fence = ActionFence(owner, self.prove, self.prove_alone)
        driver_of(self.host(fault.facts["host"]), fence).disown(self.guest)
        log.info(
            "action.leftover_cleared", action=str(self.row.pk), host=fault.facts["host"], owner=str(owner)
        )

    def wait_for_job(self, host: str) -> None:
        """Wait until no live migration of the guest runs from `host`, and renew the lease meanwhile.

        Raises HypervisorTimeout after JOB_LIMIT_S, LeaseLost.
        """
        driver, until = self.driver(host), clock.monotonic() + JOB_LIMIT_S
        while (found := driver.find_guest(self.row.server_id)) and found.job is JobKind.LIVE_MIGRATION:
            if clock.monotonic() > until:
                raise HypervisorTimeout(host=host, verb="abort", limit_s=f"{JOB_LIMIT_S:g}")
            self.beat()
            if not renew(self.lease):
                raise LeaseLost
            clock.sleep(JOB_POLL_S)

    def guest_host(self, *hosts: str) -> str | None:
        """Return which of the hosts has the guest, None when none has it; see `guest_location.guest_host`."""
        return guest_location.guest_host(self._server(), {name: self.driver(name) for name in hosts})

    # --------------------------------------------------------------------------------------- progress

    def report(self, progress: Progress) -> None:
        """Write the progress of the running job, and renew the lease. Raises LeaseLost.

        A move that was asked to stop or to complete is told so here, in case the control action did not reach
        it.
        """
        self.beat()
        if not renew(self.lease):
            raise LeaseLost
        with fenced(self.lease):
            fresh = self._reread()
            percent = max(self.row.progress_percent, progress_of.percent_done(progress))
            self._save(progress_percent=percent)
            Server.objects.filter(pk=self.row.server_id).update(progress=percent)
            if self.row.migration_id is not None:
                progress_of.keep(self._migration(lock=True), progress)
        if self.row.migration_id is not None:
            self._hand_over_requests(fresh)

    def _hand_over_requests(self, fresh: ActionRecord) -> None:
        """Call abort or force_complete on the driver when the running move was asked to stop or to complete.

        A DriverFault is only logged: the next report tries again, and the move goes on.
        """
        live = self.driver(self.source).live_migration
        if live is None:
            return
        try:
            if fresh.cancel_requested_at:
                live.abort(self.guest)
            elif fresh.force_requested_at and not self.force_sent:
                self.force_sent = live.force_complete(self.guest)
        except DriverFault as fault:
            log.warning("action.request_not_taken", action=str(fresh.pk), reason=str(fault))

    # ----------------------------------------------------------------------------------------- images

    def _image_id(self) -> UUID:
        if self.row.image_id is None:
            raise LookupError(f"action {self.row.pk} makes no image")
        return self.row.image_id

    def image_target(self) -> Path:
        """Return the path on which the driver writes the image. Raises ImageStoreFault."""
        return images.store().place(self._image_id())

    def keep_image(self, snapshot: Snapshot) -> None:
        """Make the written file the image, and record it as complete. Raises LeaseLost, ImageStoreFault."""
        self.prove()
        size = images.commit(self._image_id(), snapshot)
        with fenced(self.lease):
            images.activate(self._image_id(), snapshot, size, self.host(self.source).driver)

    def saved(self) -> Saved:
        """Return the backup that the action restores. Raises ImageStoreFault."""
        return images.saved(self._image_id())

    def rotate_images(self, backup_type: str, keep: int) -> None:
        """Delete the oldest finished backups of the server and type beyond `keep`; their bytes go last.

        What goes is decided once, and written in one transaction: a later attempt only removes bytes. Raises
        ImageStoreFault when the store cannot be asked, and then nothing is deleted.
        """
        if "rotated_out" not in self.row.result:
            seen = images.survey(self.row.server_id, backup_type, keep, newest=self._image_id())
            with fenced(self.lease):
                gone = images.rotate(self.row.server_id, backup_type, keep, seen, newest=self._image_id())
                self._take_effect()
                out = {"rotated_out": [str(image) for image in gone]}
                lost = {"lost": sorted(str(image) for image in seen.lost)}
                self._save(result={**self.row.result, **out}, memo={**self.row.memo, **lost})
        for image in {*self.row.result["rotated_out"], *self.row.memo.get("lost", [])}:
            images.discard(UUID(image))

    # -------------------------------------------------------------------------------------------- ends

    def requeue(self, delay_s: float, *, tries: int | None = None) -> None:
        """Put the action back into the queue, due in `delay_s` seconds.

        Does not count as an attempt without progress. `tries` is how often a retryable fault has put it back;
        None leaves the number as it is.
        """
        with fenced(self.lease):
            row = self._reread()
            row.apply_edge("requeue")
            row.lease_until = None
            row.due_at = clock.now() + timedelta(seconds=delay_s)
            row.tries = row.tries if tries is None else tries
            row.last_progress = ""
            row.steps = self.row.steps
            row.save(update_fields=["status", "lease_until", "due_at", "tries", "last_progress", "steps"])

    def end(self, edge: str, change: Change, fault: Fault | None = None) -> None:
        """Write the action's end, with `change`, in one transaction.

        Workers and judgements end an action only here. `edge` is succeed, fail or cancel. The record keeps
        `fault` with any edge; open events end with Error only for fail. A request to stop that comes later
        has no effect. Raises LeaseLost, TransitionNotAllowed.
        """
        with fenced(self.lease):
            row = self._reread()
            changes.apply(row, change)
            events.close_all(row, fault if edge == "fail" else None)
            row.apply_edge(edge)
            row.message = "Error" if edge == "fail" else ""
            row.error_code, row.error_text = (fault.code, str(fault)) if fault else ("", "")
            row.sealed = row.step = ""
            row.steps = self.row.steps
            row.lease_until = row.stalled_at = None
            row.finished_at = row.updated_at = clock.now()
            row.progress_percent = 100 if edge == "succeed" else row.progress_percent
            row.save(
                update_fields=[
                    "status",
                    "message",
                    "error_code",
                    "error_text",
                    "sealed",
                    "step",
                    "steps",
                    "lease_until",
                    "stalled_at",
                    "finished_at",
                    "updated_at",
                    "progress_percent",
                ]
            )
        if change.image == "delete_image" and self.row.image_id is not None:
            images.discard(self.row.image_id)
