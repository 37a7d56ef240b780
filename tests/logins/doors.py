"""The ways to say a password or a secret, as one: who says it, what he says, from where, and what he is answered."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.forms import AdminPasswordChangeForm
from django.contrib.auth.hashers import MD5PasswordHasher
from django.test import Client, RequestFactory
from django.urls import reverse

from servers.admin.logging_in import OldPasswordChecked
from servers.models import User
from tests.api.identity.logging_in import TOKENS, by_credential, password

HERE = "192.0.2.1"
RIGHT, WRONG = "right", "wrong"
HTTP = Client()


class Stronger(MD5PasswordHasher):
    """What a later version of Django may hash with."""

    algorithm = "stronger"


@dataclass(frozen=True)
class Said:
    """An answer: 200 for who is let in, 401 for who is not."""

    status: int
    text: str
    retry_after: str | None


@dataclass(frozen=True)
class Door:
    """A way to say a secret; `counts_as` is the name under which it counts for whom a test calls `name`."""

    say: Callable[[str, str, str], Said]
    counts_as: str = "{name}"
    any_name: bool = True
    """Whether one may say a name that nobody has."""

    def __call__(self, secret: str = WRONG, name: str = "anna", address: str = HERE) -> Said:
        return self.say(name, secret, address)


def by_rest(identity: dict[str, Any], address: str) -> Said:
    body = {"auth": {"identity": identity, "scope": "unscoped"}}
    answer = HTTP.post(TOKENS, body, content_type="application/json", REMOTE_ADDR=address)
    said = answer.json().get("error", {}).get("message", "")
    status = 200 if answer.status_code == 201 else answer.status_code
    return Said(status, said, answer.headers.get("Retry-After"))


def rest_password(name: str, secret: str, address: str) -> Said:
    return by_rest(password(name, secret), address)


def rest_credential(name: str, secret: str, address: str) -> Said:
    owner = {"name": name, "domain": {"name": "Default"}}
    return by_rest(by_credential(name="cron", user=owner, secret=secret), address)


def console(name: str, secret: str, address: str) -> Said:
    where = f"{reverse('admin:login')}?next=/admin/"
    answer = Client().post(where, {"username": name, "password": secret}, REMOTE_ADDR=address)
    note = re.search(r'class="errornote">(.*?)</p>', answer.content.decode(), re.DOTALL)
    said = html.unescape(note.group(1)).strip() if note else ""
    status = {302: 200, 200: 401}.get(answer.status_code, answer.status_code)
    return Said(status, said, answer.headers.get("Retry-After"))


class OldPassword(OldPasswordChecked, AdminPasswordChangeForm):
    """The page on which one gives oneself a new password, as far as the old one goes."""


def old_password(name: str, secret: str, address: str) -> Said:
    request = RequestFactory(REMOTE_ADDR=address).post("/admin/password_change/")
    given = {"old_password": secret, "new_password1": "another-1", "new_password2": "another-1"}
    form = OldPassword(User.objects.select_related("domain").get(name=name), given, request=request)
    refused = [e for e in form.errors.as_data().get("old_password", []) if hasattr(e, "refusal")]
    said = " ".join(form.errors.get("old_password", []))
    if refused:
        return Said(
            429 if "failed" in said else 503, said, str(refused[0].refusal.facts.get("retry_after_s", 5))
        )
    return Said(401 if said else 200, said, None)


DOORS = {
    "password by REST": Door(rest_password),
    "application credential by REST": Door(rest_credential, "application credential cron of {name}"),
    "console": Door(console),
    "old password": Door(old_password, any_name=False),
}
