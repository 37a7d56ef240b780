"""From which address a login comes, for the counting of failures."""

from __future__ import annotations

from ipaddress import ip_address

from django.http import HttpRequest


def behind_proxy(request: HttpRequest) -> str:
    """Return the address that the proxy has seen: the last one of X-Forwarded-For, which no client can choose.

    What stands before it was sent by the client. Without such a header it is the connection's own address.
    """
    last = request.META.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2].strip()
    try:
        return str(ip_address(last))
    except ValueError:
        return str(request.META["REMOTE_ADDR"])
