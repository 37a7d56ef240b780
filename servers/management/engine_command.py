"""What commands share that ask the engine for something: who asks, whether to wait, and how they end."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any, cast

from django.core.serializers.json import DjangoJSONEncoder
from rich.console import Console

from servers.engine.accepting.submit import Accepted
from servers.engine.execution.workers import worker_health
from servers.errors import Fault
from servers.management import documents, exit_codes, refusals
from servers.management.exit_codes import ExitCode
from servers.management.on_database import OnDatabase
from servers.management.watching import Watch
from servers.models import ActionRecord


class HelpFormatter(RawDescriptionHelpFormatter):
    """Leaves paragraphs and tables as they are."""


class EngineCommand(OnDatabase):
    """A command that hands the engine one request, and may wait for what becomes of it."""

    def add_engine_options(self, parser: ArgumentParser) -> None:
        """Add who asks, and whether to wait."""
        self.add_asker(parser)
        parser.add_argument("--wait", action="store_true", help="show how it goes until it is over")
        parser.add_argument(
            "--timeout",
            type=float,
            default=0,
            metavar="SECONDS",
            help="how long to wait; 0: as long as it takes",
        )
        self.add_key(parser)

    def add_asker(self, parser: ArgumentParser, **default: Any) -> None:
        """Add who asks, and in which form the answer is."""
        parser.add_argument(
            "--as-user",
            metavar="NAME",
            help="act as this user (default: the local operator, an admin)",
            **default,
        )
        parser.add_argument("--project", metavar="NAME", help="act for this project", **default)
        parser.add_argument(
            "--json", action="store_true", help="print one JSON document and nothing else", **default
        )

    def add_key(self, parser: ArgumentParser) -> None:
        """Add the name of the request, by which it is known when it comes again."""
        parser.add_argument(
            "--idempotency-key",
            metavar="KEY",
            help="a name of this request: repeated with it, the request is carried out once",
        )

    def end_with_fault(self, fault: Fault, as_json: bool) -> None:
        code = exit_codes.of_fault(fault)
        if as_json:
            self.print_json(refusals.of_fault(fault, code))
        else:
            self.stderr.write(str(fault))
        sys.exit(code)

    def end_with_record(self, accepted: Accepted, given: dict[str, Any]) -> None:
        record = accepted.record
        if not given["json"]:
            self.stdout.write(f"Accepted: {record.slug}, request {record.request_id}")
            if accepted.image_id:
                self.stdout.write(f"Image: {accepted.image_id}")
        if not record.is_over and not worker_health().is_up:
            self.stderr.write("No worker is running, so nothing will happen yet. Start one: manage.py work")
        code = self.wait(record, given) if given["wait"] else exit_codes.of_status(record.status)
        if given["json"]:
            self.print_json(documents.of_record(record, code))
        elif code is not ExitCode.DONE:
            self.stderr.write(record.error_text or exit_codes.MEANING[code])
        if code is not ExitCode.DONE:
            sys.exit(code)

    def wait(self, record: ActionRecord, given: dict[str, Any]) -> ExitCode:
        """Return how the action ended."""
        self.stdout.ending = ""
        try:
            return Watch(record, Console(file=cast(Any, self.stdout), quiet=given["json"])).wait(
                given["timeout"]
            )
        finally:
            self.stdout.ending = "\n"

    def print_json(self, document: dict[str, Any]) -> None:
        self.stdout.write(json.dumps(document, cls=DjangoJSONEncoder, indent=2, ensure_ascii=False))
