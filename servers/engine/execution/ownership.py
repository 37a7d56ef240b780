"""The owner of what an action makes on hosts: its migration, its image, or the action itself."""

from __future__ import annotations

from uuid import UUID

from servers.models import ActionRecord, Image, Migration
from servers.states import MIGRATION_OVER, OPEN_ACTION_STATUSES


def owner_of(action: ActionRecord, *, makes_server: bool) -> UUID:
    """Return the UUID in whose name an action changes hosts.

    That is its migration, else the image that it makes, else the action. With `makes_server` the image is
    only read, and does not own anything.
    """
    if action.migration_id is not None:
        uuid: UUID = Migration.objects.values_list("uuid", flat=True).get(pk=action.migration_id)
        return uuid
    if action.image_id is not None and not makes_server:
        return action.image_id
    return action.pk


def is_over(owner: UUID) -> bool:
    """Return whether no action will go on with the owner's work.

    False for an owner that is not recorded here, because its work may go on elsewhere.
    """
    working = ActionRecord.objects.filter(status__in=OPEN_ACTION_STATUSES)
    migration = Migration.objects.filter(uuid=owner).first()
    if migration is not None:
        return migration.status in MIGRATION_OVER and not working.filter(migration=migration).exists()
    if Image.objects.filter(pk=owner).exists():
        return not working.filter(image=owner).exists()
    action = ActionRecord.objects.filter(pk=owner).first()
    return action is not None and action.is_over
