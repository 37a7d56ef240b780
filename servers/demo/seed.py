"""Seeding the demo: all of it, or nothing."""

from __future__ import annotations

from django.conf import settings
from django.db import transaction

from servers import clock
from servers.clock import VirtualClock
from servers.demo import catalogue, history, people
from servers.demo.hosts import add_hosts
from servers.demo.identifiers import uuid_of
from servers.demo.roster import SERVERS, STRANGER
from servers.demo.servers import add_servers
from servers.drivers.simulated import Fleet
from servers.fleet.drivers import refresh_host
from servers.models import Host, Server, User


def is_seeded() -> bool:
    """Return whether the demo is there, or was: what somebody has deleted of it does not come back."""
    return Server.objects.filter(uuid__in=[uuid_of("server", demo.name) for demo in SERVERS]).exists()


def seed(passwords: dict[str, str]) -> bool:
    """Make the demo where it is not there; return whether it was made. The admin has to exist.

    The fleet is a store of its own: what an interrupted seeding has left in it is removed first.
    """
    if is_seeded():
        return False
    fleet = Fleet(settings.SIMULATED_FLEET)
    forget_guests(fleet)
    with transaction.atomic(), clock.use(VirtualClock(clock.now() - history.WEEK)) as week:
        people.add_people(passwords)
        admin = User.objects.get(name="admin")
        catalogue.add_images(people.projects()[people.ADMIN_PROJECT].pk, admin.pk)
        add_servers(fleet, add_hosts(fleet))
        assert isinstance(week, VirtualClock)
        history.relive(fleet, week)
    for host in Host.objects.all():
        refresh_host(host)
    return True


def forget_guests(fleet: Fleet) -> None:
    """Remove the demo's guests from the fleet."""
    for name in (*(demo.name for demo in SERVERS), STRANGER):
        uuid = uuid_of("server", name)
        for host in fleet.defined_on(uuid):
            fleet.remove_guest(host, uuid)
