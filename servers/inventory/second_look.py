"""Asking again before something is said that is true only when nothing moved while hosts were asked."""

from __future__ import annotations

from collections.abc import Iterable

from servers.drivers.base import HostRef
from servers.fleet.polling import Survey, survey


def look_again(found: Survey, hosts: Iterable[HostRef], limit_s: float) -> Survey:
    """Return what was found, as these hosts say it now; the word of one that is silent by now still stands."""
    again = survey(hosts, limit_s)
    return found | {host: answer for host, answer in again.items() if answer.value is not None}
