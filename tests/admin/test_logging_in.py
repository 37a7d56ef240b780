"""The page of the console's login, where it is refused unchecked; and who the console knows afterwards."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from servers import clock
from servers.models import LoginFailures, Project
from tests.admin.visiting import Visitor, words
from tests.factories import make_user

pytestmark = pytest.mark.django_db
LOGIN = f"{reverse('admin:login')}?next=/admin/"


@pytest.fixture
def full(project: Project) -> None:
    """Let eva be refused from here, for four minutes and a little."""
    make_user("reader", project, name="eva")
    ends_at = clock.now() + timedelta(seconds=250)
    LoginFailures.objects.create(of="pair", name="eva", address="local", failures=10, ends_at=ends_at)


def test_page_says_for_how_long_in_the_consoles_style_and_keeps_the_name(full: None) -> None:
    answer = Client().post(LOGIN, {"username": "eva", "password": "s3cret"})
    assert answer.status_code == 429 and 240 < int(answer["Retry-After"]) <= 250
    assert "There were too many failed logins; try again in 5 minutes." in words(answer)
    page = answer.content.decode()
    assert "servers/console.css" in page and "admin/css/dark_mode.css" in page
    assert 'class="errornote"' in page and 'value="eva"' in page and "s3cret" not in page


def test_page_of_a_wrong_password_is_as_before(project: Project) -> None:
    answer = Client().post(LOGIN, {"username": "eva", "password": "wrong"})
    assert answer.status_code == 200 and "Retry-After" not in answer
    assert "Please enter the correct name and password for a staff account." in words(answer)


def test_who_is_no_staff_is_told_what_a_wrong_password_is_told(project: Project) -> None:
    user = make_user("reader", project, name="eva", is_staff=False)
    user.set_password("s3cret")
    user.save()
    answer = Client().post(LOGIN, {"username": "eva", "password": "s3cret"})
    assert "Please enter the correct name and password for a staff account." in words(answer)


def test_pages_where_nobody_logs_in_are_as_before(operator: Visitor) -> None:
    assert operator.get(LOGIN).status_code == 302
    assert Client().get(LOGIN).status_code == 200
