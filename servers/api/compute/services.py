"""`/os-services`: each host's compute service, and whether the scheduler may choose it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from rest_framework.request import Request

from servers.actions.kinds import Boolean, HostName
from servers.api.compute.door import NovaView
from servers.api.compute.links import microseconds
from servers.api.compute.schemas import Schema, schema_of
from servers.api.compute.validation import TEXT, Query, Term
from servers.engine.hosts import set_service
from servers.errors import Invalid, Missing
from servers.models import Host

BINARY = "nova-compute"
REASON = {"type": "string", "minLength": 1, "maxLength": 255}
HOST = schema_of(HostName(nullable=False))
FLAG = schema_of(Boolean())


class ServiceMissing(Missing):
    """Service {service} could not be found."""


class BinaryMissing(Missing):
    """Could not find binary {binary} on host {host}."""


class UnknownOrder(Missing):
    """Unknown action"""


class UuidInvalid(Invalid):
    """Invalid uuid {text}"""


class NothingToUpdate(Invalid):
    """No updates were requested. Fields 'status' or 'forced_down' should be specified."""


class ReasonWithoutDisable(Invalid):
    """Specifying 'disabled_reason' when status is 'enabled' is invalid."""


def service_body(view: NovaView, host: Host) -> dict[str, Any]:
    """Return a host's service."""
    body: dict[str, Any] = {
        "id": str(host.service_uuid) if view.at_least("2.53") else host.pk,
        "binary": BINARY,
        "host": host.name,
        "zone": host.availability_zone,
        "status": "enabled" if host.enabled else "disabled",
        "state": "up" if host.is_up else "down",
        "updated_at": microseconds(host.heartbeat_at),
        "disabled_reason": host.disabled_reason or None,
    }
    if view.at_least("2.11"):
        body["forced_down"] = host.forced_down
    return body


class ServiceList(NovaView):
    """`GET /os-services`."""

    query = Query(terms=(Term("host", TEXT), Term("binary", TEXT)), strict="2.75")

    def get(self, request: Request) -> HttpResponse:
        self.require("os_compute_api:os-services:list")
        hosts = Host.objects.all()
        if self.value("host"):
            hosts = hosts.filter(name=self.value("host"))
        if self.value("binary") not in {None, "", BINARY}:
            hosts = hosts.none()
        return self.answer({"services": [service_body(self, host) for host in hosts]})


def _object(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


NAMED_BODY = _object({"host": HOST, "binary": TEXT, "disabled_reason": REASON}, "host", "binary")
NAMED_BODY_FORCED = _object({**NAMED_BODY["properties"], "forced_down": FLAG}, "host", "binary")
BODY = _object(
    {
        "status": {"type": "string", "enum": ["enabled", "disabled"]},
        "disabled_reason": REASON,
        "forced_down": FLAG,
    }
)


def word_is_true(value: Any) -> bool:
    """Return what one of Nova's words for a boolean means."""
    return bool(Boolean().clean(value))


class ServiceUpdate(NovaView):
    """`PUT /os-services/{order}` with a host's name until 2.52, `PUT /os-services/{uuid}` since."""

    def body_schema(self, method: str) -> Schema:
        if self.at_least("2.53"):
            return BODY
        return NAMED_BODY_FORCED if self.at_least("2.11") else NAMED_BODY

    def put(self, request: Request, service_id: str) -> HttpResponse:
        self.require("os_compute_api:os-services:update")
        if self.at_least("2.53"):
            return self.answer({"service": self.update(service_id)})
        return self.answer({"service": self.obey(service_id)})

    def update(self, service_id: str) -> dict[str, Any]:
        """Change what the body names, and return the service. Raises Invalid or ServiceMissing."""
        try:
            service = UUID(service_id)
        except ValueError as error:
            raise UuidInvalid(text=service_id) from error
        host = Host.objects.filter(service_uuid=service).first()
        if host is None:
            raise ServiceMissing(service=service_id)
        status, reason = self.body.get("status"), self.body.get("disabled_reason")
        if status is None and "forced_down" not in self.body:
            raise NothingToUpdate
        if reason and status != "disabled":
            raise ReasonWithoutDisable
        fields: dict[str, Any] = {}
        if status is not None:
            fields.update(enabled=status == "enabled", reason=reason or "")
        if "forced_down" in self.body:
            fields["forced_down"] = word_is_true(self.body["forced_down"])
        set_service(host, self.context, **fields)
        return service_body(self, host)

    def obey(self, order: str) -> dict[str, Any]:
        """Do what the address says, and return what Nova did until 2.52. Raises Invalid or Missing."""
        name, binary = self.body["host"], self.body["binary"]
        answer: dict[str, Any] = {"host": name, "binary": binary}
        fields = self.ordered(order, answer)
        host = Host.objects.filter(name=name).first()
        if host is None or binary != BINARY:
            raise BinaryMissing(binary=binary, host=name)
        set_service(host, self.context, **fields)
        return answer

    def ordered(self, order: str, answer: dict[str, Any]) -> dict[str, Any]:
        """Return what to set, and say in `answer` what becomes of them."""
        if order == "enable":
            answer["status"] = "enabled"
            return {"enabled": True}
        if order == "disable":
            answer["status"] = "disabled"
            return {"enabled": False}
        if order == "disable-log-reason":
            if "disabled_reason" not in self.body:
                raise Invalid("Missing disabled reason field")
            answer.update(status="disabled", disabled_reason=self.body["disabled_reason"])
            return {"enabled": False, "reason": self.body["disabled_reason"]}
        if order == "force-down" and self.at_least("2.11"):
            if "forced_down" not in self.body:
                raise Invalid("Missing forced_down field")
            answer["forced_down"] = word_is_true(self.body["forced_down"])
            return {"forced_down": answer["forced_down"]}
        raise UnknownOrder
