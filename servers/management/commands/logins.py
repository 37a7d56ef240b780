"""manage.py logins: what is refused unchecked after too many failed logins, until when, and how to lift it.

And the way out for somebody who has lost his second factor.
"""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from servers.audit.recording import note
from servers.errors import printable
from servers.logins import limits, second_factor
from servers.logins.addresses import counted
from servers.management.exit_codes import ExitCode
from servers.management.on_database import OnDatabase
from servers.management.tables import print_table
from servers.models import LoginFailures, User

NOTHING = "No login is refused because of failures."
COLUMNS = ("refused", "name", "address", "failures", "until")
WORDS = {
    LoginFailures.Of.PAIR: "a name from an address",
    LoginFailures.Of.ADDRESS: "an address",
    LoginFailures.Of.ALL: "addresses that are not known",
}


class Command(OnDatabase):
    help = (
        "List what is refused after too many failed logins, until when; or let it be tried again at once; "
        "or remove the second factor of somebody who has lost it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--unlock", metavar="NAME", help="let this name log in again, from every address")
        what.add_argument(
            "--unlock-address", metavar="ADDRESS", help="let everybody at this address log in again"
        )
        what.add_argument("--unlock-all", action="store_true", help="forget every failed login")
        what.add_argument(
            "--remove-second-factor",
            metavar="NAME",
            help="let this user log in with the password alone, or set up another second factor; end all sessions and tokens",
        )

    def handle(self, *args: Any, **given: Any) -> None:
        if given["remove_second_factor"]:
            self.remove_second_factor(given["remove_second_factor"])
            return
        chosen = LoginFailures.objects.all()
        if given["unlock"]:
            names = [given["unlock"], second_factor.counted_as(given["unlock"])]
            chosen = chosen.filter(of=LoginFailures.Of.PAIR, name__in=names)
        elif given["unlock_address"]:
            chosen = chosen.filter(address=counted(given["unlock_address"]))
        elif not given["unlock_all"]:
            self.show()
            return
        with transaction.atomic():
            gone = chosen.delete()[0]
            if not gone:
                raise CommandError("No login has failed there lately.", returncode=ExitCode.NOT_FOUND)
            note(
                "unlocked", "login", given["unlock"] or given["unlock_address"] or "everybody", failures=gone
            )
        self.stdout.write("Unlocked.")

    def remove_second_factor(self, name: str) -> None:
        """Take a user's second factor away. Raises CommandError where there is none."""
        user = User.objects.filter(name=name).first()
        if user is None or not second_factor.switch_off(user):
            raise CommandError(
                f"There is no second factor of a user {printable(name)}.", returncode=ExitCode.NOT_FOUND
            )
        self.stdout.write("Removed.")

    def show(self) -> None:
        """Print what is refused now."""
        rows = limits.full_rows()
        if not rows:
            self.stdout.write(NOTHING)
            return
        print_table(self.stdout, COLUMNS, map(line_of, rows))


def line_of(row: LoginFailures) -> tuple[str, ...]:
    """Return a row as a line of the table."""
    what = WORDS[LoginFailures.Of(row.of)]
    return (what, printable(row.name), row.address, str(row.failures), f"{row.ends_at:%Y-%m-%d %H:%M:%S}")
