"""The second factor in the console: what follows a right password, and one's own device."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import segno
from django import forms
from django.contrib.admin import AdminSite
from django.contrib.auth import login, update_session_auth_hash
from django.contrib.auth.views import LoginView
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.crypto import constant_time_compare
from django.utils.safestring import SafeString, mark_safe

from servers import clock
from servers.admin.idempotency import keep_made, kept
from servers.admin.logging_in import STATUS, OldPasswordChecked, Refused, as_refused
from servers.admin.showing import render
from servers.errors import SecretsUnreadable
from servers.logins import limits, second_factor
from servers.logins.addresses import address_of
from servers.logins.second_factor import LONGEST, Step, after_password
from servers.models import SecondFactor, User

BACKEND = "servers.logins.checking.PasswordBackend"
UNDER_WAY = "login_under_way"
"""Where a session keeps whose password was right; it is nobody's session until the code is."""
NEW_KEY = "second_factor_key"
"""Where a session keeps the sealed key of a device that is being set up."""
UNDER_WAY_FOR = timedelta(minutes=10)
WRONG = "This code is wrong, or was used already. Wait for the next one."


# ------------------------------------------------------------------------------------------------ forms


class CodeForm(forms.Form):
    """A code of the user's device, or a recovery code."""

    code = forms.CharField(
        max_length=LONGEST,
        label="Code",
        help_text="Six digits from your authenticator, or one of your recovery codes.",
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "spellcheck": "false"}),
    )

    def __init__(self, *args: Any, request: HttpRequest, user: User, **given: Any) -> None:
        self.request, self.user = request, user
        super().__init__(*args, **given)

    def clean_code(self) -> str:
        """Return the code, which is used up. Raises ValidationError."""
        given: str = self.cleaned_data["code"]
        try:
            right = second_factor.check_code(self.request, self.user, given)
        except tuple(STATUS) as refusal:
            raise Refused(refusal) from refusal
        if not right:
            raise ValidationError(WRONG, code="code_incorrect")
        return given


class FirstCodeForm(forms.Form):
    """The first code of a device that is being set up; `step` is its time step."""

    code = forms.CharField(
        max_length=LONGEST,
        label="Code",
        help_text="The six digits that it shows now.",
        widget=forms.TextInput(
            attrs={"autocomplete": "one-time-code", "inputmode": "numeric", "spellcheck": "false"}
        ),
    )
    step = 0

    def __init__(self, *args: Any, key: bytes, **given: Any) -> None:
        self.key = key
        super().__init__(*args, **given)

    def clean_code(self) -> str:
        given: str = self.cleaned_data["code"]
        step = second_factor.step_of(self.key, second_factor.normal(given))
        if step is None:
            raise ValidationError(WRONG, code="code_incorrect")
        self.step = step
        return given


class SetUpForm(FirstCodeForm, OldPasswordChecked):
    """The same, of somebody who has logged in: he gives his password, so that nobody does it at his desk."""

    old_password = forms.CharField(
        label="Your password",
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    field_order = ("old_password", "code")

    def __init__(self, *args: Any, user: User, **given: Any) -> None:
        self.user = user
        super().__init__(*args, **given)


# ------------------------------------------------------------------------------------- after the password


class Login(LoginView):
    """Name and password; whoever has a second factor, or must have one, is asked for it next."""

    def form_valid(self, form: Any) -> HttpResponse:
        user = form.get_user()
        if after_password(user) is Step.NONE:
            return super().form_valid(form)
        self.request.session.cycle_key()
        self.request.session.pop(NEW_KEY, None)
        self.request.session[UNDER_WAY] = {
            "user": user.pk,
            "proof": user.get_session_auth_hash(),
            "until": (clock.now() + UNDER_WAY_FOR).isoformat(),
            "next": self.get_success_url(),
        }
        return HttpResponseRedirect(reverse("admin:second_step"))


def half_logged_in(request: HttpRequest) -> User | None:
    """Return whose password was right in this session lately, and is what it was; None where nobody's."""
    kept = request.session.get(UNDER_WAY)
    if kept is None or datetime.fromisoformat(kept["until"]) <= clock.now():
        return None
    user = User.objects.select_related("domain").filter(pk=kept["user"]).first()
    if user is None or not (user.may_log_in and user.is_staff):
        return None
    return user if constant_time_compare(kept["proof"], user.get_session_auth_hash()) else None


def second_step(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """Ask for the code, or let a device be set up, and log the user in whose password was right."""
    user = half_logged_in(request)
    if user is None:
        return HttpResponseRedirect(reverse("admin:login"))
    step = after_password(user)
    if step is Step.SETUP:
        return first_device(request, site, user)
    form = CodeForm(request.POST or None, request=request, user=user)
    if step is Step.NONE or (request.method == "POST" and form.is_valid()):
        return HttpResponseRedirect(let_in(request, user))
    context = {**site.each_context(request), "title": "Second factor", "form": form}
    return as_refused(page(request, "admin/servers/second_step.html", context))


def first_device(request: HttpRequest, site: AdminSite, user: User) -> HttpResponse:
    """Let somebody set up the device that he must have, before he is let in."""
    key = key_in(request)
    form = FirstCodeForm(request.POST or None, key=key)
    if request.method == "POST" and form.is_valid():
        codes = second_factor.switch_on(user, key, form.step)
        if not codes:
            return HttpResponseRedirect(reverse("admin:second_step"))
        limits.let_in(address_of(request))
        return made(request, site, codes, let_in(request, user))
    context = {**site.each_context(request), "title": "Set up a second factor", "form": form}
    return page(request, "admin/servers/second_step_setup.html", {**context, **device(user, key)})


def let_in(request: HttpRequest, user: User) -> str:
    """Log the user in, and return the address that he had asked for."""
    asked: str = request.session.pop(UNDER_WAY)["next"]
    request.session.pop(NEW_KEY, None)
    login(request, user, backend=BACKEND)
    return asked


# -------------------------------------------------------------------------------------------- one's own


def own_second_factor(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """Show whether the caller has a second factor, and let him set one up, renew its codes, or switch it off."""
    if not second_factor.is_offered():
        raise Http404
    user = request.user
    assert isinstance(user, User)
    context = {**site.each_context(request), "title": "Second factor"}
    if not user.has_usable_password():
        return render(request, "admin/servers/second_factor.html", {**context, "is_elsewhere": True})
    factor = SecondFactor.objects.filter(user=user).first()
    if factor is None:
        return set_up(request, site, user, context)
    form = CodeForm(request.POST or None, request=request, user=user)
    if request.method == "POST" and form.is_valid():
        if "off" in request.POST and not second_factor.is_required():
            return switched_off(request, user)
        with transaction.atomic():
            codes = second_factor.renew_codes(user)
            keep_made(request, "recovery codes")
        return made(request, site, codes, reverse("admin:index"))
    context |= {"form": form, "made_at": factor.made_at, "left": len(factor.recovery)}
    context |= {"may_switch_off": not second_factor.is_required()}
    return as_refused(page(request, "admin/servers/second_factor.html", context))


def set_up(request: HttpRequest, site: AdminSite, user: User, context: dict[str, Any]) -> HttpResponse:
    """Let somebody who has logged in set up a device. The session in which he does so goes on; every other one ends."""
    key = key_in(request)
    form = SetUpForm(request.POST or None, key=key, request=request, user=user)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            codes = second_factor.switch_on(user, key, form.step)
            if not codes:
                return kept(request, HttpResponseRedirect(request.path))
            keep_made(request, "a second factor")
        del request.session[NEW_KEY]
        update_session_auth_hash(request, user)
        return made(request, site, codes, reverse("admin:index"))
    context |= {"form": form, **device(user, key)}
    return as_refused(page(request, "admin/servers/second_factor_setup.html", context))


def switched_off(request: HttpRequest, user: User) -> HttpResponse:
    """Switch the caller's second factor off, and go back to its page."""
    with transaction.atomic():
        second_factor.switch_off(user)
        response = kept(request, HttpResponseRedirect(request.path))
    update_session_auth_hash(request, user)
    return response


def made(request: HttpRequest, site: AdminSite, codes: list[str], onward: str) -> HttpResponse:
    """Show recovery codes in the answer itself: only their digests are kept, so there is no page to go to."""
    context = {**site.each_context(request), "title": "Your recovery codes", "codes": codes, "onward": onward}
    return render(request, "admin/servers/recovery_codes.html", context)


# ------------------------------------------------------------------------------------------------- parts


def key_in(request: HttpRequest) -> bytes:
    """Return the key of the device that is being set up in this session: the same until it is done."""
    try:
        return second_factor.key_of(request.session[NEW_KEY])
    except (KeyError, SecretsUnreadable):
        key = second_factor.new_key()
        request.session[NEW_KEY] = second_factor.sealed_key(key)
        return key


def device(user: User, key: bytes) -> dict[str, Any]:
    """Return what an authenticator is given: a QR code, and the same as text."""
    return {"qr": qr(second_factor.address_for(user, key)), "secret": second_factor.as_text(key)}


def qr(text: str) -> SafeString:
    """Return a QR code as SVG, without any style: black on white, whatever the page looks like."""
    drawn = segno.make(text, error="m", micro=False)
    return mark_safe(drawn.svg_inline(scale=4, dark="#000", light="#fff", svgclass="qr", lineclass=None))


def page(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    """Return a page with a form, which `as_refused` reads again."""
    response = render(request, template, context)
    response.context_data = context  # type: ignore[attr-defined]
    return response
