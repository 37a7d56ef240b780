"""manage.py work: carry out what was accepted, with several processes, so that an hour-long move blocks nothing."""

from __future__ import annotations

import os
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from servers.conductor.bells.base import bells
from servers.management.children import MANAGE, Child, Stopping, end_with_parent, stop
from servers.management.rounds import SWEEP_S, Rounds, worker_name

GRACE_S = 30.0


class Command(BaseCommand):
    requires_system_checks = []
    help = "Carry out accepted actions. Each process does one at a time; a process that dies is replaced."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--processes",
            type=int,
            default=settings.WORKERS,
            help="how many actions at a time (default: %(default)s)",
        )
        parser.add_argument(
            "--grace",
            type=float,
            default=GRACE_S,
            metavar="SECONDS",
            help="how long an action may go on when the worker is told to end; another one takes it over "
            "(default: %(default)s)",
        )
        parser.add_argument("--parent", type=int, help="end when the process with this id is gone")
        parser.add_argument("--one", metavar="ID", help="be one of the processes, under this name")

    def handle(self, *args: Any, **given: Any) -> None:
        if given["processes"] < 1:
            raise CommandError("--processes must be at least 1")
        if given["parent"]:
            end_with_parent(given["parent"])
        if given["one"]:
            bells().serve(given["one"])
        else:
            self.supervise(given["processes"], given["grace"])

    def supervise(self, processes: int, grace_s: float) -> None:
        """Keep `processes` children at work until somebody asks to end."""
        rounds = Rounds(worker_name(), processes)
        children = [one_worker(f"{rounds.name}-{number}") for number in range(1, processes + 1)]
        stopping = Stopping().listen()
        try:
            while not stopping.is_set():
                for child in children:
                    happened = child.tend()
                    if happened:
                        self.stderr.write(happened)
                rounds.go_round()
                stopping.wait(SWEEP_S)
        finally:
            stop(children, grace_s)
            rounds.leave()
            connections.close_all()


def one_worker(name: str) -> Child:
    """Return a process that does one action at a time."""
    return Child(name, [*MANAGE, "work", "--one", name, "--parent", str(os.getpid())])
