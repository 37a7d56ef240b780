"""The browser console: Django's admin over everything that is kept, and the same actions as at the other doors."""

from servers.admin import (
    access,
    actions,
    audit,
    credentials,
    fleet,
    hosts,
    images,
    migrations,
    server_list,
    workers,
)
from servers.admin.site import console

__all__ = [
    "access",
    "actions",
    "audit",
    "console",
    "credentials",
    "fleet",
    "hosts",
    "images",
    "migrations",
    "server_list",
    "workers",
]
