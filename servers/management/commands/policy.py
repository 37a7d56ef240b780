"""manage.py policy: the rules, their defaults, what is in force, and who passes."""

from __future__ import annotations

from typing import Any, cast

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.table import Table

from servers import policy
from servers.database_age import refuse_strange_database
from servers.errors import Refusal
from servers.management.exit_codes import of_fault
from servers.management.targets import find_context
from servers.models.identity import MembershipRole
from servers.policy import Context, Rule, implied_roles

SOMEBODY = "somebody"
UNFOLDED = 1000
"""Columns where nobody looks: every rule is one line, for grep."""


class Command(BaseCommand):
    help = "Show the policy: a sample of policy.yaml, or what is in force and who passes."

    def add_arguments(self, parser: CommandParser) -> None:
        parts = parser.add_subparsers(dest="part", required=True, metavar="PART")
        parts.add_parser("sample", help="print a policy.yaml in which every rule has its default")
        check = parts.add_parser("check", help="show each rule, whether it was changed, and who passes")
        check.add_argument("--user", metavar="NAME", help="whether this user passes, for his default project")
        check.add_argument("--project", metavar="NAME", help="or for this one")
        check.add_argument("--role", choices=MembershipRole.values, help="whether this role passes")

    def handle(self, *args: Any, **given: Any) -> None:
        if given["part"] == "sample":
            self.sample()
        else:
            self.show(given)

    def sample(self) -> None:
        self.stdout.write(
            f"# Copy to {policy.in_force().path} and take the # from the rules that you change.\n"
        )
        for rule in all_rules():
            self.stdout.write(f'# {rule.description or rule.name}\n#"{rule.name}": "{rule.default.value}"\n')

    def show(self, given: dict[str, Any]) -> None:
        if given["user"]:
            refuse_strange_database()
        try:
            contexts = asked_contexts(given["user"], given["project"], given["role"])
        except Refusal as refusal:
            raise CommandError(str(refusal), returncode=of_fault(refusal)) from refusal
        self.stdout.ending = ""
        console = Console(file=cast(Any, self.stdout), width=None if self.stdout.isatty() else UNFOLDED)
        console.print(table(contexts))
        console.print(
            f"Read from {policy.in_force().path}"
            + ("" if policy.in_force().path.is_file() else ", which is not there")
        )
        complaints = policy.in_force().complaints()
        if complaints:
            raise CommandError("\n".join(complaints))


def all_rules() -> list[Rule]:
    """Return every rule, in the order of their names."""
    return [rule for _, rule in sorted(policy.in_force().rules.items())]


def asked_contexts(user: str | None, project: str | None, role: str | None) -> dict[str, Context]:
    """Return who is to be asked about, by heading: a user, a role, or else every role. Raises Refusal."""
    if user:
        return {user: find_context(user, project)}
    return {name: in_role(name) for name in ([role] if role else MembershipRole.values)}


def in_role(role: str) -> Context:
    """Return the context of somebody with this role, in the project that owns what he acts on."""
    return Context(user_id=SOMEBODY, project_id=SOMEBODY, roles=implied_roles([role]))


def table(contexts: dict[str, Context]) -> Table:
    """Return all rules, with the answer for each of `contexts`."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("rule", "description", "default", "in force", *contexts):
        shown.add_column(heading, overflow="fold")
    for rule in all_rules():
        in_force = policy.in_force().check_string(rule.name)
        changed = in_force if in_force != rule.default.value else "default"
        answers = ["yes" if policy.in_force().allows(who, rule.name) else "no" for who in contexts.values()]
        shown.add_row(rule.name, rule.description, rule.default.value, changed, *answers)
    return shown
