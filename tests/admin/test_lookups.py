"""What stands in the address bar: the filters that a page offers, and no others; nothing in it is an error of ours."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.contrib.admin import ModelAdmin
from django.db.models import Model

from servers.admin import console
from servers.engine.visibility import GUARDED
from servers.models import ApplicationCredential, Project, Server
from tests.admin.visiting import Visitor
from tests.factories import make_action, make_host, make_image, make_migration, make_project, make_server

LISTS = [model for model in console._registry if model.__name__ != "Worker"]
"""Every page of rows; that of workers is no list of Django's."""
ROLES = ["admin", "manager", "reader"]
STRANGE = ["\0(%{}", "9" * 5000, "9" * 30, "-1", "0001-01-01 00:00:00+14:00"]


def listing(model: type[Model]) -> str:
    return f"/admin/servers/{model._meta.model_name}/"


def offered(model: type[Model], project: Project) -> list[str]:
    """Return the lookups of all filters of a page, those that not everybody is offered among them."""
    page, request = console._registry[model], Visitor(project).get("/admin/").wsgi_request  # type: ignore[attr-defined]
    return [name for each in page.list_filter for name in page.lookups_of(each, request)]  # type: ignore[attr-defined, arg-type]


def lookups_on_columns(model: type[Model]) -> list[str]:
    """Return lookups that Django knows on every column, and on each row that is read over one, but no page offers."""
    own = [f.name for f in model._meta.get_fields() if hasattr(f, "column") or f.is_relation]
    paths = {*own, *(f.attname for f in model._meta.concrete_fields)}
    return [f"{path}__{kind}" for path in paths for kind in ("regex", "startswith", "contains", "gt")]


@pytest.fixture
def everything(project: Project) -> Server:
    """Return a server beside which there is one of each thing that everybody's pages list."""
    server = make_server(project)
    make_image(project, server=server, instance_uuid=server.pk)
    make_action(server, "live-migration", migration=make_migration(server))
    return server


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("model", LISTS)
def test_page_takes_each_lookup_of_its_own_filters(
    model: type[Model], role: str, project: Project, everything: Server
) -> None:
    visitor = Visitor(project, role)
    if visitor.get(listing(model)).status_code == 403:
        return
    shown = visitor.get(listing(model)).content.decode()
    for name in offered(model, project):
        answer = visitor.get(f"{listing(model)}?{name}=1")
        page: ModelAdmin[Any] = console._registry[model]
        request = answer.wsgi_request  # type: ignore[attr-defined]
        taken = page.lookup_allowed(name, "1", request)
        assert answer.status_code in ({200, 302} if taken else {400}), name
        assert taken or f"?{name}=" not in shown


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("model", LISTS)
def test_page_refuses_a_lookup_that_no_filter_of_it_has(
    model: type[Model], role: str, project: Project
) -> None:
    visitor = Visitor(project, role)
    request = visitor.get("/admin/").wsgi_request  # type: ignore[attr-defined]
    page = console._registry[model]
    taken = {name for name in lookups_on_columns(model) if page.lookup_allowed(name, "x", request)}
    assert taken == set(lookups_on_columns(model)) & set(offered(model, project))
    answer = visitor.get(f"{listing(model)}?{model._meta.pk.attname}__regex=(")  # type: ignore[union-attr]
    assert answer.status_code in {400, 403}


@pytest.mark.parametrize(
    "query",
    [
        "name__regex=(",
        "name__regex=^(?:[\\w.-]|[\\w.-])*!",
        "host__exact=1",
        "host=rack-1",
        "project=x",
        "zzz=1",
    ],
)
def test_reader_filters_servers_by_nothing_that_the_page_does_not_offer(
    query: str, onlooker: Visitor
) -> None:
    assert onlooker.get(f"/admin/servers/server/?{quote(query, safe='=')}").status_code == 400


@pytest.mark.parametrize(
    "address",
    [
        "user/?password__regex=^pbkdf2",
        "applicationcredential/?secret_hash__startswith=a",
        "token/?digest__startswith=a",
        "actionrecord/?sealed__startswith=a",
        "actionrecord/?memo__contains=a",
        "actionrecord/?result__contains=",
        "actionrecord/?worker__startswith=a",
        "user/?_to_field=password",
        "applicationcredential/?_to_field=secret_hash",
    ],
)
def test_operator_asks_no_secret_through_the_address(address: str, operator: Visitor) -> None:
    assert operator.get(f"/admin/servers/{address}").status_code == 400


@pytest.mark.parametrize("role", ["admin", "reader"])
@pytest.mark.parametrize("model", LISTS)
def test_nothing_in_the_address_is_an_error_of_ours(
    model: type[Model], role: str, project: Project, everything: Server
) -> None:
    visitor = Visitor(project, role)
    if visitor.get(listing(model)).status_code == 403:
        return
    own = ["o", "p", "q", "all", "_popup", "_to_field", "_changelist_filters"]
    for name in [*own, *offered(model, project)]:
        for value in STRANGE:
            answer = visitor.get(f"{listing(model)}?{urlencode({name: value})}")
            assert answer.status_code in {200, 302, 400}, (name, value)


@pytest.mark.parametrize("model", LISTS)
def test_page_of_a_row_that_cannot_be_is_missing(model: type[Model], operator: Visitor) -> None:
    for page in ("change", "history", "delete", "live"):
        for key in ("x", "-1", "9" * 30, "a_00b"):
            answer = operator.get(f"{listing(model)}{key}/{page}/")
            assert answer.status_code in {302, 403, 404}, (page, key)


def test_selection_of_rows_that_cannot_be_is_no_error_of_ours(onlooker: Visitor, everything: Server) -> None:
    for key in ("x", "9" * 30, "\0"):
        sent = {"action": "lock", "_selected_action": [key], "index": "0"}
        assert onlooker.post("/admin/servers/server/", sent).status_code == 400


def test_search_is_bounded(onlooker: Visitor, server: Server) -> None:
    assert "at most 255 characters" in onlooker.text(f"/admin/servers/server/?q={'a+' * 2000}")


def test_nobody_is_suggested_rows(operator: Visitor) -> None:
    asked = "app_label=servers&model_name=membership&field_name=user&term=a"
    assert operator.get(f"/admin/autocomplete/?{asked}").status_code == 404


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("model", LISTS)
def test_order_of_a_list_tells_no_hidden_field(model: type[Model], role: str, project: Project) -> None:
    visitor = Visitor(project, role)
    request = visitor.get("/admin/").wsgi_request  # type: ignore[attr-defined]
    page = console._registry[model]
    hidden = set() if role == "admin" else set(GUARDED.get(model, {}))
    orders = [
        getattr(getattr(page, str(c), None), "admin_order_field", c) for c in page.get_list_display(request)
    ]
    searched = page.get_search_fields(request)
    for path in (*orders, *searched):
        assert str(path or "").lstrip("-").partition("__")[0] not in hidden, path


def test_search_finds_by_no_host_for_who_sees_none(
    operator: Visitor, onlooker: Visitor, project: Project
) -> None:
    make_server(project, name="secretly-placed", host=make_host("rack-77"))
    assert "secretly-placed" in operator.text("/admin/servers/server/?q=rack-77")
    assert "secretly-placed" not in onlooker.text("/admin/servers/server/?q=rack-77")


def test_filter_of_somebody_elses_credential_finds_nothing(onlooker: Visitor, operator: Visitor) -> None:
    found = ApplicationCredential(user=operator.user, name="foreign", project=make_project())
    found.set_secret("x" * 8)
    found.save()
    assert "foreign" not in onlooker.text("/admin/servers/applicationcredential/?q=foreign")
