"""The console's login by an OpenID provider: on the way to it, and back."""

from __future__ import annotations

from datetime import timedelta

from django.contrib.admin import AdminSite
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from mozilla_django_oidc.views import OIDCAuthenticationCallbackView, OIDCAuthenticationRequestView
from structlog.contextvars import bind_contextvars

from servers.admin.showing import render
from servers.errors import Refusal, ServiceUnavailable, SignOnRefused
from servers.logins import openid

STATES = "oidc_states"
"""Where mozilla-django-oidc keeps in a session which logins are under way."""
UNDER_WAY_FOR = timedelta(minutes=10)
NOT_BEGUN = "This sign-on was not begun in this browser, or too long ago. Begin again."
NOT_CONFIRMED = "The sign-on provider did not let you in."


class ToProvider(OIDCAuthenticationRequestView):  # type: ignore[misc]
    """The way there."""

    get_settings = staticmethod(openid.of_library)


class FromProvider(OIDCAuthenticationCallbackView):  # type: ignore[misc]
    """The way back."""

    get_settings = staticmethod(openid.of_library)

    @property
    def success_url(self) -> str:
        return self.request.session.pop("oidc_login_next", None) or reverse("admin:index")

    def login_success(self) -> HttpResponse:
        response: HttpResponse = super().login_success()
        self.request.session.set_expiry(None)
        return response

    def login_failure(self) -> HttpResponse:
        raise SignOnRefused(reason=NOT_CONFIRMED)


def leave(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """Send somebody to the provider."""
    require_on()
    try:
        response: HttpResponse = ToProvider.as_view()(request)
    except (SignOnRefused, ServiceUnavailable) as refusal:
        return refused_page(request, site, refusal)
    if not request.user.is_authenticated:
        request.session.set_expiry(UNDER_WAY_FOR)  # whoever never comes back leaves little behind
    return response


def come_back(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """Log in whom the provider names. A state that this browser was not given is nobody's, and changes nothing."""
    require_on()
    try:
        if request.GET.get("state") not in request.session.get(STATES, {}):
            raise SignOnRefused(reason=NOT_BEGUN)
        response: HttpResponse = FromProvider.as_view()(request)
    except (SignOnRefused, ServiceUnavailable) as refusal:
        return refused_page(request, site, refusal)
    return response


def require_on() -> None:
    """Do nothing where people log in by a provider. Raises Http404 elsewhere."""
    if not openid.is_on():
        raise Http404


def refused_page(request: HttpRequest, site: AdminSite, refusal: Refusal) -> HttpResponse:
    """Return the page that says why somebody is not let in, and how to begin again."""
    bind_contextvars(code=refusal.code)
    status = 503 if isinstance(refusal, ServiceUnavailable) else 403
    context = {**site.each_context(request), "title": "Not signed in", "reason": str(refusal)}
    return render(request, "admin/servers/sign_on_refused.html", context, status=status)
