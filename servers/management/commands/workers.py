"""manage.py workers: who carries actions out, since when, and which ones now."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.management.base import CommandParser

from servers import policy
from servers.engine.execution.workers import RULE, AtWork, at_work
from servers.errors import Refusal
from servers.management import exit_codes, targets
from servers.management.engine_command import EngineCommand, HelpFormatter
from servers.management.exit_codes import ExitCode
from servers.management.tables import print_table
from servers.models import ActionRecord

NOBODY = "No worker is there. Start one: manage.py work"
WORKERS = ("worker", "machine", "state", "processes", "since", "last heard of")
ACTIONS = ("action", "what", "server", "process", "step", "progress", "since")


class Command(EngineCommand):
    only_reads = True
    help = "List who carries actions out: supervisors of worker processes, since when, and what they do now."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.formatter_class = HelpFormatter
        parser.epilog = f"exit codes:\n{exit_codes.table()}"
        self.add_asker(parser)

    def handle(self, *args: Any, **given: Any) -> None:
        try:
            context = targets.find_context(given["as_user"], given["project"])
            policy.in_force().require(context, RULE)
        except Refusal as fault:
            self.end_with_fault(fault, given["json"])
        workers = at_work()
        if given["json"]:
            self.print_json({"workers": list(map(document, workers)), "exit_code": ExitCode.DONE.value})
        else:
            self.show(workers)

    def show(self, workers: list[AtWork]) -> None:
        """Print who is there, and below what is carried out."""
        if not workers:
            self.stdout.write(NOBODY)
            return
        print_table(self.stdout, WORKERS, map(worker_line, workers))
        actions = [action for worker in workers for action in worker.actions]
        if actions:
            print_table(self.stdout, ACTIONS, map(action_line, actions))


def worker_line(worker: AtWork) -> tuple[str, ...]:
    """Return a supervisor as a row of the table."""
    state = "working" if worker.is_alive else "silent"
    times = (written(worker.started_at), written(worker.seen_at))
    return (worker.name, worker.machine, state, str(worker.processes), *times)


def action_line(action: ActionRecord) -> tuple[str, ...]:
    """Return an action as a row of the table."""
    what = (str(action.pk), action.slug, action.server.name, action.worker, action.step)
    return (*what, f"{action.progress_percent} %", written(action.started_at))


def written(moment: datetime | None) -> str:
    """Return a time as it stands in a table."""
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment else ""


def document(worker: AtWork) -> dict[str, Any]:
    """Return a supervisor in JSON."""
    return {
        "name": worker.name,
        "machine": worker.machine,
        "alive": worker.is_alive,
        "started_at": worker.started_at,
        "seen_at": worker.seen_at,
        "processes": worker.processes,
        "actions": [
            {
                "id": str(action.pk),
                "slug": action.slug,
                "server_id": str(action.server_id),
                "server_name": action.server.name,
                "process": action.worker,
                "step": action.step,
                "progress_percent": action.progress_percent,
                "started_at": action.started_at,
            }
            for action in worker.actions
        ],
    }
