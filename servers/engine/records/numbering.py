"""What a server that is new to the database is given: a number of its own, and what is made of its name."""

from __future__ import annotations

import re

from django.db import IntegrityError, transaction
from django.db.models import Max

from servers.models import Server

NUMBERED = re.compile(r"instance-([0-9a-f]{8,15})")
"""How Nova, and Gantry, name the guest of a server with a number."""
HOSTNAME_LIMIT = 63


def insert_with_number(server: Server) -> None:
    """Save a new server under a number that no other one has; in the caller's transaction.

    An adopted guest that Nova has named keeps its number where it is free. Others get the one after the highest,
    and so no guest is given the name of another. Raises IntegrityError where the server's UUID is known.
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
            server.number = next_number()  # somebody has taken that one
        else:
            return


def named_number(guest_name: str) -> int:
    """Return the number in a guest's name, 0 where there is none."""
    found = NUMBERED.fullmatch(guest_name)
    return int(found[1], 16) if found else 0


def next_number() -> int:
    """Return the number after the highest."""
    return (Server.objects.aggregate(newest=Max("number"))["newest"] or 0) + 1
