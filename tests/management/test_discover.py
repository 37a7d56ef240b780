"""manage.py discover, as a person and as a script runs it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from io import StringIO

import pytest
from django.core.management import CommandError

from servers.inventory.discovery.apply import Adopted, Owner
from servers.inventory.discovery.plan import Plan
from servers.management.commands import discover as discovering
from servers.management.commands.discover import Command
from servers.models import Host, Server
from tests.factories import make_project
from tests.management.conftest import Said, said_by
from tests.small_fleet import SmallFleet
from tests.unknown_guests import place, stranger


@pytest.fixture(autouse=True)
def admin_project(db: None) -> None:
    make_project(name="admin")


class Terminal(StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


def discover(monkeypatch: pytest.MonkeyPatch, *words: str, typed: str | None = None) -> Said:
    """Run the command with these words."""
    monkeypatch.setattr(sys, "stdin", StringIO() if typed is None else Terminal(typed))
    return said_by(Command, *words)


def test_dry_run_shows_a_table_and_writes_nothing(fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    place(fleet, stranger("mail"))
    said = discover(monkeypatch, "--dry-run")
    assert said.code == 0 and not Server.objects.exists()
    line = next(line for line in said.out.splitlines() if "guest new" in line)
    assert "node1" in line and "mail" in line and "memory: 1024 MiB" in line


def test_yes_writes_and_the_second_run_has_nothing_to_do(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(fleet, stranger("mail"))
    assert discover(monkeypatch, "--yes").out.endswith("Written: 4.\n")
    assert Server.objects.get().name == "mail"
    assert discover(monkeypatch, "--yes").out == "Nothing to do.\n"


def change_while_it_is_read(monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]) -> None:
    """Let something happen while a person reads the plan."""

    def read(prompt: str) -> str:
        change()
        return "y"

    monkeypatch.setattr("builtins.input", read)


def test_what_has_changed_while_a_person_read_the_plan_is_left_alone_and_named(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    discover(monkeypatch, "--yes")
    server = fleet.add_server("lost")
    fleet.simulation.remove_guest("node1", server.pk)
    place(fleet, stranger("mail"))
    change_while_it_is_read(monkeypatch, lambda: fleet.submit("migrate", server))
    said = discover(monkeypatch, typed="")
    assert said.code == 0 and said.out.endswith("Written: 1.\n")
    assert said.err == "Left alone: guest gone node1 lost: an action is going on\n"


def test_plan_of_which_nothing_could_be_written_is_a_conflict(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    discover(monkeypatch, "--yes")
    server = fleet.add_server("lost")
    fleet.simulation.remove_guest("node1", server.pk)
    change_while_it_is_read(monkeypatch, lambda: fleet.submit("migrate", server))
    said = discover(monkeypatch, typed="")
    assert said.code == 5 and said.out.endswith("Written: 0.\n")


def test_json_says_of_what_was_left_alone_why(fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    place(fleet, stranger("mail"))
    adopt = discovering.adopt

    def adopt_twice(plan: Plan, owner: Owner) -> Adopted:
        adopt(plan, owner)
        return adopt(plan, owner)

    monkeypatch.setattr(discovering, "adopt", adopt_twice)
    said = discover(monkeypatch, "--yes", "--json")
    document = json.loads(said.out)
    assert document["exit_code"] == said.code == 5
    assert {c["obstacle"] for c in document["changes"]} == {"it has changed meanwhile: look again"}


@pytest.mark.parametrize(("typed", "code", "count"), [("y\n", 0, 1), ("n\n", 7, 0), ("\n", 7, 0)])
def test_person_at_the_terminal_is_asked(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch, typed: str, code: int, count: int
) -> None:
    place(fleet, stranger("mail"))
    assert discover(monkeypatch, typed=typed).code == code
    assert Server.objects.count() == count


def test_without_a_terminal_nothing_is_written(fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    place(fleet, stranger("mail"))
    said = discover(monkeypatch)
    assert said.code == 7 and "Say --yes" in said.err and not Server.objects.exists()


def test_json_is_one_document(fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    guest = place(fleet, stranger("mail"))
    said = discover(monkeypatch, "--format", "json", "--yes", "node1")
    document = json.loads(said.out)
    assert (document["written"], document["exit_code"]) == (True, 0)
    (found,) = [c for c in document["changes"] if c["uuid"] == str(guest.uuid)]
    assert (found["kind"], found["host"], found["name"], found["obstacle"]) == (
        "guest_new",
        "node1",
        "mail",
        "",
    )


def test_new_host_is_added_under_its_name_and_uri(fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.simulation.add_host("attic")
    words = (
        "--add",
        "loft=simulated:///attic",
        "--driver",
        "simulated",
        "--domain-type",
        "qemu",
        "--yes",
        "loft",
    )
    assert discover(monkeypatch, *words).code == 0
    host = Host.objects.get(name="loft")
    assert (host.uri, host.driver, host.domain_type) == ("simulated:///attic", "simulated", "qemu")


def test_host_that_is_silent_shows_in_the_exit_code(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    discover(monkeypatch, "--yes")
    fleet.simulation.lose_host("node2")
    said = discover(monkeypatch, "--yes")
    assert said.code == 9 and "host silent" in said.out and "Nothing to do." in said.out


def test_adopted_servers_belong_to_the_named_project(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(fleet, stranger("mail"))
    discover(monkeypatch, "--yes", "--project", fleet.project.name)
    assert Server.objects.get().project_id == fleet.project.pk


@pytest.mark.parametrize(
    ("words", "code"), [(["nowhere", "--dry-run"], 4), (["--project", "none", "--yes"], 4)]
)
def test_what_is_not_there_is_refused(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int
) -> None:
    said = discover(monkeypatch, *words)
    assert said.code == code and "There is no" in said.err


@pytest.mark.parametrize(
    "words",
    [
        ["--add", "a=simulated:///a"],
        ["--add", "no-uri", "--domain-type", "kvm"],
        ["--json"],
        ["--dry-run", "--yes"],
    ],
)
def test_command_line_that_cannot_be_meant_is_refused(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    with pytest.raises(CommandError):
        discover(monkeypatch, *words)
