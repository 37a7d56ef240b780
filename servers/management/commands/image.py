"""manage.py image: what can be made of an image."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.core.management.base import CommandParser

from servers.actions.restore import Restore
from servers.engine.accepting.repeats import accept_once
from servers.engine.accepting.restore import find_image, restore
from servers.errors import ActionFault, Refusal
from servers.management import exit_codes, options, targets
from servers.management.engine_command import EngineCommand, HelpFormatter
from servers.microversions import NEWEST


class Command(EngineCommand):
    help = "Make something of an image: restore makes a new server out of a backup."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.formatter_class = HelpFormatter
        parser.epilog = f"exit codes:\n{exit_codes.table()}"
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", title="verbs")
        restoring = verbs.add_parser(
            "restore",
            help=Restore.summary(),
            description=f"{Restore.__doc__}\n{Restore.consequence}",
            epilog=parser.epilog,
            formatter_class=HelpFormatter,
        )
        restoring.add_argument("image", help="name or UUID")
        self.add_engine_options(restoring)
        options.add_options(restoring, Restore, NEWEST)

    def handle(self, *args: Any, **given: Any) -> None:
        project = given["project"]
        try:
            context = targets.find_context(given["as_user"], project)
            image = find_image(given["image"], context)
            owner = targets.find_project(project) if project else None
            params = options.given(Restore, NEWEST, given)
            accepted = accept_once(
                given["idempotency_key"],
                context,
                f"image restore {image.pk}",
                [params, project],
                partial(restore, image, params, context, owner),
            )
        except (Refusal, ActionFault) as fault:
            self.end_with_fault(fault, given["json"])
        else:
            if not given["json"]:
                self.stdout.write(f"Server: {accepted.record.server_id}")
            self.end_with_record(accepted, given)
