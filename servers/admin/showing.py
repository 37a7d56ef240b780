"""What a page is given to show: rows as the caller may see them, with what the policy hides left empty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from django import shortcuts
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse

from servers.admin.caller import context_for
from servers.engine.visibility import GUARDED, Sight

_known: WeakKeyDictionary[HttpRequest, Sight] = WeakKeyDictionary()


def sight_of(request: HttpRequest) -> Sight:
    """Return what the caller sees of rows; one for the whole request."""
    sight = _known.get(request)
    if sight is None:
        sight = _known[request] = Sight(context_for(request))
    return sight


def sees(request: HttpRequest, row: Model, name: str) -> bool:
    """Return whether the caller may see a field of a row."""
    return sight_of(request).sees(row, name)


def shown(request: HttpRequest, value: Any) -> Any:
    """Return a row as the caller may see it; of lists, tuples, queries and dicts each row in them."""
    if isinstance(value, Model):
        return sight_of(request).shown(value)
    if isinstance(value, QuerySet):
        return [shown(request, row) for row in value] if value.model in GUARDED else value
    if type(value) in {list, tuple}:
        return type(value)(shown(request, each) for each in value)
    if type(value) is dict:
        return {key: shown(request, each) for key, each in value.items()}
    return value


def render(
    request: HttpRequest, template: str, context: Mapping[str, Any], status: int = 200
) -> HttpResponse:
    """Return a page. Every page of the console is made here, so that none can show more than the policy does."""
    return shortcuts.render(request, template, shown(request, dict(context)), status=status)
