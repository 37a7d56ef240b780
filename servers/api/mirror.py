"""Projects of the site's Keystone, known here by name, so that the console and the command can show and find them."""

from __future__ import annotations

from django.db import IntegrityError, transaction

from servers.models import Domain, Project

LONGEST_NAME = 64


def mirror_project(project_id: str, name: str, domain_id: str, domain_name: str) -> None:
    """Make the rows of a project that is seen for the first time, and of its domain.

    Users have none: a console account of the same name is somebody else, and must not become theirs.
    """
    if Project.objects.filter(pk=project_id).exists():
        return
    make(Domain, domain_id, name=domain_name)
    make(Project, project_id, name=name, domain_id=domain_id)


def make(kind: type[Domain] | type[Project], pk: str, *, name: str, **fields: str) -> None:
    """Make a row unless it is there; where its name is taken by another one it gets some of its id before the name."""
    for free in (name, f"{pk[:8]} {name}"[:LONGEST_NAME]):
        try:
            with transaction.atomic():
                kind.objects.get_or_create(pk=pk, defaults={"name": free, **fields})
        except IntegrityError:
            continue
        return
