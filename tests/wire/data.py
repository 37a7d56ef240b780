"""The contract as data: rows, flows, and what the project answers otherwise on purpose.

WIRE_VECTORS names another folder laid out alike (vectors/*.yaml and flows.yaml).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from servers.microversions import Microversion
from tests.wire.compare import overlay

HERE = Path(__file__).parent
FOLDER = Path(os.environ.get("WIRE_VECTORS", HERE))
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load(path: Path) -> Any:
    """Return what a YAML file says."""
    return yaml.load(path.read_text(), Loader=LOADER)


def rows() -> list[dict[str, Any]]:
    """Return every row that is to be replayed, with `ours` laid over what is expected."""
    found = []
    for path in sorted((FOLDER / "vectors").glob("*.yaml")):
        for row in load(path):
            if row.get("replay", True):
                found.append({**row, "expect": expected(row)})
    return found


def expected(row: dict[str, Any]) -> dict[str, Any]:
    """Return what is expected with `ours` laid over it; a body with another fault takes the place of the first."""
    ours = row.get("ours", {})
    return overlay(row["expect"], ours) | ({"body": ours["body"]} if "body" in ours else {})


def flows() -> list[dict[str, Any]]:
    """Return every flow; each key of its `ours` takes the place of the measured one."""
    found = []
    for flow in load(FOLDER / "flows.yaml")["flows"]:
        requests = [overlay(request, request.get("ours", {})) for request in flow["requests"]]
        found.append({**flow, **flow.get("ours", {}), "requests": requests})
    return found


def deviations() -> list[dict[str, Any]]:
    """Return what is answered otherwise: row, field, ours, reason."""
    return load(HERE / "deviations.yaml") or []


MEASURED = Microversion.parse("2.104")
"""The newest microversion of the Nova that was measured: what `latest` meant there."""


def microversion(row: dict[str, Any]) -> Microversion | None:
    """Return the microversion that a row asks for, None where it names none, or nonsense."""
    version = row.get("microversion")
    if version == "latest":
        return MEASURED
    try:
        return Microversion.parse(version) if version else None
    except ValueError:
        return None
