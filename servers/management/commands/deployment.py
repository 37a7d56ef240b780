"""manage.py deployment: what every machine has to agree about, which processes there are, and where they differ."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser
from django.db import transaction

from servers import policy
from servers.deployment.comparison import compare, set_fact
from servers.deployment.facts import FACTS
from servers.deployment.members import RULE, SET_RULE, as_data, known_facts, members
from servers.errors import Refusal
from servers.management import exit_codes, targets
from servers.management.engine_command import EngineCommand, HelpFormatter
from servers.management.exit_codes import ExitCode
from servers.management.tables import print_table

COLUMNS = ("process", "role", "machine", "state", "differs in")


class Command(EngineCommand):
    only_reads = True
    help = "Show what every machine of the deployment has to agree about, and where its processes differ."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.formatter_class = HelpFormatter
        parser.epilog = f"exit codes:\n{exit_codes.table()}"
        parser.add_argument(
            "--set",
            metavar="FACT",
            choices=[fact.name for fact in FACTS],
            help="let what this machine has be the deployment's from now on; others that differ stay out "
            f"({', '.join(fact.name for fact in FACTS)})",
        )
        self.add_asker(parser)

    def handle(self, *args: Any, **given: Any) -> None:
        try:
            context = targets.find_context(given["as_user"], given["project"])
            policy.in_force().require(context, SET_RULE if given["set"] else RULE)
        except Refusal as fault:
            self.end_with_fault(fault, given["json"])
        if given["set"]:
            (fact,) = (fact for fact in FACTS if fact.name == given["set"])
            with transaction.atomic():
                set_fact(fact.name, fact.make() if fact.make else fact.read(), context.user_name)
        here = compare()
        if given["json"]:
            code = ExitCode.UNAVAILABLE if here else ExitCode.DONE
            self.print_json({**as_data(), "here": [asdict(each) for each in here], "exit_code": code.value})
        else:
            rows = [(each.name, each.role, each.machine, each.state, each.differs_in) for each in members()]
            print_table(self.stdout, COLUMNS, rows)
            for row in known_facts():
                self.stdout.write(f"{row.title}: since {row.set_at:%Y-%m-%d %H:%M:%S}, set by {row.set_by}")
            for each in here:
                self.stdout.write(f"{each.reason} {each.remedy}")
        if here:
            raise SystemExit(ExitCode.UNAVAILABLE.value)
