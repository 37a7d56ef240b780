"""The audit trail in the console: the list, a record, the history of each object, and the export."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.admin import ModelAdmin
from django.db.models import Model
from django.urls import reverse

from servers.acting import acting
from servers.admin import console, histories
from servers.admin.base import RecordAdmin
from servers.audit import reading
from servers.audit.chain import chain
from servers.audit.reading import KINDS
from servers.audit.watched import UNWATCHED
from servers.models import AuditLink, AuditRecord, Image, Project, Server
from tests.admin.visiting import Visitor, page_of, words
from tests.audit.disabling import disabled_host
from tests.factories import make_action, make_flavor, make_host, make_image, make_project, make_server

TRAIL = "/admin/servers/auditrecord/"
WATCHED_PAGES = [model for model in console._registry if model in KINDS]


def history_of(row: Model, key: Any = None) -> str:
    return reverse(f"admin:servers_{row._meta.model_name}_history", args=[key or row.pk])


@pytest.fixture
def disabled(db: None) -> AuditRecord:
    return disabled_host("rest")


# --------------------------------------------------------------------------------------------- the list


def test_list_says_who_did_what_to_what_how_and_from_where(operator: Visitor, disabled: AuditRecord) -> None:
    assert "anna disabled host rack1-b: waits for a fan by rest, from 192.0.2.7" in operator.text(TRAIL)


@pytest.mark.parametrize(
    "query",
    [
        *("who=anna", "door=rest&who=anna", "object_type=host", "verb=changed&who=anna", "request_id=req-1"),
        *("q=req-1", "q=rack1-b", "q=rack1", "object_name=rack1-b", "since=2020-01-01T00:00&who=anna"),
    ],
)
def test_list_is_filtered_and_searched(query: str, operator: Visitor, disabled: AuditRecord) -> None:
    make_flavor()
    found = operator.get(f"{TRAIL}?{query}").context["lines"]  # type: ignore[attr-defined]
    assert disabled in [line.record for line in found]
    assert {line.record.object_type for line in found} == {"host"}


def test_what_is_asked_for_stands_in_the_form(operator: Visitor, disabled: AuditRecord) -> None:
    page = operator.get(f"{TRAIL}?who=bob&door=carrier&object_id=7").content.decode()
    assert 'value="bob"' in page and '<option value="carrier" selected>' in page
    assert '<input type="hidden" name="object_id" value="7">' in page and "There is no such record." in page


@pytest.mark.parametrize("query", ["since=yesterday", "name__regex=(", "p=1", "o=1", "all=", "who=%00"])
def test_filter_that_means_nothing_is_refused(query: str, operator: Visitor) -> None:
    assert operator.get(f"{TRAIL}?{query}").status_code == 400
    assert operator.get(f"{TRAIL}export/?{query}").status_code == 400


def test_marker_that_is_no_record_is_missing(operator: Visitor) -> None:
    assert operator.get(f"{TRAIL}?marker=x").status_code == 404


def test_older_records_are_on_the_next_page(operator: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(histories, "ROWS", 2)
    for number in range(3):
        make_flavor(name=f"size-{number}")
    first = operator.get(f"{TRAIL}?object_type=flavor")
    assert "size-2" in words(first) and "size-0" not in words(first)
    older = f"{TRAIL}?{first.context['older']}"  # type: ignore[attr-defined]
    assert "created flavor size-0" in operator.text(older) and "size-2" not in operator.text(older)
    assert f'href="{TRAIL}?object_type=flavor"' in operator.get(older).content.decode()


def test_list_says_that_it_has_looked_through_so_many(
    operator: Visitor, monkeypatch: pytest.MonkeyPatch, disabled: AuditRecord
) -> None:
    monkeypatch.setattr(reading, "EXAMINED", 2)
    for _ in range(3):
        make_flavor()
    text = operator.text(f"{TRAIL}?verb=changed&since=2020-01-01T00:00")
    assert "2 records were looked through" in text and "There is no such record" not in text


@pytest.mark.parametrize("count", [1, 40])
def test_list_costs_as_many_queries_with_many_records_as_with_one(
    count: int, operator: Visitor, project: Project, django_assert_num_queries: Any
) -> None:
    host = make_host()
    for _ in range(count):
        make_server(project, host=host)
    operator.get(TRAIL)
    with django_assert_num_queries(
        10
    ):  # session, user, memberships, what waits, how far it looks, records, and names of three tables
        operator.get(f"{TRAIL}?object_type=server")


# ---------------------------------------------------------------------------------------------- a record


def test_record_shows_before_and_after_and_leads_on(operator: Visitor, disabled: AuditRecord) -> None:
    page = operator.get(page_of(disabled))
    assert "enabled yes no" in words(page) and "disabled_reason nothing waits for a fan" in words(page)
    assert "not chained yet" in words(page)
    html = page.content.decode()
    assert (
        f"{TRAIL}?request_id=req-1" in html and f"/admin/servers/host/{disabled.object_id}/history/" in html
    )


def test_record_shows_its_link_and_the_action_of_its_request(operator: Visitor, project: Project) -> None:
    with acting(request_id="req-2"):
        action = make_action(make_server(project), request_id="req-2")
    chain()
    record = reading.page(reading.of(action), 1).records[0]
    page = operator.get(page_of(record))
    link = AuditLink.objects.get(record_id=record.pk)
    assert f"link {link.number}, {link.digest}" in words(page)
    assert page_of(action) in page.content.decode()


# ------------------------------------------------------------------------------------- of each object


@pytest.mark.parametrize("model", WATCHED_PAGES)
def test_every_watched_page_has_a_history_that_outlives_its_row(
    model: type[Model], operator: Visitor
) -> None:
    name = model._meta.model_name
    AuditRecord.objects.create(
        **{"who": "anna", "door": "sql", "verb": "deleted", "object_type": KINDS[model]},
        **{"object_id": "0123456789abcdef0123456789abcdef", "object_name": "the last one"},
    )
    address = f"/admin/servers/{name}/0123456789abcdef0123456789abcdef/history/"
    if operator.get(address).status_code == 404:  # no row of this table has such an id
        AuditRecord.objects.create(
            **{"who": "anna", "door": "sql", "verb": "deleted", "object_type": KINDS[model]},
            **{"object_id": "77", "object_name": "the last one"},
        )
        address = f"/admin/servers/{name}/77/history/"
    text = operator.text(address)
    assert f"History of {model._meta.verbose_name} the last one" in text and "It is deleted" in text
    assert "by sql" in text


@pytest.mark.parametrize("model", [model for model in console._registry if model in UNWATCHED])
def test_what_is_not_watched_says_why_it_has_no_history(model: type[Model], operator: Visitor) -> None:
    answer = operator.get(f"/admin/servers/{model._meta.model_name}/1/history/")
    assert answer.status_code == 404 and UNWATCHED[model] in words(answer)


@pytest.mark.parametrize("model", console._registry)
def test_history_is_for_who_may_read_the_trail(model: type[Model], onlooker: Visitor) -> None:
    assert onlooker.get(f"/admin/servers/{model._meta.model_name}/1/history/").status_code == 403


def test_pages_link_to_the_history_for_who_may_read_it(operator: Visitor, project: Project) -> None:
    server = make_server(project)
    image = make_image(project, server=server, instance_uuid=server.pk)
    reader = Visitor(project, "reader")
    for row in (server, image, make_action(server)):
        assert history_of(row) in operator.get(page_of(row)).content.decode()
        assert history_of(row) not in reader.get(page_of(row)).content.decode()
    flavor = make_flavor()
    assert history_of(flavor) in operator.get(page_of(flavor)).content.decode()


def test_page_of_a_deleted_object_says_where_its_history_is(operator: Visitor, project: Project) -> None:
    flavor, server = make_flavor(), make_server(project)
    addresses = {page_of(row): history_of(row) for row in (flavor, server)}
    Server.objects.all().delete()
    flavor.delete()
    for page, history in addresses.items():
        answer = operator.get(page)
        assert answer.status_code == 404 and history in answer.content.decode()
        assert operator.get(history).status_code == 200
    onlooker = Visitor(project, "reader")
    for page, history in addresses.items():
        assert history not in onlooker.get(page).content.decode()


def test_deleted_image_leads_to_its_history(operator: Visitor, project: Project) -> None:
    image = make_image(project)
    answer = operator.client.post(f"/admin/servers/image/{image.pk}/remove/", follow=True)
    assert f'<a href="{history_of(image)}">Its history</a>' in answer.content.decode()
    assert f"{operator.user.name} deleted image {image.name} by console" in operator.text(history_of(image))
    assert "It is deleted." in operator.text(history_of(image))
    assert Image.objects.get(pk=image.pk).status == "deleted"


def test_image_of_an_odd_name_is_no_markup(operator: Visitor, project: Project) -> None:
    image = make_image(project, name="<b>x</b>")
    answer = operator.client.post(f"/admin/servers/image/{image.pk}/remove/", follow=True)
    assert "<b>x</b>" not in answer.content.decode() and "Image <b>x</b> is deleted" in words_of(answer)


def words_of(answer: Any) -> str:
    """Return the text of an answer, markup that was escaped included."""
    return str(answer.content.decode()).replace("&lt;", "<").replace("&gt;", ">")


def test_no_page_of_a_row_has_another_history(operator: Visitor) -> None:
    for page in console._registry.values():
        assert type(page).history_view is RecordAdmin.history_view, page


# ------------------------------------------------------------------------------------------- the export


def test_export_is_what_is_filtered_as_json_lines(operator: Visitor, disabled: AuditRecord) -> None:
    page = operator.get(f"{TRAIL}?who=anna")
    answer: Any = operator.get(page.context["export"])  # type: ignore[attr-defined]
    assert answer["Content-Type"] == "application/jsonl" and "attachment" in answer["Content-Disposition"]
    (line,) = map(json.loads, b"".join(answer.streaming_content).splitlines())
    assert (line["id"], line["who"]) == (disabled.pk, "anna")


def test_export_is_for_who_may_read_the_trail(onlooker: Visitor) -> None:
    assert onlooker.get(TRAIL).status_code == 403 == onlooker.get(f"{TRAIL}export/").status_code


def test_nobody_changes_a_record(operator: Visitor, disabled: AuditRecord) -> None:
    page: ModelAdmin[Any] = console._registry[AuditRecord]
    request: Any = operator.get(TRAIL).wsgi_request  # type: ignore[attr-defined]
    assert not page.has_add_permission(request) and not page.has_delete_permission(request)
    assert operator.post(f"{TRAIL}{disabled.pk}/delete/", {"post": "yes"}).status_code == 403
    assert make_project() and AuditRecord.objects.filter(pk=disabled.pk).exists()
