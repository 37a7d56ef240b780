"""manage.py server_action: every action of the registry as a subcommand."""

from __future__ import annotations

import getpass
import json
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any, cast

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder
from rich.console import Console

from servers.actions import Action, kinds, registry
from servers.conductor.submit import Accepted, submit
from servers.errors import ActionFault, Fault, Refusal
from servers.management import documents, exit_codes, options, targets
from servers.management.exit_codes import ExitCode
from servers.management.watching import Watch, worker_is_there
from servers.microversions import MINIMUM, Microversion, maximum
from servers.models import ActionRecord
from servers.policy import Context


def known_at(version: Microversion) -> dict[str, type[Action]]:
    """Return the actions that `version` knows, by slug."""
    return {slug: registry[slug] for slug in sorted(registry) if version.between(registry[slug].since, None)}


def version_asked_for(arguments: list[str]) -> Microversion:
    """Return the microversion that the command line names: it decides which options there are."""
    parser = ArgumentParser(add_help=False)
    parser.add_argument("--api-version", default=str(maximum()))
    text = parser.parse_known_args(arguments)[0].api_version
    try:
        version = Microversion.parse(text)
    except ValueError as error:
        raise CommandError(
            f"--api-version: {text!r} is no version like 2.34", returncode=ExitCode.USAGE
        ) from error
    if not MINIMUM <= version <= maximum():
        raise CommandError(f"--api-version: there is {MINIMUM} to {maximum()}", returncode=ExitCode.USAGE)
    return version


class HelpFormatter(RawDescriptionHelpFormatter):
    """Leaves paragraphs and tables as they are."""


class Command(BaseCommand):
    requires_system_checks = []
    help = "Do something to a server, as REST and the console do it: one subcommand an action."

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.version = maximum()

    def run_from_argv(self, argv: list[str]) -> None:
        try:
            self.version = version_asked_for(argv[2:])
        except CommandError as error:
            self.stderr.write(str(error))
            sys.exit(error.returncode)
        super().run_from_argv(argv)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.formatter_class = HelpFormatter
        parser.epilog = f"exit codes:\n{exit_codes.table()}"
        parser.add_argument(
            "--api-version", default=str(maximum()), help="microversion (default: %(default)s)"
        )
        actions = parser.add_subparsers(dest="slug", required=True, metavar="ACTION", title="actions")
        for slug, action in known_at(self.version).items():
            subparser = actions.add_parser(
                slug,
                help=action.summary(),
                description=f"{action.__doc__}\n{action.consequence}",
                epilog=parser.epilog,
                formatter_class=HelpFormatter,
            )
            self.add_general(subparser)
            options.add_options(subparser, action, self.version)

    def add_general(self, parser: ArgumentParser) -> None:
        """Add what every action has: the server, who asks, and whether to wait."""
        parser.add_argument("server", help="name or UUID")
        parser.add_argument(
            "--api-version", default=str(self.version), help="microversion (default: %(default)s)"
        )
        parser.add_argument(
            "--as-user", metavar="NAME", help="act as this user (default: the local operator, an admin)"
        )
        parser.add_argument("--project", metavar="NAME", help="act for this project")
        parser.add_argument("--wait", action="store_true", help="show how it goes until it is over")
        parser.add_argument(
            "--timeout",
            type=float,
            default=0,
            metavar="SECONDS",
            help="how long to wait; 0: as long as it takes",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")

    def handle(self, *args: Any, **given: Any) -> None:
        action = registry[given["slug"]]
        try:
            accepted = self.ask(action, given)
        except (Refusal, ActionFault) as fault:
            self.end_with_fault(fault, given["json"])
        else:
            self.end_with_record(accepted, given)

    def ask(self, action: type[Action], given: dict[str, Any]) -> Accepted:
        """Hand the request to the engine. Raises Refusal."""
        context = targets.find_context(given["as_user"], given["project"])
        server = targets.server_id(given["server"], context)
        params = options.given(action, self.version, given)
        params |= self.missing(action, params, server, context)
        return submit(action, server, params, context, self.version)

    def missing(
        self, action: type[Action], params: dict[str, Any], server: str, context: Context
    ) -> dict[str, Any]:
        """Return what the command line does not hold: secrets, and the migration where one is going on."""
        found: dict[str, Any] = {}
        for parameter in action.parameters_at(self.version):
            if options.option_of(parameter.kind).prompted:
                found[parameter.name] = ask_secret(parameter.help or parameter.name)
            elif isinstance(parameter.kind, kinds.MigrationId) and params.get(parameter.name) is None:
                found[parameter.name] = targets.running_migration(action, server, context)
        return found

    def end_with_fault(self, fault: Fault, as_json: bool) -> None:
        code = exit_codes.of_fault(fault)
        if as_json:
            self.print_json(documents.of_fault(fault, code))
        else:
            self.stderr.write(str(fault))
        sys.exit(code)

    def end_with_record(self, accepted: Accepted, given: dict[str, Any]) -> None:
        record = accepted.record
        if not given["json"]:
            self.stdout.write(f"Accepted: {record.slug}, request {record.request_id}")
            if accepted.image_id:
                self.stdout.write(f"Image: {accepted.image_id}")
        if not record.is_over and not worker_is_there():
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


def ask_secret(what: str) -> str:
    """Return a secret from the person at the terminal, or else the first line of standard input."""
    if sys.stdin.isatty():
        return getpass.getpass(f"{what[:1].upper()}{what[1:]}: ")
    return sys.stdin.readline().rstrip("\n")
