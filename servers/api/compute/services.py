"""`/os-services`: each host's compute service, and whether the scheduler may choose it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from rest_framework.request import Request

from servers.actions.kinds import Boolean, HostName
from servers.api.compute.door import NovaView
from servers.api.compute.schemas import Schema, schema_of
from servers.api.compute.service_resource import BINARY, ORDERED_SERVICE, SERVICE, STATUS, Order
from servers.api.compute.validation import TEXT, Query, Term
from servers.api.idempotency import once
from servers.api.resources import Bodies, Body, an_object
from servers.api.validation import bounded_text
from servers.engine.hosts import set_service
from servers.errors import Invalid, Missing
from servers.models import Host

REASON = bounded_text(255, shortest=1)
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
        return self.answer({"services": list(map(Bodies(SERVICE, self), hosts))})


NAMED = {"host": HOST, "binary": TEXT}
NAMED_BODY = an_object(NAMED, {"disabled_reason": REASON}, additionalProperties=False)
NAMED_BODY_FORCED = an_object(
    NAMED, {"disabled_reason": REASON, "forced_down": FLAG}, additionalProperties=False
)
BODY = an_object(
    {}, {"status": STATUS, "disabled_reason": REASON, "forced_down": FLAG}, additionalProperties=False
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

    @once
    def put(self, request: Request, service_id: str) -> HttpResponse:
        self.require("os_compute_api:os-services:update")
        if self.at_least("2.53"):
            return self.answer({"service": self.update(service_id)})
        return self.answer({"service": self.obey(service_id)})

    def update(self, service_id: str) -> Body:
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
        return Bodies(SERVICE, self)(host)

    def obey(self, order_name: str) -> Body:
        """Do what the address says, and return what Nova did until 2.52. Raises Invalid or Missing."""
        order = self.order(order_name)
        host = Host.objects.filter(name=order.host).first()
        if host is None or order.binary != BINARY:
            raise BinaryMissing(binary=order.binary, host=order.host)
        set_service(
            host,
            self.context,
            enabled=order.enabled,
            reason=order.reason or "",
            forced_down=order.forced_down,
        )
        return Bodies(ORDERED_SERVICE, self)(order)

    def order(self, name: str) -> Order:
        """Return what the address and the body say together. Raises Invalid or UnknownOrder."""
        order = Order(self.body["host"], self.body["binary"])
        if name in {"enable", "disable"}:
            order.enabled = name == "enable"
        elif name == "disable-log-reason":
            order.enabled, order.reason = False, self.given("disabled_reason", "disabled reason")
        elif name == "force-down" and self.at_least("2.11"):
            order.forced_down = word_is_true(self.given("forced_down", "forced_down"))
        else:
            raise UnknownOrder
        return order

    def given(self, key: str, spoken: str) -> Any:
        """Return what the body has under a key that this order cannot do without. Raises Invalid."""
        if key not in self.body:
            raise Invalid(f"Missing {spoken} field")
        return self.body[key]
