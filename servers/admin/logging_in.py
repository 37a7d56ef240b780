"""The console's login, and the old password where one gives oneself a new one: checked as by REST, and counted together."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.admin.forms import AdminAuthenticationForm
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from structlog.contextvars import bind_contextvars

from servers.errors import LoginsBusy, Refusal, TooManyFailedLogins
from servers.logins.checking import check_password

STATUS: dict[type[Refusal], int] = {TooManyFailedLogins: 429, LoginsBusy: 503}
BUSY_S = 5
"""When to try again where a queue is full: some hashes later."""


class Refused(ValidationError):
    """A form's password was not looked at; `refusal` says why, and for how long."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(str(refusal), code=refusal.code)
        self.refusal = refusal


class LoginForm(AdminAuthenticationForm):
    """Name and password; what is refused unchecked stands over the form."""

    def clean(self) -> dict[str, Any]:
        try:
            return super().clean()
        except tuple(STATUS) as refusal:
            raise Refused(refusal) from refusal


class OldPasswordChecked(forms.Form):
    """Mixin of a form in which a user who has logged in gives his old password: a wrong one counts as a failed login.

    It is made with the request, besides what the other form takes.
    """

    user: Any

    def __init__(self, *args: Any, request: HttpRequest, **given: Any) -> None:
        self.request = request
        super().__init__(*args, **given)

    def clean_old_password(self) -> str:
        """Return the old password. Raises ValidationError."""
        given = self.cleaned_data["old_password"]
        try:
            right = check_password(self.request, self.user.get_username(), self.user, given)
        except tuple(STATUS) as refusal:
            raise Refused(refusal) from refusal
        if not right:
            raise ValidationError("Your old password was entered incorrectly.", code="password_incorrect")
        return str(given)


def as_refused(response: HttpResponse) -> HttpResponse:
    """Return the page of a form, with the status and Retry-After where a password in it was not looked at."""
    form = (getattr(response, "context_data", None) or {}).get("form")
    if isinstance(form, forms.Form) and form.is_bound:
        for errors in form.errors.as_data().values():
            for refusal in (error.refusal for error in errors if isinstance(error, Refused)):
                bind_contextvars(code=refusal.code)
                response.status_code = STATUS[type(refusal)]
                response["Retry-After"] = str(refusal.facts.get("retry_after_s", BUSY_S))
    return response
