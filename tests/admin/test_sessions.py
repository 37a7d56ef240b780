"""Sessions of the console end when nobody does anything, and after some hours in any case; and it is said that one has."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from servers import clock
from servers.admin import sessions
from servers.models import Project, Server
from servers.supervisor.retention import prune
from tests.admin.visiting import Visitor, form_of, words
from tests.factories import make_user

pytestmark = pytest.mark.django_db

LOGIN = reverse("admin:login")


class Hours:
    """A clock of sessions that a test turns."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def time(self) -> float:
        return time.time() + self.ahead_s

    def now(self) -> Any:
        return NOW() + timedelta(seconds=self.ahead_s)


NOW = timezone.now


@pytest.fixture
def hours(monkeypatch: pytest.MonkeyPatch) -> Hours:
    turned = Hours()
    monkeypatch.setattr(sessions, "time", turned)
    monkeypatch.setattr(timezone, "now", turned.now)
    return turned


def is_in(visitor: Visitor, path: str = "/admin/", **headers: str) -> bool:
    return visitor.get(path, **headers).status_code == 200


def live_part(server: Server) -> str:
    return reverse("admin:servers_server_live", args=[server.pk])


def test_session_ends_when_nobody_does_anything_for_the_limit(
    operator: Visitor, hours: Hours, settings: Any
) -> None:
    hours.ahead_s = settings.SESSION_IDLE_LIMIT_S - 10
    assert is_in(operator)
    hours.ahead_s += settings.SESSION_IDLE_LIMIT_S - 10
    assert is_in(operator)
    hours.ahead_s += settings.SESSION_IDLE_LIMIT_S + 1
    assert not is_in(operator)


def test_session_ends_after_its_longest_time_whatever_is_done_in_it(
    operator: Visitor, hours: Hours, settings: Any
) -> None:
    while hours.ahead_s < settings.SESSION_LIMIT_S - 1800:
        hours.ahead_s += 1700
        assert is_in(operator)
    hours.ahead_s = settings.SESSION_LIMIT_S + 1
    assert not is_in(operator)


def test_page_that_asks_by_itself_keeps_no_session_alive(
    operator: Visitor, server: Server, hours: Hours, settings: Any
) -> None:
    for _ in range(4):
        hours.ahead_s += settings.SESSION_IDLE_LIMIT_S / 4 - 1
        assert is_in(operator, live_part(server), HX_Request="true")
    hours.ahead_s = settings.SESSION_IDLE_LIMIT_S + 1
    assert not is_in(operator)


def test_filling_in_a_form_keeps_it_alive(
    operator: Visitor, server: Server, hours: Hours, settings: Any
) -> None:
    hours.ahead_s = settings.SESSION_IDLE_LIMIT_S - 10
    fields = {"host": "", "block_migration": "auto", "preview": "1"}
    assert operator.post(form_of("live-migration", server), fields, HX_Request="true").status_code == 200
    hours.ahead_s += settings.SESSION_IDLE_LIMIT_S - 10
    assert is_in(operator)


def test_new_login_begins_a_new_time(project: Project, hours: Hours, settings: Any) -> None:
    visitor = Visitor(project)
    hours.ahead_s = settings.SESSION_IDLE_LIMIT_S - 10
    for _ in range(3):
        visitor.client.force_login(visitor.user)
        hours.ahead_s += settings.SESSION_IDLE_LIMIT_S - 10
    assert is_in(visitor)
    other = make_user("reader", project)
    visitor.client.force_login(other)  # a session of somebody else is thrown away, not taken over
    assert visitor.client.session[sessions.BEGAN] >= int(hours.time()) - 5


def test_that_somebody_is_there_is_written_once_a_minute(
    operator: Visitor, hours: Hours, settings: Any
) -> None:
    def seen() -> int:
        return int(operator.client.session[sessions.SEEN])

    first = seen()
    hours.ahead_s = settings.SESSION_IDLE_LIMIT_S / sessions.STEPS - 5
    operator.get("/admin/")
    assert seen() == first
    hours.ahead_s += 10
    operator.get("/admin/")
    assert seen() > first


def test_session_that_is_over_is_deleted(operator: Visitor) -> None:
    assert Session.objects.count() == 1 and prune()["sessions"] == 0
    Session.objects.update(expire_date=clock.now() - timedelta(seconds=1))
    assert prune()["sessions"] == 1 and not Session.objects.exists()


def test_form_that_was_sent_after_the_end_says_so_and_has_changed_nothing(
    operator: Visitor, server: Server
) -> None:
    Session.objects.all().delete()
    answer = operator.ask("lock", server)
    assert answer.status_code == 302 and answer["Location"].startswith(f"{LOGIN}?next=")
    assert sessions.ENDED in words(operator.get(answer["Location"]))
    server.refresh_from_db()
    assert not server.locked_by and not server.actions.exists()


def test_who_only_looks_after_the_end_is_asked_to_log_in_and_told_nothing(operator: Visitor) -> None:
    Session.objects.all().delete()
    answer = operator.get("/admin/servers/server/")
    assert answer.status_code == 302
    assert sessions.ENDED not in words(operator.get(answer["Location"]))


def test_part_of_a_page_after_the_end_is_a_sentence_and_no_page(operator: Visitor, server: Server) -> None:
    Session.objects.all().delete()
    for answer in (
        operator.get(live_part(server), HX_Request="true"),
        operator.post(form_of("lock", server), {"preview": "1"}, HX_Request="true"),
    ):
        assert answer.status_code == 401 and "<html" not in answer.content.decode()
        assert "Your session has ended." in words(answer) and LOGIN in answer.content.decode()


# -------------------------------------------------------------- without any cookie, so without a token of forms


def test_form_whose_cookies_are_gone_is_told_that_its_session_has_ended(server: Server) -> None:
    stranger = Client(enforce_csrf_checks=True)
    answer = stranger.post(form_of("create-backup", server), {"name": "nightly"})
    assert (answer.status_code, answer["Location"].split("?")[0]) == (302, LOGIN)
    assert "nothing of what you have sent was carried out" in words(stranger.get(answer["Location"]))


def test_part_of_a_page_whose_cookies_are_gone_is_told_so_too(server: Server) -> None:
    stranger = Client(enforce_csrf_checks=True)
    answer = stranger.post(form_of("create-backup", server), {"preview": "1"}, headers={"HX-Request": "true"})
    assert answer.status_code == 401
    assert "Your session has ended." in words(answer)


def test_form_of_the_login_and_one_of_a_session_that_goes_on_are_not_believed_without_a_token(
    operator: Visitor, server: Server
) -> None:
    assert Client(enforce_csrf_checks=True).post(LOGIN, {"username": "a"}).status_code == 403
    operator.client.handler.enforce_csrf_checks = True
    assert operator.ask("create-backup", server).status_code == 403
