"""What has to be true in each second, and what has to be true when there is peace again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from uuid import UUID

from django.db import Error, connection
from django.db.models import Sum

from servers.drivers.simulated import Fleet, jobs
from servers.drivers.simulated.guests import ALIVE
from servers.errors import HypervisorUnavailable
from servers.inventory.reconciliation.reconcile import reconcile
from servers.models import ActionEvent, ActionRecord, Allocation, Host, Migration, Server
from servers.outage import drop_connections
from servers.states import MIGRATION_OVER, OPEN_ACTION_STATUSES, MigrationStatus

ENDED_TWICE = """
CREATE TABLE soak_wrong (said text);
CREATE FUNCTION soak_watch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status IN ('succeeded', 'failed', 'cancelled') AND NEW.status IS DISTINCT FROM OLD.status THEN
        INSERT INTO soak_wrong VALUES (OLD.slug || ' ' || OLD.uuid || ' has ended twice: ' || OLD.status || ', ' || NEW.status);
    END IF;
    IF NEW.attempt < OLD.attempt THEN
        INSERT INTO soak_wrong VALUES (OLD.slug || ' ' || OLD.uuid || ' went back to attempt ' || NEW.attempt);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER soak_watch AFTER UPDATE ON servers_actionrecord FOR EACH ROW EXECUTE FUNCTION soak_watch();
"""


class Watch:
    """Looks every second; what is wrong twice in a row is a violation, for two looks at two stores are never one."""

    def __init__(self, fleet: Fleet, over: threading.Event) -> None:
        self.fleet, self.over = fleet, over
        self.violations: list[str] = []
        self.looks = 0
        self.suspected: set[str] = set()

    def prepare(self) -> None:
        """Let the database itself notice what happens between two looks."""
        with connection.cursor() as cursor:
            cursor.execute(ENDED_TWICE)

    def run(self) -> None:
        while not self.over.wait(1):
            try:
                self.look()
            except (Error, HypervisorUnavailable):
                self.suspected = set()  # the database is down, or a process was stopped in the fleet's store
            finally:
                drop_connections()

    def look(self) -> None:
        """Look once."""
        found = set(self.wrong())
        self.violations += sorted(found & self.suspected)
        self.suspected = found - set(self.violations)
        self.looks += 1

    def places(self) -> dict[UUID, list[tuple[str, bool]]]:
        """Return where each guest is defined, and whether it has a process there, at this moment of the fleet."""
        found: dict[UUID, list[tuple[str, bool]]] = {}
        with jobs.truth(self.fleet.path) as db:
            for row in db.execute("SELECT host, uuid, power_state FROM guest WHERE NOT prepared_only"):
                found.setdefault(UUID(row["uuid"]), []).append((row["host"], row["power_state"] in ALIVE))
        return found

    def wrong(self) -> Iterator[str]:
        """Yield what is wrong now."""
        places = self.places()
        at_work = set(
            ActionRecord.objects.filter(status__in=OPEN_ACTION_STATUSES).values_list("server_id", flat=True)
        )
        for server in Server.objects.filter(deleted_at=None).select_related("host").exclude(pk__in=at_work):
            there = places.get(server.uuid, [])
            runs = [host for host, alive in there if alive]
            if len(runs) > 1:
                yield f"{server.name} runs on {runs}"
            if not there:
                yield f"{server.name} is nowhere"
            elif runs and (server.host is None or runs[0] != server.host.name):
                yield f"{server.name} runs on {runs[0]}, is recorded on {server.host}"
            elif not runs and server.vm_state in {"active", "resized", "paused"}:
                yield f"{server.name} stands still, and is recorded as {server.vm_state}"
        for host in Host.objects.annotate(taken=Sum("allocations__memory_mb")):
            if (host.taken or 0) > host.capacity()[1]:
                yield f"{host.name} has promised {host.taken} MiB, and has {host.capacity()[1]}"
        with connection.cursor() as cursor:
            cursor.execute("SELECT said FROM soak_wrong")
            yield from (said for (said,) in cursor.fetchall())

    def at_rest(self) -> Iterator[str]:
        """Yield what is wrong when everything has ended and the reconciler has passed by."""
        for _ in range(3):
            reconcile()
        yield from self.wrong()
        for record in ActionRecord.objects.filter(status__in=OPEN_ACTION_STATUSES):
            yield f"stuck: {record.slug} {record.pk} is {record.status}, attempt {record.attempt}: {record.error_text}"
        for server in Server.objects.filter(deleted_at=None).exclude(task_state=""):
            yield f"{server.name} has the task {server.task_state}"
        for move in Migration.objects.exclude(status__in=[*MIGRATION_OVER, MigrationStatus.FINISHED]):
            yield f"a migration of {move.server_id} is {move.status}"
        for event in ActionEvent.objects.filter(finished_at=None).exclude(
            action__status__in=OPEN_ACTION_STATUSES
        ):
            yield f"event {event.name} of {event.action_id} is open"
        charged = Allocation.objects.exclude(server=None).values_list("server_id", "host__name")
        homes = dict(Server.objects.filter(deleted_at=None).values_list("pk", "host__name"))
        if sorted(charged) != sorted(homes.items()):
            yield f"room is wrong: {set(charged) ^ set(homes.items())}"
