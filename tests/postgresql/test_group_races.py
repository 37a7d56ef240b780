"""What a group promises holds also on a database where writers do not wait for every other one."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any
from uuid import UUID

import pytest

from servers.engine.capacity import claims
from servers.errors import GroupPolicyViolated
from servers.models import Allocation, Host, Server, ServerGroup
from tests.engine.group_race import hold_races, rounds
from tests.postgresql.test_locks import in_a_thread, somebody_waits
from tests.postgresql.workers import environment_of, until
from tests.small_fleet import SmallFleet


def test_of_five_members_that_are_moved_to_one_host_at_once_one_lands_there(
    shared_database: str, tmp_path: Path
) -> None:
    hold_races({**environment_of(shared_database), "DATA_DIR": str(tmp_path)}, rounds(6))


class HeldClaim:
    """A claim that stops between its look at the group and its write."""

    def __init__(self, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pool, self.monkeypatch = pool, monkeypatch
        self.there, self.go_on = Event(), Event()

    def begin(self, server: UUID, host: str) -> Future[Any]:
        """Begin a claim, and return as soon as it has looked at the group."""
        real = claims.refuses

        def refuses(host: Host, wanted: tuple[int, int, int]) -> str | None:
            if not self.there.is_set():
                self.there.set()
                assert self.go_on.wait(30)
            return real(host, wanted)

        self.monkeypatch.setattr(claims, "refuses", refuses)
        claim = self.do(claims.claim, server, host)
        assert self.there.wait(30)
        return claim

    def do(self, work: Any, *args: Any) -> Future[Any]:
        return self.pool.submit(in_a_thread(lambda: work(*args)))


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[HeldClaim]:
    with ThreadPoolExecutor(2) as pool:
        claim = HeldClaim(pool, monkeypatch)
        yield claim
        claim.go_on.set()


def two_members(fleet: SmallFleet, policy: str) -> tuple[UUID, UUID]:
    """Return two members of a group, of whom nobody has a place yet."""
    servers = [fleet.add_server(name, "node3") for name in ("one", "two")]
    group = ServerGroup.objects.create(name="db", project_id="p", user_id="u", policy=policy)
    Server.objects.update(group=group, host=None)
    Allocation.objects.all().delete()
    return servers[0].pk, servers[1].pk


@pytest.mark.parametrize(("policy", "second"), [("affinity", "node2"), ("anti-affinity", "node1")])
def test_a_member_that_claims_waits_for_the_one_that_claims_already(
    fleet: SmallFleet, held: HeldClaim, policy: str, second: str
) -> None:
    one, two = two_members(fleet, policy)
    first = held.begin(one, "node1")
    other = held.do(claims.claim, two, second)
    until(lambda: somebody_waits() or other.done(), "the second claim neither waits nor ends")
    held.go_on.set()
    first.result(30)
    with pytest.raises(GroupPolicyViolated):
        other.result(30)
    assert [held.host.name for held in Allocation.objects.select_related("host")] == ["node1"]


def test_a_group_that_is_deleted_while_a_member_claims_is_gone_after_the_claim(
    fleet: SmallFleet, held: HeldClaim
) -> None:
    one, _ = two_members(fleet, "anti-affinity")
    claim = held.begin(one, "node1")
    deleted = held.do(ServerGroup.objects.all().delete)
    until(somebody_waits, "the deletion does not meet the claim")
    held.go_on.set()
    claim.result(30)
    deleted.result(30)
    assert not ServerGroup.objects.exists()
    assert not Server.objects.exclude(group=None).exists()
    assert Allocation.objects.filter(server=one).exists()


def test_servers_without_a_group_do_not_wait_for_each_other(fleet: SmallFleet, held: HeldClaim) -> None:
    one, two = two_members(fleet, "affinity")
    Server.objects.update(group=None)
    claim = held.begin(one, "node1")
    held.do(claims.claim, two, "node2").result(30)
    held.go_on.set()
    claim.result(30)
    assert Allocation.objects.count() == 2
