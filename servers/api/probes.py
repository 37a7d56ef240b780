"""A word for whoever starts processes or sends requests: `/healthz` and `/readyz`, for anybody, and without figures."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from servers.api.answers import try_again
from servers.monitoring import health

WELL, UNWELL = "ok\n", "unavailable\n"


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Answer that this process answers; nothing else is asked."""
    return word(well=True)


@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Answer whether requests are of use here: `servers.monitoring.health` has the checks, and who may hears of them."""
    return word(well=health.current().is_ready)


def word(*, well: bool) -> HttpResponse:
    """Return the answer, of one word."""
    answer = HttpResponse(WELL if well else UNWELL, status=200 if well else 503, content_type="text/plain")
    return answer if well else try_again(answer)
