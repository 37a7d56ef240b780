"""Sending the requests of the contract, making things go wrong as it says, and reading what they have left."""

from __future__ import annotations

import base64
import builtins
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from django.test import Client

from servers import errors
from servers.api.compute import actions
from servers.api.faults import kept_code
from servers.engine.accepting import submit
from servers.engine.capacity import claims
from servers.engine.execution.task import placing
from servers.errors import DiskMoveRolledBack, Unforeseen
from servers.models import Allocation, Migration, Server
from servers.states import PowerState
from tests.wire.build import SERVER, World
from tests.wire.compare import fill

DRIVER_VERBS = {"post_live_migration_at_destination": "post_live_migration"}


def make_error(name: str, args: Mapping[str, Any], known: Mapping[str, Any]) -> Exception:
    """Return the error that a fault names."""
    args = fill(args or {}, known)
    if name == "InstanceFaultRollback":
        inner = make_error(args["inner"]["error"], args["inner"]["args"], known)
        return DiskMoveRolledBack(str(inner))
    if name == "NovaException":
        return Unforeseen(message=args["message"])
    if hasattr(errors, name):
        return getattr(errors, name)(**args)
    return getattr(builtins, name)(args["message"])


def set_fault(world: World, fault: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a verb fail: in the simulated fleet, or at the engine's own seam."""
    verb, host = fault["verb"], fault["host"]
    if verb == "select_destinations":
        error = make_error(fault["error"], fault["args"], world.known)
        monkeypatch.setattr(placing, "select_hosts", raising(error))
    elif verb == "accept":
        error = make_error(fault["error"], fault["args"], world.known)
        monkeypatch.setattr(actions, "submit", raising(error))
    elif verb == "claim":
        error, real = make_error(fault["error"], fault["args"], world.known), claims.claim
        monkeypatch.setattr(
            claims,
            "claim",
            lambda server, name: raising(error)() if name == host else real(server, name),
        )
    else:
        name, args = fault["error"], fill(fault["args"], world.known)
        if name == "InstanceFaultRollback":
            inner = make_error(args["inner"]["error"], args["inner"]["args"], world.known)
            name, args = "DiskMoveRolledBack", {"message": str(inner)}
        world.simulation.set_fault(
            DRIVER_VERBS.get(verb, verb), host, error=name, args=args, times=fault.get("times", "always")
        )


def raising(error: Exception) -> Callable[..., Any]:
    """Return a function that raises `error`."""

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise error

    return fail


def set_race(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let somebody set task_state to deleting after the check and before the write."""
    real = submit.accept

    def overtaken(definition: Any, server_id: Any, *rest: Any, **named: Any) -> Any:
        Server.objects.filter(pk=server_id).update(task_state="deleting")
        return real(definition, server_id, *rest, **named)

    monkeypatch.setattr(submit, "accept", overtaken)


def content(request: Mapping[str, Any], known: Mapping[str, Any]) -> bytes:
    """Return the bytes of a request's body."""
    raw = request.get("raw_body")
    if isinstance(raw, str):
        return raw.encode()
    if isinstance(raw, Mapping) and "base64" in raw:
        return base64.b64decode(raw["base64"])
    if isinstance(raw, Mapping):
        return (raw["prefix"] + raw["repeat"] * raw["times"] + raw["suffix"]).encode()
    return json.dumps(fill(request["body"], known)).encode() if "body" in request else b""


def send(world: World, request: Mapping[str, Any]) -> Any:
    """Return the answer to a request of the contract."""
    headers = {k: v for k, v in (request.get("headers") or {}).items() if v is not None}
    media_type = headers.pop("Content-Type", "application/json")
    if (request.get("headers") or {}).get("Content-Type", "") is None:
        media_type = ""
    secret = world.token(request.get("role"))
    if secret is not None:
        headers["X-Auth-Token"] = secret
    named = any(name.lower().endswith("api-version") for name in headers)
    if request.get("microversion") and not named:
        headers["X-OpenStack-Nova-API-Version"] = request["microversion"]
    client = Client(raise_request_exception=False)
    path, data = fill(request["path"], world.known), content(request, world.known)
    extra = {} if media_type else {"CONTENT_TYPE": ""}
    return client.generic(request["method"], path, data, content_type=media_type, headers=headers, **extra)


def body_of(response: Any) -> Any:
    """Return the answer's body: JSON where it is, text otherwise."""
    text = response.content.decode()
    try:
        return json.loads(text) if text else ""
    except ValueError:
        return text


def left_behind() -> dict[str, Any]:
    """Return what the database holds of the server under test, as rows' `after` has it."""
    server = Server.objects.get(pk=SERVER)
    newest = server.actions.order_by("-created_at").first()
    events = newest.events.order_by("-pk") if newest else []
    return {
        "vm_state": server.vm_state,
        "task_state": server.task_state or None,
        "migration_status": [m.status for m in Migration.objects.filter(server=server).order_by("-pk")],
        "instance_action": newest.name if newest else None,
        "events": [{"event": e.name, "result": e.result, "details": e.details or None} for e in events],
    }


def outcome() -> dict[str, Any]:
    """Return what a flow has left, as its `final`, `allocations`, `migrations` and `actions` have it."""
    server = Server.objects.select_related("host").get(pk=SERVER)
    moves = Migration.objects.filter(server=server).order_by("-pk")
    final: dict[str, Any] = {
        "vm_state": server.vm_state,
        "task_state": server.task_state or None,
        "host": server.host.name if server.host else None,
        "power_state": PowerState(server.power_state).value,
        "status": server.status,
    }
    if server.status in {"ERROR", "DELETED"} and server.fault_code:  # elsewhere Nova hides it
        final["fault"] = {"code": kept_code(server.fault_code), "message": server.fault_message}
    return {
        "final": final,
        "allocations": {
            "server": _charged(Allocation.objects.filter(server=server)),
            **{f"migration:{m.status}": _charged(Allocation.objects.filter(migration=m)) for m in moves},
        },
        "migrations": [
            {
                "status": m.status,
                "migration_type": m.migration_type,
                "source_compute": m.source_compute,
                "dest_compute": m.dest_compute or None,
                "statuses": m.statuses,
            }
            for m in moves
        ],
        "actions": [
            {
                "action": a.name,
                "message": a.message or None,
                "events_newest_first": [
                    [e.name, e.result or None, e.details or None] for e in a.events.order_by("-pk")
                ],
            }
            for a in server.actions.order_by("-created_at", "-pk")
        ],
    }


def _charged(allocations: Any) -> dict[str, Any]:
    return {
        a.host.name: {"DISK_GB": a.disk_gb, "MEMORY_MB": a.memory_mb, "VCPU": a.vcpus}
        for a in allocations.select_related("host")
    }
