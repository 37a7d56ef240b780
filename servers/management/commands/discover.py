"""manage.py discover: read hosts and the guests that run there, show what would change, and write it."""

from __future__ import annotations

import sys
from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import CommandError, CommandParser

from servers.actions.kinds import HostName
from servers.errors import Missing, Refusal
from servers.fleet.drivers import new_ref
from servers.inventory.discovery.apply import Adopted, Owner, adopt, default_owner
from servers.inventory.discovery.discover import discover
from servers.inventory.discovery.plan import ChangeKind, Plan, PlannedChange
from servers.management import exit_codes, refusals
from servers.management.engine_command import HelpFormatter
from servers.management.exit_codes import ExitCode
from servers.management.on_database import OnDatabase
from servers.management.tables import print_json, print_table
from servers.management.targets import find_context, find_project
from servers.models import Host

NOTHING = "Nothing to do."


def name_and_uri(text: str) -> tuple[str, str]:
    """Return both halves of NAME=URI."""
    name, equals, uri = text.partition("=")
    if not equals or not HostName().fits(name) or not uri:
        raise ArgumentTypeError(
            f"{text!r} is no NAME=URI, for example rack1=qemu+ssh://root@192.0.2.7/system"
        )
    return name, uri


class Command(OnDatabase):
    help = "Read hosts and their guests into hosts and servers: shows what would change, and writes it when agreed to."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.formatter_class = HelpFormatter
        parser.epilog = f"exit codes:\n{exit_codes.table()}"
        parser.add_argument(
            "hosts", nargs="*", metavar="HOST", help="only what changes on these (default: on all)"
        )
        parser.add_argument(
            "--add",
            action="append",
            default=[],
            type=name_and_uri,
            metavar="NAME=URI",
            help="a host that is new",
        )
        parser.add_argument(
            "--driver", default="libvirt", help="driver of the new hosts (default: %(default)s)"
        )
        parser.add_argument(
            "--domain-type", choices=["kvm", "qemu"], help="domain type of the new hosts; it is never guessed"
        )
        parser.add_argument("--project", metavar="NAME", help="project of adopted servers (default: admin)")
        agreed = parser.add_mutually_exclusive_group()
        agreed.add_argument("--dry-run", action="store_true", help="show the plan and write nothing")
        agreed.add_argument("--yes", action="store_true", help="write it without asking")
        parser.add_argument("--format", choices=["table", "json"], default="table")
        parser.add_argument(
            "--json", dest="format", action="store_const", const="json", help="the same as --format json"
        )

    def handle(self, *args: Any, **given: Any) -> None:
        self.check_words(given)
        try:
            code = self.run(given)
        except Refusal as refusal:
            code = exit_codes.of_fault(refusal)
            if given["format"] == "json":
                print_json(self.stdout, refusals.of_fault(refusal, code))
            else:
                self.stderr.write(str(refusal))
        if code is not ExitCode.DONE:
            sys.exit(code)

    def check_words(self, given: dict[str, Any]) -> None:
        """Raise CommandError for a command line that cannot be meant."""
        if given["add"] and not given["domain_type"]:
            raise CommandError("--add needs --domain-type kvm or qemu", returncode=ExitCode.USAGE)
        if given["format"] == "json" and not (given["yes"] or given["dry_run"]):
            raise CommandError("--format json needs --dry-run or --yes", returncode=ExitCode.USAGE)

    def run(self, given: dict[str, Any]) -> ExitCode:
        """Make the plan, show it, and write it when it is agreed to. Raises Refusal."""
        owner = self.owner(given["project"])
        added = [new_ref(name, given["driver"], uri, given["domain_type"]) for name, uri in given["add"]]
        known = {*Host.objects.values_list("name", flat=True), *(host.name for host in added)}
        for name in given["hosts"]:
            if name not in known:
                raise Missing(f"There is no host {name}.")
        plan = discover(added, given["hosts"] and {*given["hosts"], *(host.name for host in added)})
        code = ExitCode.UNKNOWN if silent(plan) else ExitCode.DONE
        if given["format"] == "table":
            self.show(plan)
        adopted = Adopted((), ())
        if not given["dry_run"] and plan.to_write:
            if not (given["yes"] or self.agreed()):
                return ExitCode.CANCELLED
            adopted = adopt(plan, owner)
            code = ExitCode.CONFLICT if adopted.left and not adopted.written else code
        if given["format"] == "json":
            written = not given["dry_run"]
            told = plan.told(adopted.left)
            print_json(self.stdout, {"changes": told, "written": written, "exit_code": code.value})
        elif plan.to_write and not given["dry_run"]:
            self.tell(adopted)
        return code

    def tell(self, adopted: Adopted) -> None:
        """Say what was written, and name what was not."""
        self.stdout.write(f"Written: {len(adopted.written)}.")
        for change in adopted.left:
            self.stderr.write(f"Left alone: {change.words}: {change.obstacle}")

    def owner(self, project: str | None) -> Owner:
        """Return to whom adopted servers belong. Raises Missing."""
        context = find_context(None, project)
        return default_owner(find_project(project) if project else None, context.user_id)

    def show(self, plan: Plan) -> None:
        if not plan.to_write:
            self.stdout.write(NOTHING)
        if plan.changes:
            print_table(
                self.stdout,
                ("what", "host", "guest", "change", "not written because"),
                map(row, plan.changes),
            )

    def agreed(self) -> bool:
        """Return what the person at the terminal says; without one there is nobody to ask."""
        if not sys.stdin.isatty():
            self.stderr.write("Nothing was written: there is nobody to ask. Say --yes.")
            return False
        return input("Write this? [y/N] ").strip().lower() in {"y", "yes"}


def silent(plan: Plan) -> bool:
    """Return whether a host has not answered."""
    return any(change.kind is ChangeKind.HOST_SILENT for change in plan.changes)


def row(change: PlannedChange) -> tuple[str, ...]:
    """Return a change as a row of the table."""
    lines = [f"{d.name}: {d.old} → {d.new}" if d.old else f"{d.name}: {d.new}" for d in change.differences]
    guest = change.name if change.uuid else ""
    return (change.kind.replace("_", " "), change.host, guest, "; ".join(lines), change.obstacle)
