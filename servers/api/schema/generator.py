"""The OpenAPI document: every route of the doors for clients, with what its view accepts and answers."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.plumbing import ResolvedComponent

from servers.api.compute.form import NovaFormView
from servers.api.compute.negotiation import HEADER, SERVICE
from servers.api.faults import status_of
from servers.api.idempotency import HEADER as KEY
from servers.api.idempotency import REPLAYED, is_once
from servers.api.resources import TEXT, Resource, Schema, version_range
from servers.api.schema import actions
from servers.api.schema.operation import JSON, Operation, Reply
from servers.api.schema.refusals import REQUEST_IDS, Service
from servers.api.schema.routes import Route, described, routes
from servers.errors import IdempotencyKeyInvalid, KeyReused, RequestUnderWay
from servers.microversions import HISTORY, Microversion, maximum

TOKEN = "token"
VERSION_PARAMETER = "Microversion"
KEY_PARAMETER = "IdempotencyKey"
KEY_REFUSALS = tuple(map(status_of, (IdempotencyKeyInvalid, RequestUnderWay, KeyReused)))
"""With which a request may answer for its Idempotency-Key."""


class Generator(SchemaGenerator):
    """drf-spectacular's generator, with operations that come from the views' own descriptions.

    It has no serializers to look at: bodies are JSON schemas already, and change with the microversion.
    """

    def parse(self, input_request: Any, public: bool) -> dict[str, Any]:
        """Return the paths, and leave in the registry what they refer to."""
        self.component(ResolvedComponent.SECURITY_SCHEMA, TOKEN, token_scheme())
        self.component(ResolvedComponent.PARAMETER, VERSION_PARAMETER, version_parameter())
        self.component(ResolvedComponent.PARAMETER, KEY_PARAMETER, key_parameter())
        for action in (*actions.on_servers(), *actions.on_migrations()):
            for body in actions.bodies(action):
                self.component(ResolvedComponent.SCHEMA, body.name, body.schema())
        known = described()
        paths: dict[str, Any] = {}
        for route in routes():
            for method, operation in route.operations(known):
                paths.setdefault(route.path, {})[method] = self.operation(route, method, operation)
        return paths

    def component(self, kind: str, name: str, schema: Schema) -> Schema:
        """Register a component once, and return the reference to it. Raises ValueError for two of one name."""
        found = ResolvedComponent(name=name, type=kind, schema=schema, object=name)  # type: ignore[no-untyped-call]
        if found in self.registry and self.registry[found].schema != schema:
            raise ValueError(f"two components are called {name}")
        self.registry.register_on_missing(found)
        return dict(found.ref)

    def refer(self, shape: Resource) -> Schema:
        """Return the reference to an object's schema."""
        return self.component(ResolvedComponent.SCHEMA, shape.name, shape.at_all(self.refer))

    # ------------------------------------------------------------------------------- one operation

    def operation(self, route: Route, method: str, operation: Operation) -> Schema:
        """Return the operation object."""
        found: Schema = {
            "operationId": operation_id(route.path, method),
            "summary": operation.summary,
            "tags": [route.service.value],
            "parameters": self.parameters(route, method, operation),
            "security": [] if operation.public else [{TOKEN: []}],
            "responses": self.responses(route, method, operation),
            **version_range(*versions_of(route.view, method)),
            **operation.extension,
        }
        if operation.description:
            found["description"] = operation.description
        body = body_of(route.view, method, operation)
        if body is not None:
            found["requestBody"] = self.request_body(operation, body)
        return found

    def parameters(self, route: Route, method: str, operation: Operation) -> list[Schema]:
        """Return what stands in path, query and headers."""
        found: list[Schema] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
            for name in re.findall(r"{(\w+)}", route.path)
        ]
        if route.service is Service.COMPUTE and not operation.bare:
            found.append({"$ref": f"#/components/parameters/{VERSION_PARAMETER}"})
        if is_once(route.view, method):
            found.append({"$ref": f"#/components/parameters/{KEY_PARAMETER}"})
        if not operation.bare:
            found += terms_of(route.view)
        for name, schema in operation.query.items():
            found.append({"name": name, "in": "query", "schema": schema})
        for name, schema in operation.headers.items():
            found.append({"name": name, "in": "header", "schema": schema})
        return found

    def request_body(self, operation: Operation, body: Schema | Resource) -> Schema:
        """Return the request body object."""
        media: Schema = {"schema": self.refer(body) if isinstance(body, Resource) else body}
        if operation.examples:
            media["examples"] = {name: {"value": value} for name, value in operation.examples.items()}
        return {"required": True, "content": {operation.media_type: media}}

    def responses(self, route: Route, method: str, operation: Operation) -> Schema:
        """Return the responses, good ones first."""
        service, repeats = route.service, is_once(route.view, method)
        headers = self.headers(() if operation.bare else service.headers)
        if repeats:
            headers |= self.headers((REPLAYED,))
        found = {str(reply.status): self.reply(reply, headers) for reply in operation.replies}
        always = {code for code in service.always if not (operation.public and code in {401, 403})}
        if operation.bare:
            always = set()
        for code in sorted({*always, *operation.refusals, *(KEY_REFUSALS if repeats else ())}):
            name = f"{service}_{code}"
            response = {**service.refusal(code), "headers": self.headers(service.refusal_headers(code))}
            found[str(code)] = self.component(ResolvedComponent.RESPONSE, name, response)
        return found

    def headers(self, names: tuple[str, ...]) -> Schema:
        """Return header objects; an answer always says by which id its request is found in the log."""
        return {
            name: self.component(
                ResolvedComponent.HEADER, name, {"schema": TEXT, "required": name in REQUEST_IDS}
            )
            for name in names
        }

    def reply(self, reply: Reply, headers: Schema) -> Schema:
        """Return the response object of a good answer."""
        found: Schema = {
            "description": reply.text or HTTPStatus(reply.status).phrase,
            "headers": {**headers, **self.headers(reply.headers)},
        }
        if reply.shape is not None or reply.media_types != (JSON,):
            found["content"] = {kind: self.media(kind, reply) for kind in reply.media_types}
        return found

    def media(self, kind: str, reply: Reply) -> Schema:
        """Return the media type object."""
        if kind == JSON and reply.shape is not None:
            return {"schema": self.refer(reply.shape)}
        return {}


def document() -> Schema:
    """Return the whole document, for the actions and the maximum that there are now."""
    found: Schema = Generator().get_schema(public=True)  # type: ignore[no-untyped-call]
    return found


def operation_id(path: str, method: str) -> str:
    """Return a name that no other operation has: the method, and the words of the address."""
    words = re.findall(r"\w+", path.replace(".", "_"))
    return "_".join([method, *words])


def versions_of(view: Any, method: str) -> tuple[str | None, str | None]:
    """Return in which microversions a method exists."""
    since, until = getattr(getattr(view, method, None), "versions", (None, None))
    return since, until


def body_of(view: Any, method: str, operation: Operation) -> Schema | Resource | None:
    """Return what the view checks a request's body by, else what the operation says of it."""
    return getattr(view, "bodies", {}).get(method, operation.body)


def terms_of(view: Any) -> list[Schema]:
    """Return the query of a view, from what it checks the query by."""
    if not (isinstance(view, type) and issubclass(view, NovaFormView)):
        return []
    rows: dict[str, list[Schema]] = {}
    for term in view.query.terms:
        schema = {**term.schema, **version_range(term.since, term.until)}
        rows.setdefault(term.name, []).append(schema)
    return [
        {"name": name, "in": "query", "schema": found[0] if len(found) == 1 else {"anyOf": found}}
        for name, found in rows.items()
    ]


def version_parameter() -> Schema:
    """Return the header by which a client asks for a microversion."""
    spoken = [v for v in HISTORY if Microversion.parse(v) <= maximum()]
    return {
        "name": HEADER,
        "in": "header",
        "description": f"{SERVICE} and the microversion to speak; {spoken[0]} when it is missing",
        "schema": {"type": "string", "enum": [f"{SERVICE} {version}" for version in [*spoken, "latest"]]},
    }


def key_parameter() -> Schema:
    """Return the header by which a request that is repeated is carried out once."""
    return {
        "name": KEY,
        "in": "header",
        "description": "A name of the request that no other one has, as a string of RFC 8941 or bare: with the same key"
        f" the request is carried out once, and a repeat gets the first good answer again, with `{REPLAYED}: true`."
        " The same key with another request is 422, and 409 while the first is under way.",
        "schema": {"type": "string", "minLength": 1, "examples": ['"8e03978e-40d5-43e8-bc93-6894a57f9324"']},
    }


def token_scheme() -> Schema:
    """Return how a client says who it is."""
    return {
        "type": "apiKey",
        "in": "header",
        "name": "X-Auth-Token",
        "description": "X-Subject-Token of the answer to POST /identity/v3/auth/tokens",
    }
