"""Sessions of the console, in the database: each ends when nobody does anything for a while, and in any case some hours on.

Both limits are in the row's `expire_date`, so a session that is over is none to Django, and is pruned. What a page asks
for by itself, again and again, is not something that anybody does.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from servers.outage import is_outage

BEGAN, SEEN = "began_at", "seen_at"
"""Keys of a session: seconds since 1970 of its login, and of what was last done in it, as far as that was written."""
STEPS = 60
"""Into so many parts the idle limit is divided: whether somebody is there is written once in each."""
ENDED = "Your session had ended: nothing of what you have sent was carried out. Log in, and send it again."


class SessionStore(DatabaseStore):
    """Django's with two limits. An outage is told from a session that somebody else has deleted, which Django answers 400."""

    def get_expiry_age(self, **kwargs: Any) -> int:
        """Return in how many seconds the session ends when nothing more is done in it."""
        left = self.get(BEGAN, int(time.time())) + settings.SESSION_LIMIT_S - int(time.time())
        return int(max(0, min(settings.SESSION_IDLE_LIMIT_S, left)))

    def get_expiry_date(self, **kwargs: Any) -> datetime:
        """Return that time, aware UTC."""
        return timezone.now() + timedelta(seconds=self.get_expiry_age())

    def cycle_key(self) -> None:
        """Begin anew: whoever is given a new key has just said a password."""
        super().cycle_key()
        self[BEGAN] = self[SEEN] = int(time.time())

    def save(self, must_create: bool = False) -> None:
        if not must_create:
            self.setdefault(BEGAN, int(time.time()))
        try:
            super().save(must_create)
        except UpdateError as error:
            if error.__context__ is not None and is_outage(error.__context__):
                raise error.__context__ from error.__context__.__cause__
            raise


def note_activity(request: HttpRequest) -> None:
    """Put the end of the session off, unless a page asks by itself: a safe request of htmx."""
    by_itself = "HX-Request" in request.headers and request.method in {"GET", "HEAD"}
    now = int(time.time())
    if not by_itself and now - request.session.get(SEEN, 0) >= settings.SESSION_IDLE_LIMIT_S / STEPS:
        request.session[SEEN] = now


def ended_part() -> HttpResponse:
    """Return what a part of a page is answered whose session has ended."""
    return HttpResponse(
        render_to_string("session_ended_part.html", {"login": reverse("admin:login")}), status=401
    )


def ended_before(request: HttpRequest) -> HttpResponseBase | None:
    """Return the answer to a form without the cookies of a session; None where there is one, or it is that of the login."""
    if request.user.is_authenticated or request.path.startswith(reverse("admin:login")):
        return None
    if "HX-Request" in request.headers:
        return ended_part()
    messages.warning(request, ENDED)
    return redirect_to_login(request.get_full_path(), reverse("admin:login"))


def in_session(
    may_enter: Callable[[HttpRequest], bool], view: Callable[..., HttpResponseBase]
) -> Callable[..., HttpResponseBase]:
    """Return the view, in front of which sessions are kept alive, and it is said that one has ended.

    Whoever may not enter is sent to the login by the view, and is told there that a form of his was not carried out; a part
    of a page is answered 401 with a sentence, so that the page stays as it is.
    """

    @wraps(view)
    def shown(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if may_enter(request):
            note_activity(request)
        elif not request.user.is_authenticated and "HX-Request" in request.headers:
            return ended_part()
        elif not request.user.is_authenticated and request.method == "POST":
            messages.warning(request, ENDED)
        return view(request, *args, **kwargs)

    return shown
