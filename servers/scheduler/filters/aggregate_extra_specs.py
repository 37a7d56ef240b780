"""aggregate_extra_specs: the host's aggregates have what the flavor's extra specs ask for."""

from __future__ import annotations

from servers.scheduler.filters.base import FILTERS, Filter
from servers.scheduler.operators import matches
from servers.scheduler.request import HostState, MoveRequest

SCOPE = "aggregate_instance_extra_specs"


def aggregate_values(host: HostState, key: str) -> list[str]:
    """Return what the host's aggregates say under `key`; a comma separates values."""
    texts = [str(metadata[key]) for metadata in host.aggregates if key in metadata]
    return sorted({value.strip() for text in texts for value in text.split(",")})


@FILTERS.add
class AggregateExtraSpecsFilter(Filter):
    """Every extra spec that is un-namespaced, or in this filter's namespace, matches an aggregate's metadata."""

    name = "aggregate_extra_specs"
    nova_name = "AggregateInstanceExtraSpecsFilter"

    def refuses(self, host: HostState, request: MoveRequest) -> str | None:
        for spec, wanted in request.extra_specs.items():
            key = spec.removeprefix(f"{SCOPE}:")
            if key == spec and ":" in spec:
                continue
            values = aggregate_values(host, key)
            if not values:
                return f"flavor wants {key} {str(wanted)!r}, no aggregate of the host has it"
            if not any(matches(value, str(wanted)) for value in values):
                return f"flavor wants {key} {str(wanted)!r}, the host's aggregates have {', '.join(values)}"
        return None
