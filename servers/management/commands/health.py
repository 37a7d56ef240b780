"""manage.py health: what each check of the deployment's health finds, as a person and as a script reads it."""

from __future__ import annotations

import sys
from contextlib import suppress
from itertools import starmap
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import Error

from servers.deployment.comparison import compare
from servers.management import exit_codes
from servers.management.exit_codes import ExitCode
from servers.management.tables import print_json, print_table
from servers.monitoring.health import Finding, Health, current

HEADINGS = ("check", "state", "what")


class Command(BaseCommand):
    requires_system_checks = []
    help = "Say whether Gantry can do its work: database, migrations, deployment, workers, age of the queue."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.epilog = f"exit codes:\n{exit_codes.table()}"
        parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")

    def handle(self, *args: Any, **given: Any) -> None:
        with suppress(Error):  # the checks say so
            compare()
        health = current()
        code = code_of(health)
        if given["json"]:
            print_json(self.stdout, document(health, code))
        else:
            print_table(self.stdout, HEADINGS, starmap(line, health.findings.items()))
        if code is not ExitCode.DONE:
            sys.exit(code)


def code_of(health: Health) -> ExitCode:
    """Return with which code the command ends."""
    first = next(iter(health.reasons), None)
    if first is None:
        return ExitCode.DONE
    return ExitCode.STRANGE_DATABASE if first == "migrations" else ExitCode.UNAVAILABLE


def line(name: str, found: Finding) -> tuple[str, str, str]:
    """Return a finding as a row of the table."""
    figures = " ".join(f"{key}={value}" for key, value in found.figures.items())
    return (name, "not well" if found.reason else "well", found.reason or figures)


def document(health: Health, code: ExitCode) -> dict[str, Any]:
    """Return all findings in JSON."""
    checks = [
        {"name": name, "well": not found.reason, "reason": found.reason, "figures": dict(found.figures)}
        for name, found in health.findings.items()
    ]
    return {"ready": health.is_ready, "checks": checks, "exit_code": code.value}
