"""manage.py demo: make the demo fleet; done once, it does nothing more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings

from servers.demo.people import PEOPLE
from servers.demo.seed import is_seeded, seed
from servers.management.accounts import ensure_admin
from servers.management.on_database import OnDatabase
from servers.management.private_files import new_password, write_private
from servers.supervisor.processes import end_with_parent


class Command(OnDatabase):
    help = "Make the demo fleet: five simulated hosts, thirty servers, users of every role."

    def handle(self, *args: Any, **given: Any) -> None:
        end_with_parent(0)
        if is_seeded():
            if given["verbosity"]:
                self.stdout.write("The demo fleet is there already.")
            return
        ensure_admin()
        passwords = {person.name: new_password() for person in PEOPLE}
        path = Path(settings.DATA_DIR) / "demo_users"
        write_private(path, listing(passwords))
        seed(passwords)
        if given["verbosity"]:
            self.stdout.write(f"The demo fleet is there. Names and passwords of its users: {path}")


def listing(passwords: dict[str, str]) -> str:
    """Return a line for each user."""
    lines = [f"{p.name} {passwords[p.name]} {p.role} of {p.project}\n" for p in PEOPLE]
    return "".join(["# name, password, role\n", *lines])
