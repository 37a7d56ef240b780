"""Which microversion a request asks for (Nova contract D.1)."""

from __future__ import annotations

from collections.abc import Mapping

from django.http import HttpResponseBase

from servers.api.faults import VersionMalformed, VersionRefused
from servers.microversions import MINIMUM, Microversion, maximum

SERVICE = "compute"
HEADER = "OpenStack-API-Version"
LEGACY_HEADER = "X-OpenStack-Nova-API-Version"


def negotiate(headers: Mapping[str, str]) -> Microversion:
    """Return the version to speak. Raises VersionMalformed, or VersionRefused outside the range."""
    asked = _asked(headers)
    if asked is None:
        return MINIMUM
    if asked == "latest":
        return maximum()
    try:
        version = Microversion.parse(asked)
    except ValueError as error:
        raise VersionMalformed(version=asked) from error
    if not MINIMUM <= version <= maximum():
        raise VersionRefused(version=version, minimum=MINIMUM, maximum=maximum())
    return version


def _asked(headers: Mapping[str, str]) -> str | None:
    for entry in reversed(headers.get(HEADER, "").split(",")):
        service, _, version = entry.strip().partition(" ")
        if service.lower() == SERVICE and version.strip():
            return version.strip()
    return headers.get(LEGACY_HEADER)


def announce(response: HttpResponseBase, version: Microversion | str) -> None:
    """Say in the answer's headers which version it is in."""
    response[HEADER] = f"{SERVICE} {version}"
    response[LEGACY_HEADER] = str(version)
    response["Vary"] = f"{HEADER}, {LEGACY_HEADER}"
