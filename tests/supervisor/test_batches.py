"""No chore writes many rows in one transaction, however many there are: others renew their leases beside it.

A chore is a name in CHORES, with the mess of a few hundred rows that it is for; a new one is tested by being there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone
from django_tasks import TaskResultStatus
from django_tasks_db.models import DBTaskResult

from servers import clock
from servers.audit import chain as chaining
from servers.clock import VirtualClock
from servers.drivers.base import Pool
from servers.engine.execution.lease import stall_foreign
from servers.engine.execution.queue import MOST_ENTRIES, PROMPT, sweep
from servers.engine.execution.queues.base import work_queue
from servers.engine.execution.queues.database import DatabaseQueue
from servers.engine.images import discard_left
from servers.engine.judgement.judge import RETURNS, look_again_when_hosts_return
from servers.engine.records import batches
from servers.inventory.discovery.apply import GUESTS_AT_ONCE, Owner, adopt
from servers.inventory.discovery.apply_hosts import POOLS_AT_ONCE
from servers.inventory.discovery.discover import discover
from servers.inventory.reconciliation.reconcile import reconcile
from servers.inventory.reconciliation.repairs import RECONCILE, drop_abandoned
from servers.models import (
    ActionEvent,
    ActionRecord,
    Allocation,
    Divergence,
    Host,
    IdempotencyKey,
    Image,
    KnownAddress,
    LoginFailures,
    Migration,
    ReconcilePass,
    Server,
    StoragePool,
    Token,
)
from servers.supervisor.overdue import CONFIRMED_AT_ONCE, confirm_overdue
from servers.supervisor.periodic_tasks import FOREIGN_AFTER_S, PeriodicTasks
from servers.supervisor.retention import FORGOTTEN, prune
from tests.factories import make_image, make_user
from tests.small_fleet import GIB, SmallFleet
from tests.transactions import counted
from tests.unknown_guests import place, stranger

pytestmark = pytest.mark.django_db(transaction=True)

MANY = 320
GUESTS = 3 * GUESTS_AT_ONCE
AT_ONCE = 40
"""How many small rows are written at once here."""
OF_A_GUEST = 5
"""Rows: its server, disk, interface and room, and its host's generation."""
LONG_AGO = timedelta(days=1000)


@pytest.fixture
def fleet(transactional_db: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallFleet]:
    """Return a small fleet in virtual time, in a database whose transactions really end."""
    monkeypatch.setattr(batches, "ROWS_AT_ONCE", AT_ONCE)
    monkeypatch.setattr(chaining, "AT_ONCE", AT_ONCE)
    settings.RESIZE_CONFIRM_WINDOW_S = 60
    with clock.use(VirtualClock()):
        yield SmallFleet()


@dataclass(frozen=True)
class Chore:
    """What is done to many rows, what has to be there for it, how much a transaction may write, and what is left."""

    mess: Callable[[SmallFleet], object]
    do: Callable[[SmallFleet], object]
    limit: int
    left: Callable[[], int]
    task: str = ""
    """The task of a supervisor in which it is done."""


def make_servers(fleet: SmallFleet, many: int = MANY, **fields: Any) -> list[Server]:
    """Return many servers on node1."""
    fields = {"vm_state": "active", "power_state": 1, "launched_at": clock.now(), **fields}
    host = Host.objects.get(name="node1")
    rows = [
        Server(
            name=f"s{n}",
            number=n + 10_000,
            user_id="u",
            project_id=fleet.project.pk,
            vcpus=0,
            memory_mb=1,
            host=host,
            **fields,
        )
        for n in range(many)
    ]
    return Server.objects.bulk_create(rows)


def make_actions(fleet: SmallFleet, servers: list[Server], **fields: Any) -> list[ActionRecord]:
    """Return one action of each of the servers."""
    then = clock.now() - LONG_AGO
    known = {"slug": "lock", "name": "lock", "user_id": "u", "project_id": "p", "microversion": "2.1"}
    known |= {"status": "succeeded", "finished_at": then, "created_at": then, **fields}
    return ActionRecord.objects.bulk_create(
        ActionRecord(server=server, request_id=f"req-{n}", **known) for n, server in enumerate(servers)
    )


def place_guests(fleet: SmallFleet) -> None:
    for n in range(GUESTS):
        place(fleet, stranger(f"g{n}"))


def give_many_pools(fleet: SmallFleet) -> None:
    pools = [Pool(f"p{n}", f"/srv/{n}", False, GIB, GIB) for n in range(MANY)]
    fleet.simulation.add_host("node1", memory_mb=8192, pools=pools)


def adopt_all(fleet: SmallFleet) -> None:
    adopt(discover(), Owner(fleet.project.pk, "somebody"))


def old_actions(fleet: SmallFleet) -> None:
    """Make actions, three events of each, and one that has overtaken another."""
    actions = make_actions(fleet, make_servers(fleet))
    ActionEvent.objects.bulk_create(ActionEvent(action=a, name="e") for a in actions for _ in range(3))
    ActionRecord.objects.filter(pk=actions[0].pk).update(overtaken_by=actions[1].pk)


def one_long_action(fleet: SmallFleet) -> None:
    (action,) = make_actions(fleet, make_servers(fleet)[:1])
    ActionEvent.objects.bulk_create(ActionEvent(action=action, name="e") for _ in range(MANY))


def old_moves(fleet: SmallFleet) -> None:
    """Make moves that are over, and actions that speak of them."""
    then = clock.now() - LONG_AGO
    moves = Migration.objects.bulk_create(
        Migration(
            server=server, migration_type="migration", status="confirmed", user_id="u", finished_at=then
        )
        for server in make_servers(fleet)
    )
    actions = make_actions(fleet, list(Server.objects.order_by("pk")))
    for action, move in zip(actions, sorted(moves, key=lambda m: m.server_id), strict=True):
        action.migration = move
    ActionRecord.objects.bulk_update(actions, ["migration"])


def old_tokens(fleet: SmallFleet) -> None:
    user, then = make_user(), clock.now() - LONG_AGO
    rows = (Token(digest=str(n), user=user, issued_at=then, expires_at=then) for n in range(MANY))
    Token.objects.bulk_create(rows)


def old_logins(fleet: SmallFleet) -> None:
    """Make sessions that have ended, and what was remembered of logins."""
    then = clock.now() - LONG_AGO
    Session.objects.bulk_create(
        Session(session_key=str(n), session_data="", expire_date=then) for n in range(MANY)
    )
    LoginFailures.objects.bulk_create(
        LoginFailures(of=LoginFailures.Of.PAIR, name=str(n), address="192.0.2.1", ends_at=then)
        for n in range(MANY)
    )
    KnownAddress.objects.bulk_create(KnownAddress(address=str(n), seen_at=then) for n in range(MANY))


def old_answers(fleet: SmallFleet) -> None:
    """Make answers that are kept for requests that may come again."""
    IdempotencyKey.objects.bulk_create(
        IdempotencyKey(digest=str(n), fingerprint="", token=uuid4(), claimed_at=clock.now() - LONG_AGO)
        for n in range(MANY)
    )


def old_queue_entries(fleet: SmallFleet) -> None:
    then = timezone.now() - LONG_AGO
    DBTaskResult.objects.bulk_create(
        DBTaskResult(
            task_path="x",
            status=TaskResultStatus.SUCCESSFUL,
            finished_at=then,
            backend_name="default",
            args_kwargs={"args": [], "kwargs": {}},
            run_after=then,
        )
        for _ in range(MANY)
    )


def lost_guests(fleet: SmallFleet) -> None:
    """Let every server's guest be lost, and a comparison of before have found as much."""
    earlier = ReconcilePass.objects.create(started_at=clock.now() - LONG_AGO, finished_at=clock.now())
    Divergence.objects.bulk_create(
        Divergence(reconcile=earlier, server=server, kind="guest_missing", what="w", proposal="p")
        for server in make_servers(fleet)
    )


def changes(fleet: SmallFleet) -> None:
    """Let many rows be changed, each of which leaves a record in the audit trail."""
    make_servers(fleet)


def abandoned_repairs(fleet: SmallFleet) -> None:
    make_actions(fleet, make_servers(fleet), slug=RECONCILE, status="running", finished_at=None)


def overdue_moves(fleet: SmallFleet) -> None:
    then = clock.now() - LONG_AGO
    known = {"user_id": "u", "source_compute": "node1", "dest_compute": "node2", "updated_at": then}
    Migration.objects.bulk_create(
        Migration(server=server, migration_type="migration", status="finished", **known)
        for server in make_servers(fleet, 2 * CONFIRMED_AT_ONCE, vm_state="resized")
    )


def images_left(fleet: SmallFleet) -> None:
    for n in range(AT_ONCE):
        make_image(fleet.project, name=str(n), status="deleted", deleted_at=clock.now() - LONG_AGO)


def actions_not_enqueued(fleet: SmallFleet) -> None:
    make_actions(fleet, make_servers(fleet), slug="reset-network", status="queued", finished_at=None)


def actions_of_another_version(fleet: SmallFleet) -> None:
    """Let actions be due for long that no worker here knows."""
    make_actions(fleet, make_servers(fleet), slug="of-tomorrow", status="queued", finished_at=None)
    ActionRecord.objects.update(due_at=clock.now() - LONG_AGO)


def actions_that_wait_for_hosts(fleet: SmallFleet) -> None:
    """Let actions wait for a person, of which hosts were down that are heard of again."""
    stalled = {
        "status": "unknown",
        "finished_at": None,
        "stalled_at": clock.now(),
        "memo": {RETURNS: ["node1"]},
    }
    make_actions(fleet, make_servers(fleet, 100), slug="live-migration", **stalled)


SMALL = 2 * AT_ONCE
"""A batch of small rows, and those that pointed at them."""

CHORES: dict[str, Chore] = {
    "adopt guests": Chore(
        place_guests,
        adopt_all,
        GUESTS_AT_ONCE * OF_A_GUEST + GUESTS_AT_ONCE,
        lambda: GUESTS - Allocation.objects.count(),
    ),
    "adopt a host with many pools": Chore(
        give_many_pools,
        adopt_all,
        2 * POOLS_AT_ONCE,
        lambda: MANY - StoragePool.objects.filter(hosts__name="node1").count(),
    ),
    "forget actions": Chore(
        old_actions, lambda fleet: prune(), SMALL, ActionRecord.objects.count, task="prune"
    ),
    "forget answers to requests": Chore(
        old_answers, lambda fleet: prune(), SMALL, IdempotencyKey.objects.count
    ),
    "forget an action with many events": Chore(
        one_long_action, lambda fleet: prune(), SMALL, ActionEvent.objects.count
    ),
    "forget moves": Chore(old_moves, lambda fleet: prune(), SMALL, Migration.objects.count),
    "forget tokens": Chore(old_tokens, lambda fleet: prune(), SMALL, Token.objects.count),
    "forget logins": Chore(
        old_logins,
        lambda fleet: prune(),
        SMALL,
        lambda: Session.objects.count() + LoginFailures.objects.count() + KnownAddress.objects.count(),
    ),
    "forget queue entries": Chore(
        old_queue_entries,
        lambda fleet: DatabaseQueue("default", {}).tidy_up(),
        SMALL,
        DBTaskResult.objects.count,
        task="tidy up",
    ),
    "keep what was found": Chore(
        lost_guests,
        lambda fleet: reconcile(),
        SMALL,
        lambda: ReconcilePass.objects.count() - 1 + abs(Divergence.objects.count() - 2 * MANY),
        task="reconcile",
    ),
    "drop abandoned repairs": Chore(
        abandoned_repairs,
        lambda fleet: drop_abandoned(),
        5,
        ActionRecord.objects.filter(status="running").count,
    ),
    "chain the audit trail": Chore(
        changes,
        lambda fleet: chaining.chain(),
        AT_ONCE,
        lambda: chaining.unchained().count(),
        task="chain",
    ),
    "confirm overdue moves": Chore(
        overdue_moves,
        lambda fleet: [confirm_overdue(), confirm_overdue()],
        10,
        lambda: 2 * CONFIRMED_AT_ONCE - ActionRecord.objects.filter(slug="confirm-resize").count(),
        task="confirm",
    ),
    "discard images": Chore(
        images_left,
        lambda fleet: discard_left(),
        5,
        Image.objects.filter(discarded_at=None).count,
        task="discard",
    ),
    "look again": Chore(
        actions_that_wait_for_hosts,
        lambda fleet: look_again_when_hosts_return(),
        5,
        ActionRecord.objects.exclude(stalled_at=None).count,
        task="look again",
    ),
    "give up what no worker knows": Chore(
        actions_of_another_version,
        lambda fleet: stall_foreign(FOREIGN_AFTER_S),
        5,
        ActionRecord.objects.filter(stalled_at=None).count,
        task="foreign actions",
    ),
    "enqueue again": Chore(
        actions_not_enqueued,
        lambda fleet: sweep(),
        5,
        lambda: MOST_ENTRIES - work_queue().count_ready(PROMPT, MANY),
        task="sweep",
    ),
}


ONE_WRITE = {"presence", "heartbeats"}
"""Duties that write a row, or one for each host."""


@pytest.mark.parametrize("name", list(CHORES))
def test_chore_is_done_in_small_transactions(fleet: SmallFleet, name: str) -> None:
    chore = CHORES[name]
    chore.mess(fleet)
    with counted() as transactions:
        chore.do(fleet)
    assert chore.left() == 0
    assert 0 < transactions.largest <= chore.limit, sorted(transactions.rows)[-5:]


def test_every_duty_of_a_supervisor_is_among_them() -> None:
    tasks = {task.name for task in PeriodicTasks("here", 1).tasks}
    assert tasks - {chore.task for chore in CHORES.values()} == ONE_WRITE


def test_what_is_counted_is_what_one_transaction_writes(fleet: SmallFleet) -> None:
    with counted() as transactions:
        make_servers(fleet)
        Server.objects.update(memory_mb=2)
    assert transactions.largest == MANY


def test_every_kind_that_is_forgotten_has_been_made_here(fleet: SmallFleet) -> None:
    for mess in (old_actions, old_tokens, old_logins, old_answers):
        mess(fleet)
    Migration.objects.bulk_create(
        Migration(
            server=server, migration_type="migration", status="error", finished_at=clock.now() - LONG_AGO
        )
        for server in Server.objects.all()
    )
    assert [kind.name for kind in FORGOTTEN if not kind.rows().exists()] == []
