"""`/openapi`: the document as a page that needs neither script nor network."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from servers.api.resources import Schema
from servers.api.schema import actions
from servers.api.schema.operation import JSON


def page_context(found: Schema) -> dict[str, Any]:
    """Return what the page shows of the document: actions first, with bodies, codes and examples; then every address."""
    return {"info": found["info"], "actions": list(described_actions()), "services": by_service(found)}


def described_actions() -> Iterator[dict[str, Any]]:
    """Return what the page says of each action."""
    for action in (*actions.on_servers(), *actions.on_migrations()):
        yield {
            "name": action.wire_name,
            **actions.facts(action),
            "since": action.since,
            "bodies": [
                {"since": body.since, "until": body.until, "schema": pretty(value_of(body))}
                for body in actions.bodies(action)
            ],
            "examples": [
                {"version": example.version, "body": pretty({action.wire_name: example.value})}
                for example in action.examples
            ],
        }


def value_of(body: actions.Body) -> Schema:
    """Return the schema of what stands under the action's key."""
    found: Schema = body.schema()["properties"][body.action.wire_name]
    return found


def by_service(found: Schema) -> dict[str, list[dict[str, Any]]]:
    """Return every operation by the service that it belongs to."""
    services: dict[str, list[dict[str, Any]]] = {}
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            versions = operation.get("x-openstack", {})
            entry = {
                "method": method.upper(),
                "path": path,
                "operation": operation,
                "since": versions.get("min-ver"),
                "until": versions.get("max-ver"),
                "acts": "actions" in versions,
                "query": [p for p in operation["parameters"] if p.get("in") == "query"],
                "body": pretty(body_of(operation)) if "requestBody" in operation else "",
                "replies": [reply_of(found, *reply) for reply in operation["responses"].items()],
            }
            services.setdefault(operation["tags"][0], []).append(entry)
    return services


def body_of(operation: Schema) -> Schema:
    """Return the schema of an operation's body."""
    [media] = operation["requestBody"]["content"].values()
    found: Schema = media["schema"]
    return found


def reply_of(found: Schema, code: str, response: Schema) -> dict[str, str]:
    """Return a response's code, its words, and the schema of a good one."""
    if "$ref" in response:
        response = found["components"]["responses"][response["$ref"].rpartition("/")[2]]
        return {"code": code, "text": response["description"], "schema": ""}
    schema = response.get("content", {}).get(JSON, {}).get("schema")
    return {"code": code, "text": response["description"], "schema": shape_of(found, schema)}


def shape_of(found: Schema, schema: Schema | None) -> str:
    """Return a schema as text, with what it refers to one step deep."""
    if schema is None:
        return ""
    name = schema.get("$ref", "").rpartition("/")[2]
    return pretty(found["components"]["schemas"].get(name, schema))


def pretty(value: Any) -> str:
    """Return a value as JSON to read."""
    return json.dumps(value, indent=2)
