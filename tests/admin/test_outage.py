"""The console without its database: a page that says so, for whoever asks, wherever a request is broken off."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import Error, transaction
from django.http import HttpResponse
from django.test import Client

from servers.errors import DatabaseUnavailable
from servers.models import Server
from tests.addresses import addresses
from tests.admin.visiting import Visitor, form_of, page_of, words
from tests.blocked import OUTAGES, Blocked, blocked
from tests.factories import make_action, make_image, make_migration

pytestmark = pytest.mark.django_db

PAGES = [path for path in addresses() if path.startswith("/admin/")]
SENTENCE = str(DatabaseUnavailable())
ENDLESS = 10_000
POINTS = 8
"""At how many of its queries a request is broken off, the first and the last among them."""
OF_A_ROW = ("", "history/", "live/")


@pytest.fixture(autouse=True)
def answers_like_a_web_server(operator: Visitor) -> None:
    operator.client.raise_request_exception = False


def assert_page(response: HttpResponse, path: str) -> None:
    """Check that an answer is the page that says what is the matter, and is complete."""
    assert response.status_code == 503, path
    assert int(response["Retry-After"]) > 0
    text = response.content.decode()
    assert text.startswith("<!DOCTYPE html>") and '<html lang="en">' in text and "</html>" in text
    assert text.count("<h1>") == 1 and "<title>" in text and SENTENCE in text
    assert "Traceback" not in text and "OperationalError" not in text


@pytest.mark.parametrize("method", ["get", "post"])
def test_every_page_says_that_there_is_no_database(method: str, operator: Visitor) -> None:
    asked = 0
    for path in PAGES:
        with blocked() as block:
            response = getattr(operator, method)(path)
        if block.met:
            assert_page(response, path)
            asked += 1
        else:
            assert response.status_code < 500, path
    assert asked > len(PAGES) * 0.8


@pytest.mark.parametrize("error", OUTAGES.values(), ids=OUTAGES)
def test_whatever_keeps_the_database_away_leads_to_the_page(error: Error, operator: Visitor) -> None:
    with blocked(error):
        assert_page(operator.get("/admin/"), "/admin/")


def break_off(visitor: Visitor, method: str, path: str, data: dict[str, Any]) -> None:
    """Check that a request leads to the page wherever it is broken off."""

    def ask(after: int) -> tuple[HttpResponse, Blocked]:
        with transaction.atomic():
            with blocked(after=after) as block:
                response = getattr(visitor, method)(path, **({"data": data} if data else {}))
            transaction.set_rollback(True)
        return response, block

    whole, block = ask(after=ENDLESS)
    assert whole.status_code < 400, path
    for point in range(POINTS):
        response, broken = ask(after=round(point * (block.asked - 1) / (POINTS - 1)))
        assert broken.met
        assert_page(response, path)


LISTS = [path for path in PAGES if path.count("/") == 4 and path.startswith("/admin/servers/")]


@pytest.mark.parametrize("path", ["/admin/", "/admin/policy/", "/admin/servers/host/discover/", *LISTS])
def test_lists_are_broken_off_at_no_point_in_another_way(
    path: str, operator: Visitor, server: Server
) -> None:
    make_migration(server)
    make_action(server)
    break_off(operator, "get", path, {})


@pytest.mark.parametrize("kind", ["server", "host", "action", "migration", "image"])
def test_pages_of_rows_are_broken_off_at_no_point_in_another_way(
    kind: str, operator: Visitor, server: Server
) -> None:
    action, migration = make_action(server, "live-migration", status="running"), make_migration(server)
    rows = {"server": server, "host": server.host, "action": action, "migration": migration}
    image = make_image(operator.user.default_project)  # type: ignore[arg-type]
    break_off(operator, "get", page_of(rows.get(kind, image)), {})


def test_forms_are_broken_off_at_no_point_in_another_way(operator: Visitor, server: Server) -> None:
    break_off(operator, "get", form_of("reset-state", server), {})
    break_off(operator, "post", form_of("reset-state", server), {"state": "error"})


def test_whether_something_was_sent_or_read_is_told_apart(operator: Visitor, server: Server) -> None:
    with blocked():
        read, sent = operator.get(page_of(server)), operator.post(form_of("reset-state", server))
    assert "Nothing was changed" in words(read) and f'href="{page_of(server)}"' in read.content.decode()
    assert "look before you send it again" in words(sent)


def test_a_part_of_a_page_gets_the_sentence_alone(operator: Visitor, server: Server) -> None:
    with blocked():
        response = operator.get(f"{page_of(server).removesuffix('change/')}live/", HX_Request="true")
    assert response.status_code == 503
    assert response.content.decode().strip() == f'<p class="errornote" role="alert">{SENTENCE}</p>'


@pytest.mark.parametrize("path", ["/admin/login/", "/admin/nowhere/", "/admin/servers/server/"])
def test_a_stranger_is_told_the_same(path: str) -> None:
    client = Client(raise_request_exception=False)
    client.cookies["sessionid"] = "somebody-elses"
    with blocked():
        assert_page(client.get(path), path)  # type: ignore[arg-type]


def test_a_login_is_broken_off_at_no_point_in_another_way(operator: Visitor) -> None:
    operator.user.is_staff = True
    operator.user.set_password("secret")
    operator.user.save()
    stranger = Visitor(operator.user.default_project, user=operator.user)
    stranger.client = Client(raise_request_exception=False)
    data = {"username": operator.user.name, "password": "secret", "next": "/admin/"}
    break_off(stranger, "post", "/admin/login/", data)


def test_a_session_that_cannot_be_written_is_not_taken_for_one_that_has_ended(operator: Visitor) -> None:
    choice = f"{operator.user.default_project.pk}"  # type: ignore[union-attr]
    break_off(operator, "post", "/admin/act-for/", {"project": choice})


def test_files_that_need_no_database_are_served() -> None:
    with blocked():
        response = Client().get("/static/servers/console.css")
    assert response.status_code == 200
