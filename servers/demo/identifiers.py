"""Identifiers of the demo fleet: the same at every start and on every machine, so that seeding twice adds nothing."""

from __future__ import annotations

from uuid import UUID, uuid5

_NAMESPACE = UUID("6b1f2f0e-3c55-4e1b-9f5e-6d8f0c1d7a42")


def uuid_of(kind: str, name: str) -> UUID:
    """Return the UUID of a thing of the demo."""
    return uuid5(_NAMESPACE, f"{kind}/{name}")


def id_of(kind: str, name: str) -> str:
    """Return the identifier of a user or a project of the demo, in Keystone's form."""
    return uuid_of(kind, name).hex
