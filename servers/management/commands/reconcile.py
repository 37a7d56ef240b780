"""manage.py reconcile: compare records with what runs, and put right what cannot be wrong."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import CommandParser

from servers.inventory.reconciliation.differences import Found, Report
from servers.inventory.reconciliation.reconcile import reconcile
from servers.management import exit_codes
from servers.management.engine_command import HelpFormatter
from servers.management.exit_codes import ExitCode
from servers.management.on_database import OnDatabase
from servers.management.tables import print_json, print_table

IN_ORDER = "Records and hypervisors agree."


class Command(OnDatabase):
    help = "Compare database, hypervisors and allocations, and repair what is safe. Guests are never touched."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.formatter_class = HelpFormatter
        parser.epilog = f"exit codes:\n{exit_codes.table()}"
        parser.add_argument("--dry-run", action="store_true", help="show what differs and write nothing")
        parser.add_argument("--format", choices=["table", "json"], default="table")
        parser.add_argument(
            "--json", dest="format", action="store_const", const="json", help="the same as --format json"
        )

    def handle(self, *args: Any, **given: Any) -> None:
        report = reconcile(dry_run=given["dry_run"])
        code = ExitCode.UNKNOWN if report.silent else ExitCode.DONE
        if given["format"] == "json":
            print_json(self.stdout, {**as_data(report), "exit_code": code.value})
        else:
            self.show(report)
        if code is not ExitCode.DONE:
            sys.exit(code)

    def show(self, report: Report) -> None:
        for host, reason in report.silent.items():
            self.stderr.write(f"{host} does not answer: {reason}")
        if not report.found:
            self.stdout.write(IN_ORDER)
            return
        print_table(self.stdout, ("server", "what differs", "proposal", "repair"), map(row, report.found))


def row(found: Found) -> tuple[str, ...]:
    """Return a finding as a row of the table."""
    finding = found.finding
    return (
        finding.name,
        finding.what,
        finding.proposal,
        found.outcome or ("safe" if finding.safe else "for a person"),
    )


def as_data(report: Report) -> dict[str, Any]:
    """Return the report in the form of JSON."""
    findings = [
        {
            "kind": f.finding.kind.value,
            "server": str(f.finding.server),
            "name": f.finding.name,
            "hosts": list(f.finding.hosts),
            "what": f.finding.what,
            "proposal": f.finding.proposal,
            "safe": f.finding.safe,
            "outcome": f.outcome,
        }
        for f in report.found
    ]
    return {"findings": findings, "silent": report.silent, "hosts": report.hosts}
