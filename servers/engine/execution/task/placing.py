"""Choosing hosts, and claiming room on them: the implementation of `PlacingTask`."""

from __future__ import annotations

from collections.abc import Iterable

from servers.drivers.base import Disk
from servers.engine.capacity import claims, scheduling
from servers.engine.capacity.scheduling import select_hosts
from servers.engine.execution.task.events import Events
from servers.engine.records import changes
from servers.errors import Fault, GroupPolicyViolated


class Placing(Events):
    """What a step asks of the scheduler, and of the room on hosts."""

    def select(
        self, event: str, *, requested: str | None = None, ignore: Iterable[str] = (), at_most: int = 0
    ) -> tuple[str, ...]:
        """Return hosts in the scheduler's order; the event keeps all verdicts. Raises NoValidHost."""
        try:
            decision = select_hosts(self.server_row, requested=requested, ignore=ignore, at_most=at_most)
        except Fault as fault:
            self.add_facts(event, verdicts=scheduling.verdicts_of(fault))
            raise
        self.add_facts(event, verdicts=scheduling.as_data(decision.verdicts))
        return decision.hosts

    def check_forced(self, host: str) -> None:
        """Check a destination that was forced, past the scheduler. Raises ActionFault."""
        scheduling.check_forced(self.server_row, host)

    def claim(self, host: str) -> None:
        """Allocate the server's resources on `host`, in one transaction. Raises as `claims.claim`."""
        with self.fenced():
            self.take_effect()
            claims.claim(self.row.server_id, host)

    def check_group(self, host: str) -> None:
        """Check that the server's group still allows `host`. Raises GroupPolicyViolated."""
        self.forget_facts()  # the server's group is asked for as it is now
        reason = claims.group_refuses(self.server_row, host)
        if reason is not None:
            raise GroupPolicyViolated(reason=reason)

    def release(self) -> None:
        """Delete the allocation on the destination, or that of a server which the action makes."""
        with self.fenced():
            if self.row.migration_id is not None:
                claims.release(self.row.server_id, self.row.migration_id)
            elif self.definition.makes_server:
                claims.deallocate(self.row.server_id)

    def place_disk(self, host: str, disk: Disk) -> None:
        """Record where the disk of a new server is. Idempotent."""
        with self.fenced():
            changes.place_disk(self.row.server_id, host, disk)
        self.forget_facts()
