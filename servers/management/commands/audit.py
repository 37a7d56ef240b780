"""manage.py audit: prove that nobody has changed the audit trail, archive its beginning, print what is asked for."""

from __future__ import annotations

import sys
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.timezone import is_aware, make_aware

from servers.audit import checkpoints
from servers.audit.archive import archive, verify_archive
from servers.audit.reading import Wanted, lines
from servers.audit.verification import Proof, verify
from servers.errors import Fault
from servers.management import exit_codes
from servers.management.engine_command import HelpFormatter
from servers.management.exit_codes import ExitCode
from servers.management.on_database import OnDatabase
from servers.management.tables import print_json

WANTED = tuple(field.name for field in fields(Wanted))
TIMES = {"since", "until"}
SOUND = "Sound: numbers {first} to {last}, {records} records, {checkpoints} checkpoints; not chained yet: {not_chained}."
END = "The last digest is {digest}."
NO_CHECKPOINTS = (
    "There is no checkpoint here, so nobody would notice that the end was cut off, or that all was written anew. "
    "The machine whose supervisor chains has them, and the system's log: name a file with --checkpoints."
)


class Command(OnDatabase):
    only_reads = True
    help = "Prove that nobody has changed the audit trail, archive its beginning, or print what is asked for."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.formatter_class = HelpFormatter
        parser.epilog = f"exit codes:\n{exit_codes.table()}"
        ways = parser.add_subparsers(dest="what", required=True)
        proving = ways.add_parser(
            "verify", help="compute the whole chain anew, and compare it with checkpoints"
        )
        proving.add_argument(
            "--checkpoints",
            type=Path,
            nargs="+",
            default=[],
            metavar="FILE",
            help="files with checkpoints, also of the system's log (default: those of this machine)",
        )
        proving.add_argument(
            "--archive", type=Path, metavar="FILE", help="prove this archive, and not the trail"
        )
        archiving = ways.add_parser("archive", help="write the beginning to a new file, and cut it off")
        archiving.add_argument(
            "--before", required=True, type=moment, metavar="TIME", help="ISO 8601, in UTC"
        )
        archiving.add_argument("file", type=Path, metavar="FILE", help="JSON lines; must not be there yet")
        printing = ways.add_parser("export", help="print records as JSON lines, oldest first")
        for name in WANTED:
            kind = moment if name in TIMES else str
            printing.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar=name.upper())
        for each in (proving, archiving):
            each.add_argument("--json", action="store_true", help="print one JSON document and nothing else")

    def handle(self, *args: Any, **given: Any) -> None:
        try:
            getattr(self, given["what"])(given)
        except Fault as fault:
            raise CommandError(str(fault), returncode=exit_codes.of_fault(fault)) from fault
        except FileExistsError as error:
            raise CommandError(f"{error.filename} is there already.", returncode=ExitCode.CONFLICT) from error
        except FileNotFoundError as error:
            raise CommandError(f"There is no {error.filename}.", returncode=ExitCode.NOT_FOUND) from error
        except ValueError as error:
            raise CommandError(f"{error}.", returncode=ExitCode.REFUSED) from error

    def verify(self, given: dict[str, Any]) -> None:
        if given["archive"]:
            proof = verify_archive(given["archive"])
        else:
            proof = verify(checkpoints.kept(given["checkpoints"]))
        if given["json"]:
            print_json(self.stdout, {"sound": not proof.problems, **asdict(proof)})
        else:
            self.show(proof, needs_checkpoints=not given["archive"])
        if proof.problems:
            sys.exit(ExitCode.TRAIL_CHANGED)

    def show(self, proof: Proof, *, needs_checkpoints: bool) -> None:
        for problem in proof.problems:
            self.stderr.write(problem)
        if not proof.problems:
            self.stdout.write(SOUND.format(**{**asdict(proof), "first": proof.first + 1}))
            self.stdout.write(END.format(digest=proof.digest))
        if needs_checkpoints and proof.last and not proof.checkpoints:
            self.stderr.write(NO_CHECKPOINTS)

    def export(self, given: dict[str, Any]) -> None:
        for line in lines(Wanted(**{name: given[name] for name in WANTED if given[name]})):
            self.stdout.write(line, ending="")

    def archive(self, given: dict[str, Any]) -> None:
        written = archive(given["before"], given["file"])
        if given["json"]:
            print_json(self.stdout, written)
        else:
            self.stdout.write(
                "Archived: {records} records, to number {number}, in {file} (SHA-256 {sha256}).".format(
                    **written
                )
            )


def moment(text: str) -> Any:
    """Return a time, or a day's beginning; without an offset it is UTC. Raises ValueError."""
    at = parse_datetime(text)
    if at is None:
        day = parse_date(text)
        if day is None:
            raise ValueError(text)
        at = parse_datetime(f"{day}T00:00")
    return at if at is None or is_aware(at) else make_aware(at)
