"""`/flavors`: the sizes."""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from django.http import HttpResponse
from rest_framework.request import Request

from servers.api.compute.booleans import FALSE_WORDS, TRUE_WORDS
from servers.api.compute.door import NovaView
from servers.api.compute.links import links, next_link
from servers.api.compute.paging import Key, is_full, limit_of, page
from servers.api.compute.server_resource import EXTRA_SPECS
from servers.api.compute.validation import PAGING, Query, Term
from servers.api.resources import (
    FLAG,
    NUMBER,
    OBJECT,
    TEXT,
    TEXT_OR_NULL,
    Bodies,
    Field,
    Resource,
    fields,
    fixed,
)
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

FLAVOR_BRIEF = Resource(
    "FlavorBrief",
    (
        Field("id", TEXT, "flavorid"),
        Field("name", TEXT, "name"),
        links(lambda flavor, view: view.links.both("flavors", flavor.flavorid)),
        Field("description", TEXT_OR_NULL, "description", since="2.55"),
    ),
)
FLAVOR = Resource(
    "Flavor",
    (
        *FLAVOR_BRIEF.fields,
        Field("vcpus", NUMBER, "vcpus"),
        Field("ram", NUMBER, "memory_mb"),
        Field("disk", NUMBER, "root_gb"),
        Field("OS-FLV-EXT-DATA:ephemeral", NUMBER, "ephemeral_gb"),
        Field("swap", NUMBER, "swap_mb", until="2.74", when="swap_mb", otherwise=""),
        Field("swap", NUMBER, "swap_mb", since="2.75"),
        Field("OS-FLV-DISABLED:disabled", FLAG, fixed(False)),
        Field("os-flavor-access:is_public", FLAG, "is_public"),
        Field("rxtx_factor", {"type": "number"}, fixed(1.0), until="2.101"),
        Field("extra_specs", OBJECT, "extra_specs", since="2.61", rule=EXTRA_SPECS),
    ),
)
FLAVOR_EXTRA_SPECS = Resource("FlavorExtraSpecs", fields("extra_specs", OBJECT))


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

    resource = FLAVOR_BRIEF
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
        body: dict[str, Any] = {"flavors": list(map(Bodies(self.resource, self), found))}
        if is_full(found, limit):
            body["flavors_links"] = next_link(request.path_info, request.GET, found[-1].flavorid)
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


class FlavorDetailList(FlavorList):
    """`GET /flavors/detail`."""

    resource = FLAVOR


class FlavorShow(FlavorView):
    """`GET /flavors/{id}`."""

    def get(self, request: Request, flavor_id: str) -> HttpResponse:
        return self.answer({"flavor": Bodies(FLAVOR, self)(self.find(flavor_id))})


class FlavorExtraSpecs(FlavorView):
    """`GET /flavors/{id}/os-extra_specs`."""

    def get(self, request: Request, flavor_id: str) -> HttpResponse:
        self.require(EXTRA_SPECS)
        return self.answer(Bodies(FLAVOR_EXTRA_SPECS, self)(self.find(flavor_id)))
