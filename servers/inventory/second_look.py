"""A second survey, before something is reported that is true only if no guest moved during the first one."""

from __future__ import annotations

from collections.abc import Iterable

from servers.drivers.base import HostRef
from servers.fleet.polling import Survey, survey


def look_again(found: Survey, hosts: Iterable[HostRef], limit_s: float) -> Survey:
    """Return `found` with new answers of `hosts`, which are asked again for at most `limit_s` seconds.

    The first answer of a host stays when the host does not answer now.
    """
    again = survey(hosts, limit_s)
    return found | {host: answer for host, answer in again.items() if answer.value is not None}
