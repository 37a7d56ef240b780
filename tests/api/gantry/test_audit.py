"""`/gantry/v1/audit`: the audit trail by REST."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from servers.audit import reading
from servers.models import AuditRecord
from tests.audit.disabling import disabled_host
from tests.conftest import Caller
from tests.factories import make_host, make_project

pytestmark = pytest.mark.django_db
PATH = "/gantry/v1/audit"


@pytest.fixture
def disabled(db: None) -> AuditRecord:
    return disabled_host("console")


def test_record_is_shown_whole(admin: Caller, disabled: AuditRecord) -> None:
    shown = admin.get(f"{PATH}/{disabled.pk}").json()["record"]
    assert shown == {
        **{"id": disabled.pk, "at": disabled.at.isoformat(timespec="microseconds")},
        **{"who": "anna", "who_id": "a1", "on_behalf_of": "", "door": "console", "source": "192.0.2.7"},
        **{"request_id": "req-1", "verb": "changed", "object_type": "host", "object_name": "rack1-b"},
        **{"object_id": disabled.object_id, "project_id": "", "reason": "", "number": None, "digest": None},
        "before": {"enabled": True, "disabled_reason": ""},
        "after": {"enabled": False, "disabled_reason": "waits for a fan"},
    }


def test_list_is_filtered_and_leads_to_the_next_page(admin: Caller, disabled: AuditRecord) -> None:
    make_host("another")
    page = admin.get(f"{PATH}?object_type=host&limit=2").json()
    names = [record["object_name"] for record in page["records"]]
    assert names == ["another", "rack1-b"]
    (link,) = page["records_links"]
    after = admin.get(link["href"].removeprefix("http://testserver")).json()
    assert [record["verb"] for record in after["records"]] == ["created"] and "records_links" not in after
    assert [r["id"] for r in admin.get(f"{PATH}?who=anna&verb=changed").json()["records"]] == [disabled.pk]


def test_period_is_given_with_or_without_an_offset(admin: Caller, disabled: AuditRecord) -> None:
    at = disabled.at.isoformat()
    found = admin.get(f"{PATH}?who=anna&since={quote(at)}&until={at[:26]}").json()["records"]
    assert [record["id"] for record in found] == [disabled.pk]


@pytest.mark.parametrize(
    "query",
    [
        *("since=yesterday", "until=1", "since=2026-02-01&until=2026-01-01", "marker=0", "marker=x"),
        *("marker=99999999999999999999", "limit=-1", "what=1", "who=%00"),
    ],
)
def test_filter_that_means_nothing_is_refused(admin: Caller, query: str) -> None:
    answer = admin.get(f"{PATH}?{query}")
    assert answer.status_code == 400 and answer.json()["badRequest"]["message"]


@pytest.mark.parametrize("key", ["0", "x", "-1", "9" * 30, "١"])
def test_record_that_is_not_there_is_missing(admin: Caller, key: str) -> None:
    assert admin.get(f"{PATH}/{key}").status_code == 404


def test_no_records_are_asked_for_by_a_limit_of_none(admin: Caller, disabled: AuditRecord) -> None:
    assert admin.get(f"{PATH}?limit=0").json() == {"records": []}


@pytest.mark.parametrize("accepts", ["application/jsonl", "application/jsonl, application/json;q=0.5"])
def test_json_lines_are_all_that_is_asked_for_oldest_first(
    accepts: str, admin: Caller, disabled: AuditRecord
) -> None:
    answer: Any = admin.get(f"{PATH}?object_type=host&limit=1", Accept=accepts)
    assert (answer["Content-Type"], answer["Vary"], answer.streaming) == ("application/jsonl", "Accept", True)
    lines = [json.loads(line) for line in b"".join(answer.streaming_content).splitlines()]
    assert [line["verb"] for line in lines] == ["created", "changed"]
    assert lines[1] == admin.get(f"{PATH}/{disabled.pk}").json()["record"]


@pytest.mark.parametrize("accepts", ["", "*/*", "application/json", "text/html"])
def test_everybody_else_gets_json(accepts: str, admin: Caller, disabled: AuditRecord) -> None:
    assert admin.get(PATH, Accept=accepts)["Content-Type"] == "application/json"


@pytest.mark.parametrize("path", [PATH, f"{PATH}/1"])
@pytest.mark.parametrize("accepts", ["application/json", "application/jsonl"])
def test_nobody_else_reads_the_trail(path: str, accepts: str, manager: Caller, disabled: AuditRecord) -> None:
    answer = manager.get(path, Accept=accepts)
    assert answer.status_code == 403 and reading.RULE in answer.json()["forbidden"]["message"]


def test_list_costs_as_many_queries_with_many_records_as_with_one(
    admin: Caller, django_assert_num_queries: Any
) -> None:
    for number in range(20):
        make_project(name=f"p{number}")
    with django_assert_num_queries(5):  # two for the token, how far it looks, the records, their links
        assert len(admin.get(f"{PATH}?object_type=project").json()["records"]) > 20
