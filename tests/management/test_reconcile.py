"""manage.py reconcile, as a person and as a script runs it."""

from __future__ import annotations

import json

from servers.management.commands.reconcile import IN_ORDER, Command
from servers.models import Server
from servers.states import PowerState
from tests.management.conftest import Said, said_by
from tests.small_fleet import SmallFleet


def reconcile(*words: str) -> Said:
    """Run the command with these words."""
    return said_by(Command, *words)


def test_fleet_in_order_is_said_to_be_so(fleet: SmallFleet) -> None:
    fleet.add_server()
    assert reconcile() == Said(0, f"{IN_ORDER}\n", "")


def test_dry_run_shows_what_differs_and_repairs_nothing(fleet: SmallFleet) -> None:
    server = fleet.add_server("mail")
    fleet.simulation.stop_guest("node1", server.pk)
    line = reconcile("--dry-run").out.splitlines()[1]
    assert line.startswith("mail") and line.rstrip().endswith("safe")
    assert "is shutdown on node1" in line and "Record what is seen: shutdown." in line
    assert Server.objects.get().power_state == PowerState.RUNNING


def test_what_is_safe_is_repaired_and_the_rest_is_for_a_person(fleet: SmallFleet) -> None:
    for name in ("off", "lost"):
        fleet.add_server(name)
    fleet.simulation.stop_guest("node1", Server.objects.get(name="off").pk)
    fleet.simulation.remove_guest("node1", Server.objects.get(name="lost").pk)
    lost, off = reconcile().out.splitlines()[1:]
    assert lost.rstrip().endswith("for a person") and off.rstrip().endswith("repaired")
    assert len(reconcile().out.splitlines()) == 2


def test_json_is_one_document(fleet: SmallFleet) -> None:
    server = fleet.add_server("mail")
    fleet.simulation.stop_guest("node1", server.pk)
    document = json.loads(reconcile("--format", "json").out)
    (found,) = document["findings"]
    assert (found["kind"], found["server"], found["outcome"]) == ("power_state", str(server.pk), "repaired")
    assert (document["hosts"], document["silent"], document["exit_code"]) == (3, {}, 0)


def test_host_that_is_silent_shows_in_the_exit_code(fleet: SmallFleet) -> None:
    fleet.simulation.lose_host("node2")
    said = reconcile()
    assert (said.code, said.out) == (9, f"{IN_ORDER}\n")
    assert said.err == "node2 does not answer: Connection to the hypervisor is broken on host\n"
