"""Actions through the shell: what is handed in, what is said, and with which exit code it ends."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import Any

import pytest
from django.core.management.base import CommandError

from servers import clock
from servers.actions import kinds, registry
from servers.actions.base import Parameter
from servers.clock import VirtualClock
from servers.engine.execution.queue import run_until_idle
from servers.errors import DatabaseUnavailable
from servers.management.commands.server_action import Command, known_at, version_asked_for
from servers.management.exit_codes import MEANING, ExitCode
from servers.management.options import option_of
from servers.microversions import NEWEST, Microversion
from servers.models import ActionRecord, Server, Worker
from servers.states import ActionStatus, TaskState, VmState
from tests.blocked import blocked
from tests.factories import make_project, make_user
from tests.management.conftest import Run
from tests.small_fleet import SmallFleet

EXAMPLES: dict[type[kinds.Kind], str] = {
    kinds.Boolean: "true",
    kinds.BooleanOrAuto: "auto",
    kinds.HostName: "node2",
    kinds.Name: "nightly",
    kinds.Text: "daily",
    kinds.Count: "1",
    kinds.KeyValues: "a=b",
    kinds.MigrationId: "1",
}


def example(parameter: Parameter) -> list[str]:
    kind = parameter.kind
    if option_of(kind).prompted:
        return []
    return [parameter.flag, kind.values[0] if isinstance(kind, kinds.Choice) else EXAMPLES[type(kind)]]


@pytest.mark.parametrize("slug", sorted(registry))
def test_every_action_can_be_asked_for_and_gets_the_engines_answer(
    slug: str, fleet: SmallFleet, server_action: Run
) -> None:
    server = fleet.add_server()
    words = [word for parameter in registry[slug].parameters_at(NEWEST) for word in example(parameter)]
    said = server_action(slug, str(server.uuid), *words, "--json", typed="swordfish\n")
    document = json.loads(said.out)
    refused = document.get("error") is not None
    assert refused or document["slug"] == slug
    assert said.code == document["exit_code"]
    assert refused != ActionRecord.objects.filter(slug=slug).exists()


@pytest.mark.parametrize("slug", sorted(known_at(NEWEST)))
def test_the_help_of_every_action_says_what_it_does_and_what_the_exit_codes_mean(slug: str) -> None:
    parser: Any = Command().create_parser("manage.py", "server_action")
    text = next(action for action in parser._actions if action.dest == "slug").choices[slug].format_help()
    assert registry[slug].summary() in " ".join(text.split())
    assert [meaning for meaning in MEANING.values() if meaning not in text] == []


# ------------------------------------------------------------------------------------- how it ends


def test_an_accepted_action_ends_with_zero_before_it_is_done(fleet: SmallFleet, server_action: Run) -> None:
    server = fleet.add_server("web")
    said = server_action("migrate", "web")
    assert said.code == ExitCode.DONE
    assert ActionRecord.objects.get(server=server).request_id in said.out


def test_waiting_ends_with_zero_when_the_action_succeeds(fleet: SmallFleet, server_action: Run) -> None:
    fleet.add_server("web")
    said = server_action("live-migration", "web", "--wait")
    assert said.code == ExitCode.DONE
    assert "Success compute_live_migration at node1" in said.out
    assert "100 %" in said.out


def test_the_newest_version_is_the_default(fleet: SmallFleet, server_action: Run) -> None:
    fleet.add_server("web")
    server_action("migrate", "web")
    assert ActionRecord.objects.get().microversion == str(NEWEST)


def test_an_older_version_is_handed_on(fleet: SmallFleet, server_action: Run) -> None:
    fleet.add_server("web")
    server_action("migrate", "web", version="2.1")
    assert ActionRecord.objects.get().microversion == "2.1"


def test_a_failed_action_says_why(fleet: SmallFleet, server_action: Run) -> None:
    fleet.add_server("web", agent=False)
    said = server_action("inject-network-info", "web", "--wait")
    assert said.code == ExitCode.FAILED
    assert "no guest agent" in said.err


def test_a_check_that_fails_in_the_request_counts_as_failed(fleet: SmallFleet, server_action: Run) -> None:
    fleet.add_server("web", memory_mb=8000)
    for node in ("node2", "node3"):
        fleet.add_server(f"large-{node}", host=node, memory_mb=8000)
    said = server_action("live-migration", "web", version="2.30")
    assert said.code == ExitCode.FAILED
    assert said.err.startswith("No valid host was found.")


def test_the_time_limit_ends_the_waiting_and_not_the_action(fleet: SmallFleet, server_action: Run) -> None:
    fleet.add_server("web")
    with clock.use(VirtualClock()):
        said = server_action("migrate", "web", "--wait", "--timeout", "3")
    assert said.code == ExitCode.TIMED_OUT
    assert ActionRecord.objects.get().status == ActionStatus.QUEUED


def test_an_unknown_outcome_has_a_code_of_its_own(fleet: SmallFleet, server_action: Run) -> None:
    fleet.add_server("web")
    fleet.simulation.set_fault("migrate_disk_and_power_off", "node1", mode="hang", hang_limit_s=5)
    said = server_action("migrate", "web", "--wait")
    assert said.code == ExitCode.UNKNOWN
    assert "not known" in said.err


def test_waiting_outlasts_a_database_that_is_away(fleet: SmallFleet, server_action: Run) -> None:
    fleet.add_server("web")
    away, sleeps = ExitStack(), iter(range(100))

    def go_and_come_back() -> None:
        sleep = next(sleeps)
        if sleep == 0:
            away.enter_context(blocked())
        elif sleep == 5:
            away.close()
            run_until_idle(wait=False)

    with clock.use(VirtualClock(on_sleep=go_and_come_back)):
        said = server_action("reset-network", "web", "--wait")
    assert said.code == ExitCode.DONE
    assert said.out.count(str(DatabaseUnavailable())) == 1


def test_a_cancelled_action_has_a_code_of_its_own(fleet: SmallFleet, server_action: Run) -> None:
    fleet.add_server("web")

    def cancel_and_work() -> None:
        ActionRecord.objects.update(cancel_requested_at=clock.now())
        run_until_idle(wait=False)

    with clock.use(VirtualClock(on_sleep=cancel_and_work)):
        said = server_action("live-migration", "web", "--wait")
    assert said.code == ExitCode.CANCELLED


# ------------------------------------------------------------------------------------ refusals


def test_a_server_that_is_not_there_is_not_found(fleet: SmallFleet, server_action: Run) -> None:
    said = server_action("migrate", "nowhere")
    assert (said.code, said.err) == (ExitCode.NOT_FOUND, "Instance nowhere could not be found.\n")


def test_a_wrong_state_is_a_conflict_in_the_words_of_rest(fleet: SmallFleet, server_action: Run) -> None:
    server = fleet.add_server("web", vm_state=VmState.PAUSED)
    said = server_action("migrate", "web")
    assert said.code == ExitCode.CONFLICT
    assert said.err == f"Cannot 'migrate' instance {server.uuid} while it is in vm_state paused\n"


def test_a_wrong_request_is_refused_before_anything_is_written(fleet: SmallFleet, server_action: Run) -> None:
    fleet.add_server("web")
    said = server_action("migrate", "web", "--host", "node1")
    assert (said.code, said.err) == (
        ExitCode.REFUSED,
        "Cannot migrate to the host where the server exists.\n",
    )
    assert not ActionRecord.objects.exists()


def test_a_member_is_not_permitted_what_is_the_admins(fleet: SmallFleet, server_action: Run) -> None:
    fleet.add_server("web")
    make_user("member", fleet.project, name="martin", default_project=fleet.project)
    said = server_action("reset-state", "web", "--state", "error", "--as-user", "martin")
    assert said.code == ExitCode.NOT_PERMITTED
    assert "os_compute_api:os-admin-actions:reset_state" in said.err


def test_a_foreign_server_is_missing_for_a_member(fleet: SmallFleet, server_action: Run) -> None:
    server = fleet.add_server("web")
    make_user("member", make_project(name="other"), name="oscar")
    for name in ("web", str(server.uuid)):
        said = server_action("migrate", name, "--as-user", "oscar", "--project", "other")
        assert said.code == ExitCode.NOT_FOUND


def test_a_name_that_two_servers_have_is_answered_with_their_ids(
    fleet: SmallFleet, server_action: Run
) -> None:
    servers = [fleet.add_server("twin"), fleet.add_server("twin", host="node2")]
    said = server_action("migrate", "twin")
    assert said.code == ExitCode.REFUSED
    assert all(str(server.uuid) in said.err for server in servers)


def test_an_unknown_user_is_named(fleet: SmallFleet, server_action: Run) -> None:
    fleet.add_server("web")
    said = server_action("migrate", "web", "--as-user", "nobody")
    assert (said.code, said.err) == (ExitCode.NOT_FOUND, "There is no active user nobody.\n")


def test_an_unknown_project_is_named(fleet: SmallFleet, server_action: Run) -> None:
    said = server_action("migrate", "web", "--project", "nothing")
    assert (said.code, said.err) == (ExitCode.NOT_FOUND, "There is no project nothing.\n")


@pytest.mark.parametrize("text", ["2", "02.1", "latest", "3.0", "2.0"])
def test_a_version_that_there_is_not_is_a_wrong_command_line(text: str) -> None:
    with pytest.raises(CommandError) as refused:
        version_asked_for(["migrate", "web", "--api-version", text])
    assert refused.value.returncode == ExitCode.USAGE


@pytest.mark.parametrize("words", [["--api-version", "2.30", "migrate"], ["migrate", "--api-version=2.30"]])
def test_the_version_may_stand_anywhere(words: list[str]) -> None:
    assert version_asked_for(words) == Microversion.parse("2.30")


def test_an_action_that_a_version_does_not_know_is_no_subcommand() -> None:
    assert "abort-migration" not in known_at(Microversion.parse("2.23"))


# ------------------------------------------------------------------------------------ who and what


def test_the_local_operator_is_recorded_as_such(fleet: SmallFleet, server_action: Run) -> None:
    fleet.add_server("web")
    server_action("lock", "web")
    record = ActionRecord.objects.get()
    assert (record.user_id, record.door) == ("local-operator", "command")


def test_a_user_acts_in_his_default_project(fleet: SmallFleet, server_action: Run) -> None:
    fleet.add_server("web")
    user = make_user("member", fleet.project, name="martin", default_project=fleet.project)
    server_action("lock", "web", "--as-user", "martin")
    record = ActionRecord.objects.get()
    assert (record.user_id, record.project_id) == (user.pk, fleet.project.pk)


def test_a_secret_is_read_from_standard_input_and_shown_nowhere(
    fleet: SmallFleet, server_action: Run
) -> None:
    server = fleet.add_server("web")
    said = server_action("change-password", "web", "--wait", "--json", typed="swordfish\n")
    assert said.code == ExitCode.DONE, said.out
    assert "swordfish" not in said.out + said.err
    assert fleet.simulation.agent_state("node1", server.uuid).password_sets == 1


def test_the_migration_that_is_going_on_is_the_default(fleet: SmallFleet, server_action: Run) -> None:
    server = fleet.add_server("web")
    migration = server.migrations.create(
        migration_type="live-migration",
        user_id="u",
        project_id=fleet.project.pk,
        source_compute="node1",
        source_node="node1",
        status="running",
    )
    Server.objects.filter(pk=server.pk).update(task_state=TaskState.MIGRATING)
    server_action("abort-migration", "web")
    assert ActionRecord.objects.get(slug="abort-migration").params == {"migration": migration.pk}


def test_where_nothing_is_going_on_there_is_nothing_to_abort(fleet: SmallFleet, server_action: Run) -> None:
    server = fleet.add_server("web")
    said = server_action("abort-migration", "web")
    assert said.code == ExitCode.CONFLICT
    assert said.err == f"Instance {server.uuid} is in an invalid state for 'abort live migration'\n"


def test_a_missing_worker_is_mentioned(fleet: SmallFleet, server_action: Run) -> None:
    fleet.add_server("web")
    assert "No worker is running" in server_action("migrate", "web").err


def test_a_worker_that_is_there_is_not_mentioned(fleet: SmallFleet, server_action: Run) -> None:
    fleet.add_server("web")
    Worker.objects.create(name="w", seen_at=clock.now())
    assert server_action("migrate", "web").err == ""


# ------------------------------------------------------------------------------------------ JSON


def test_json_holds_the_action_with_its_events_and_its_migration(
    fleet: SmallFleet, server_action: Run
) -> None:
    fleet.add_server("web")
    document = json.loads(server_action("live-migration", "web", "--wait", "--json").out)
    assert (document["status"], document["exit_code"]) == ("succeeded", 0)
    assert document["migration"]["dest_compute"] == "node2"
    assert "compute_live_migration" in [event["name"] for event in document["events"]]


def test_json_holds_the_image_of_a_backup(fleet: SmallFleet, server_action: Run) -> None:
    fleet.add_server("web")
    words = ["--name", "n", "--backup-type", "daily", "--rotation", "1", "--metadata", "a=b"]
    document = json.loads(server_action("create-backup", "web", *words, "--json").out)
    assert document["image_id"] is not None
    assert document["params"]["metadata"] == {"a": "b"}


def test_json_of_a_refusal_holds_its_code_and_text(fleet: SmallFleet, server_action: Run) -> None:
    document = json.loads(server_action("migrate", "nowhere", "--json").out)
    assert document == {
        "error": {"code": "instance_missing", "text": "Instance nowhere could not be found."},
        "exit_code": 4,
    }
