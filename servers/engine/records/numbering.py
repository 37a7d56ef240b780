"""What a server that is new to the database gets: number, reservation id and hostname."""

from __future__ import annotations

import re

from django.db import IntegrityError, transaction
from django.db.models import Max

from servers.models import Server

NUMBERED = re.compile(r"instance-([0-9a-f]{8,15})")
"""The name that Nova, and Gantry, give the guest of a server: its number in hexadecimal."""
HOSTNAME_LIMIT = 63


def insert_with_number(server: Server) -> None:
    """Insert a new server, with a number that no other server has, a hostname and a reservation id.

    A guest that Nova has named keeps the number in its name while no other server has it. Other servers get
    the highest number plus 1, so no two guests have one name. Runs in the caller's transaction, each try in a
    savepoint. Raises IntegrityError when another unique value is taken, for example the UUID.
    """
    server.hostname = re.sub(r"[^a-z0-9-]+", "-", server.name.lower()).strip("-")[:HOSTNAME_LIMIT]
    server.number = named_number(server.guest_name) or next_number()
    while True:
        server.reservation_id = f"r-{server.number:08x}"
        try:
            with transaction.atomic():
                server.save(force_insert=True)
        except IntegrityError:
            if not Server.objects.filter(number=server.number).exists():
                raise
            server.number = next_number()  # another transaction has taken the number
        else:
            return


def named_number(guest_name: str) -> int:
    """Return the number in a guest's name, or 0 when the name is not of Nova's form."""
    found = NUMBERED.fullmatch(guest_name)
    return int(found[1], 16) if found else 0


def next_number() -> int:
    """Return the highest number of any server plus 1; reserves nothing."""
    return (Server.objects.aggregate(newest=Max("number"))["newest"] or 0) + 1
