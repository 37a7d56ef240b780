"""What this process may do, by what the last comparison with the deployment has found."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import get_type_hints

from django.db.models import Q

from servers.actions import definitions
from servers.actions.task import ImageTask
from servers.errors import DeploymentDiffers


class Work(StrEnum):
    """What a difference spoils. Who may not do EVERYTHING may not do the other one either."""

    EVERYTHING = "everything"
    IMAGES = "images"


@dataclass(frozen=True)
class Difference:
    """Where this process differs from the deployment. `reason` and `remedy` are sentences, without secrets."""

    fact: str
    title: str
    reason: str
    remedy: str
    spoils: Work


class Standing:
    """What was found last; before the first comparison there are no differences."""

    def __init__(self) -> None:
        self.differences: tuple[Difference, ...] = ()
        self.image_store: str | None = None
        """The identity of the deployment's image store, None while it is not known."""
        self.compared_at: float | None = None
        """By time.monotonic()."""

    def settle(self, differences: Iterable[Difference], image_store: str | None) -> bool:
        """Keep what a comparison has found; return whether there are other differences than before."""
        former, self.differences = self.differences, tuple(differences)
        self.image_store, self.compared_at = image_store, time.monotonic()
        return former != self.differences

    def is_older_than(self, seconds: float) -> bool:
        """Return whether the last comparison is older than that, or there was none."""
        return self.compared_at is None or time.monotonic() - self.compared_at > seconds

    def refuses(self, work: Work = Work.EVERYTHING) -> str | None:
        """Return why this process stays out of the work, or None."""
        spoiling = [d for d in self.differences if d.spoils in (work, Work.EVERYTHING)]
        return " ".join(d.reason for d in spoiling) or None

    def require(self, work: Work = Work.EVERYTHING) -> None:
        """Do nothing when this process may do the work. Raises DeploymentDiffers, with the reason."""
        reason = self.refuses(work)
        if reason is not None:
            raise DeploymentDiffers(reason=reason)

    def allowed(self) -> Q:
        """Return the condition for actions that this process may carry out."""
        if self.refuses(Work.EVERYTHING):
            return Q(pk__in=[])
        return ~Q(slug__in=with_images()) if self.refuses(Work.IMAGES) else Q()


STANDING = Standing()
"""That of this process."""


@cache
def with_images() -> frozenset[str]:
    """Return the slugs of actions that read or write images, by what their steps ask."""
    return frozenset(
        slug
        for slug, action in definitions.items()
        for step in action.steps
        for function in (step.run, step.undo_with)
        if function is not None and ImageTask in get_type_hints(function)["task"].__mro__
    )
