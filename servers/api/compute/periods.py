"""When a row was changed: the filters changes-since and changes-before."""

from __future__ import annotations

from django.db.models import Q

from servers.api.compute.paging import Values
from servers.api.compute.validation import DATE_TIME, Term
from servers.api.validation import moment
from servers.errors import Invalid


class WrongPeriod(Invalid):
    """The value of changes-since must be less than or equal to changes-before."""


def period_terms(since: str) -> tuple[Term, ...]:
    """Return the two keys of a query: one has been there `since`, the other came with 2.66."""
    return Term("changes-since", DATE_TIME, since=since), Term("changes-before", DATE_TIME, since="2.66")


def changed(values: Values, field: str) -> Q:
    """Return the condition that the row was changed in the period asked for. Raises WrongPeriod."""
    since, before = (
        moment(values[name][-1]) if name in values else None for name in ("changes-since", "changes-before")
    )
    if since and before and since > before:
        raise WrongPeriod
    condition = Q()
    if since:
        condition &= Q(**{f"{field}__gte": since})
    if before:
        condition &= Q(**{f"{field}__lte": before})
    return condition
