"""`/flavors`: the sizes."""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from django.http import HttpResponse
from rest_framework.request import Request

from servers.api.compute.booleans import FALSE_WORDS, TRUE_WORDS
from servers.api.compute.door import NovaView
from servers.api.compute.links import next_link
from servers.api.compute.paging import Key, is_full, limit_of, page
from servers.api.compute.server_body import EXTRA_SPECS, flavor_body
from servers.api.compute.validation import PAGING, TEXT, Query, Term
from servers.errors import Invalid, Missing
from servers.models import Flavor

SORT_FIELDS = {
    "created_at": "id",
    "description": "description",
    "ephemeral_gb": "ephemeral_gb",
    "flavorid": "flavorid",
    "id": "id",
    "is_public": "is_public",
    "memory_mb": "memory_mb",
    "name": "name",
    "root_gb": "root_gb",
    "swap": "swap_mb",
    "updated_at": "id",
    "vcpus": "vcpus",
}
ONE_OF_THE_FIELDS = {
    "type": "string",
    "enum": sorted([*SORT_FIELDS, "disabled", "rxtx_factor", "vcpu_weight"]),
}


class FlavorMissing(Missing):
    """Flavor {flavor} could not be found."""


class FlavorMarkerUnknown(Invalid):
    """marker [{marker}] not found"""


class FilterInvalid(Invalid):
    """Invalid {name} filter [{value}]"""


class FlavorView(NovaView):
    """What all these addresses have in common."""

    def find(self, flavor_id: str) -> Flavor:
        """Return the flavor. Raises FlavorMissing; only an admin sees one that is not public."""
        visible = Q() if self.is_admin else Q(is_public=True)
        flavor = Flavor.objects.filter(visible, flavorid=flavor_id).first()
        if flavor is None:
            raise FlavorMissing(flavor=flavor_id)
        return flavor


class FlavorList(FlavorView):
    """`GET /flavors`."""

    query = Query(
        terms=(
            *PAGING,
            Term("is_public", TEXT),
            Term("minRam", TEXT),
            Term("minDisk", TEXT),
            Term("sort_key", ONE_OF_THE_FIELDS),
            Term("sort_dir", {"type": "string", "enum": ["asc", "desc"]}),
            Term("name", TEXT, since="2.102"),
        ),
        strict="2.75",
    )

    def get(self, request: Request) -> HttpResponse:
        limit = limit_of(self.values)
        found = page(Flavor.objects.filter(self.condition()), self.sort_keys(), limit, self.marker())
        body: dict[str, Any] = {"flavors": self.listed(found)}
        if is_full(found, limit):
            body["flavors_links"] = next_link(request.path, request.GET, found[-1].flavorid)
        return self.answer(body)

    def condition(self) -> Q:
        """Return which flavors the query asks for. Raises FilterInvalid."""
        condition = self.publicity()
        for name, field in (("minRam", "memory_mb"), ("minDisk", "root_gb")):
            text = self.value(name)
            if text is not None:
                if not (text.isascii() and text.isdigit() and len(text) < 10):
                    raise FilterInvalid(name=name, value=text)
                condition &= Q(**{f"{field}__gte": int(text)})
        if self.value("name") is not None:
            condition &= Q(name__icontains=self.value("name"))
        return condition

    def publicity(self) -> Q:
        """Return the condition that comes of `is_public`, which only an admin may change."""
        text = (self.value("is_public") or "true").lower()
        if not self.is_admin or text in TRUE_WORDS:
            return Q(is_public=True)
        if text == "none":
            return Q()
        if text not in FALSE_WORDS:
            raise FilterInvalid(name="is_public", value=text)
        return Q(is_public=False)

    def sort_keys(self) -> list[Key]:
        """Return what to sort by."""
        field = SORT_FIELDS.get(self.value("sort_key") or "flavorid", "flavorid")
        return [Key(field, self.value("sort_dir") == "desc"), Key("id")]

    def marker(self) -> Flavor | None:
        """Return the flavor after which the page begins. Raises FlavorMarkerUnknown."""
        text = self.value("marker")
        if text is None:
            return None
        try:
            return self.find(text)
        except FlavorMissing as error:
            raise FlavorMarkerUnknown(marker=text) from error

    def listed(self, flavors: list[Flavor]) -> list[dict[str, Any]]:
        """Return the bodies of a page."""
        found: list[dict[str, Any]] = []
        for flavor in flavors:
            links = self.links.both("flavors", flavor.flavorid)
            body: dict[str, Any] = {"id": flavor.flavorid, "name": flavor.name, "links": links}
            if self.at_least("2.55"):
                body["description"] = flavor.description
            found.append(body)
        return found


class FlavorDetailList(FlavorList):
    """`GET /flavors/detail`."""

    def listed(self, flavors: list[Flavor]) -> list[dict[str, Any]]:
        extra_specs = self.allows(EXTRA_SPECS)
        return [flavor_body(self, flavor, extra_specs) for flavor in flavors]


class FlavorShow(FlavorView):
    """`GET /flavors/{id}`."""

    def get(self, request: Request, flavor_id: str) -> HttpResponse:
        flavor = self.find(flavor_id)
        return self.answer({"flavor": flavor_body(self, flavor, self.allows(EXTRA_SPECS))})


class FlavorExtraSpecs(FlavorView):
    """`GET /flavors/{id}/os-extra_specs`."""

    def get(self, request: Request, flavor_id: str) -> HttpResponse:
        self.require(EXTRA_SPECS)
        return self.answer({"extra_specs": self.find(flavor_id).extra_specs})
