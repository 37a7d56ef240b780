"""What a queue promises beyond Django's Tasks API."""

from __future__ import annotations

from typing import Protocol, cast

from django_tasks import default_task_backend


class Bells(Protocol):
    """A queue that `manage.py work` can serve. It may lose a bell or ring twice: the row is the truth."""

    def serve(self, worker: str) -> None:
        """Answer one bell at a time until SIGTERM, and end the one that is being answered first."""

    def tidy_up(self) -> None:
        """Forget bells that nobody will answer any more."""


def bells() -> Bells:
    """Return the queue that the setting QUEUE names."""
    return cast(Bells, default_task_backend)
