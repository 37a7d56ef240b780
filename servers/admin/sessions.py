"""Sessions in the database, which tell an outage from a session that has ended meanwhile."""

from __future__ import annotations

from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore

from servers.outage import is_outage


class SessionStore(DatabaseStore):
    """Django's, which takes every error of a write for a session that somebody else has deleted, and answers 400."""

    def save(self, must_create: bool = False) -> None:
        try:
            super().save(must_create)
        except UpdateError as error:
            if error.__context__ is not None and is_outage(error.__context__):
                raise error.__context__ from error.__context__.__cause__
            raise
