"""Every address of the doors for clients, and what can be done there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver
from django.views import View

from servers.api.compute import discovery
from servers.api.compute.actions import MigrationAction, ServerAction
from servers.api.compute.migrations import ServerMigration
from servers.api.compute.urls import resources
from servers.api.gantry.metrics import Metrics
from servers.api.gantry.urls import resources as gantry_resources
from servers.api.identity.discovery import Nothing
from servers.api.identity.urls import urlpatterns as identity_patterns
from servers.api.image.door import NothingHere
from servers.api.image.urls import urlpatterns as image_patterns
from servers.api.schema import actions, compute, gantry, identity, image
from servers.api.schema.operation import Operation
from servers.api.schema.refusals import Service

METHODS = ("get", "head", "post", "put", "patch", "delete")
NOT_FOUND_VIEWS = (Nothing, NothingHere)
"""What answers at addresses that lead nowhere."""

Operations = Mapping[tuple[Any, str], Operation]


@dataclass(frozen=True)
class Route:
    """An address, and the view that answers there."""

    service: Service
    path: str
    view: Any
    """A class of views, or a function that answers."""

    def operations(self, known: Operations) -> Iterator[tuple[str, Operation]]:
        """Return what can be done there, by method. Raises KeyError for what nobody has described."""
        allowed = getattr(self.view, "http_method_names", METHODS)
        handled = [name for name in METHODS if hasattr(self.view, name)] or ["get"]  # a function has none
        for method in (name for name in handled if name in allowed):
            key = (self.view, method)
            one = self.path.endswith("{pk}") and key in identity.ONE
            yield method, identity.ONE[key] if one else known[key]


def described() -> Operations:
    """Return every operation; those of the actions come of the registry as it is now."""
    return {
        (discovery.versions_list, "get"): compute.VERSIONS,
        **compute.OPERATIONS,
        **identity.OPERATIONS,
        **image.OPERATIONS,
        **gantry.OPERATIONS,
        (ServerAction, "post"): actions.operation("Act on a server", actions.on_servers()),
        (MigrationAction, "post"): actions.operation(
            "Act on a live migration that is going on", actions.on_migrations()
        ),
        (ServerMigration, "delete"): actions.abort(),
    }


def routes() -> Iterator[Route]:
    """Return every route. `/v2`, and a project's id in the address, lead to the same and are left out."""
    yield Route(Service.COMPUTE, "/", discovery.versions_list)
    yield Route(Service.COMPUTE, "/v2.1/", discovery.VersionDocument)
    yield Route(Service.GANTRY, "/metrics", Metrics)
    doors = (
        (Service.COMPUTE, "/v2.1/", resources),
        (Service.IDENTITY, "/identity", identity_patterns),
        (Service.IMAGE, "/image", image_patterns),
        (Service.GANTRY, "/gantry/v1/", gantry_resources),
    )
    for service, prefix, patterns in doors:
        for path, view in walk(patterns):
            if view not in NOT_FOUND_VIEWS:
                yield Route(service, prefix + path, view)


def walk(patterns: Iterable[URLPattern | URLResolver]) -> Iterator[tuple[str, type[View]]]:
    """Return path and view of each pattern, the path as OpenAPI writes it."""
    for pattern in patterns:
        if isinstance(pattern, URLPattern):
            callback = pattern.callback
            view: type[View] = getattr(callback, "view_class", None) or callback.cls  # type: ignore[attr-defined]
            yield template(str(pattern.pattern)), view


def template(route: str) -> str:
    """Return a route in OpenAPI's form: without converters, anchors and a slash that may be left out."""
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", re.sub(r"^\^|/\?\\Z$", "", route))
