"""manage.py server_action: every action of the registry as a subcommand."""

from __future__ import annotations

import getpass
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError, CommandParser

from servers.actions import Action, kinds, registry
from servers.engine.accepting.idempotency import Keep
from servers.engine.accepting.repeats import accept_once
from servers.engine.accepting.submit import Accepted, submit
from servers.errors import ActionFault, Refusal
from servers.management import exit_codes, options, targets
from servers.management.engine_command import EngineCommand, HelpFormatter
from servers.management.exit_codes import ExitCode
from servers.microversions import MINIMUM, Microversion, maximum
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


class Command(EngineCommand):
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
        self.add_engine_options(parser)

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
        params = options.given(action, self.version, given) | self.secrets(action)
        address, asked = f"server_action {action.slug} {server}", [str(self.version), params]

        def accept(keep: Keep[Accepted]) -> Accepted:
            known = params | self.migration(action, params, server, context)
            return submit(action, server, known, context, self.version, keep)

        return accept_once(given["idempotency_key"], context, address, asked, accept)

    def secrets(self, action: type[Action]) -> dict[str, Any]:
        """Return the parameters that never stand on a command line."""
        prompted = (p for p in action.parameters_at(self.version) if options.option_of(p.kind).prompted)
        return {p.name: ask_secret(p.help or p.name) for p in prompted}

    def migration(
        self, action: type[Action], params: dict[str, Any], server: str, context: Context
    ) -> dict[str, Any]:
        """Return the migration that is going on, for an action that takes one and was given none."""
        return {
            p.name: targets.running_migration(action, server, context)
            for p in action.parameters_at(self.version)
            if isinstance(p.kind, kinds.MigrationId) and params.get(p.name) is None
        }


def ask_secret(what: str) -> str:
    """Return a secret from the person at the terminal, or else the first line of standard input."""
    if sys.stdin.isatty():
        return getpass.getpass(f"{what[:1].upper()}{what[1:]}: ")
    return sys.stdin.readline().rstrip("\n")
