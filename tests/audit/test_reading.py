"""The trail is read: each question finds what it asks for, in an index, a page at a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import Model

from servers import clock
from servers.acting import Actor, acting
from servers.admin import console
from servers.audit import reading
from servers.audit.chain import GENESIS, chain, digest
from servers.audit.reading import INDEXED, KINDS, REFERENCES, Names, Wanted
from servers.audit.watched import UNWATCHED
from servers.models import Aggregate, AuditRecord, Host, Project, Token, User
from tests.factories import make_flavor, make_host, make_project, make_server, make_token, make_user

pytestmark = pytest.mark.django_db
ANNA = Actor("anna", "a1", door="console", source="192.0.2.7", request_id="req-1")
VALUES: dict[str, Any] = {
    **{"request_id": "req-1", "object_id": "77", "object_name": "ours", "who": "anna", "project_id": "p-1"},
    **{"object_type": "host", "door": "console", "verb": "deleted", "name_part": "OUR"},
    **{"since": clock.now() + timedelta(days=1), "until": clock.now() - timedelta(days=1)},
}
"""What is asked for by each field, and one record is like."""
OTHER = AuditRecord(
    who="bob", door="rest", verb="changed", object_type="server", object_id="78", object_name="x"
)
OURS = AuditRecord(
    **{name: value for name, value in VALUES.items() if name not in {"name_part", "since", "until"}}
)


def write(record: AuditRecord, **changes: Any) -> AuditRecord:
    """Write a record like this one."""
    values = {f.name: getattr(record, f.name) for f in AuditRecord._meta.concrete_fields if not f.primary_key}
    return AuditRecord.objects.create(**{**values, **changes})


def found(wanted: Wanted, limit: int = 100) -> list[AuditRecord]:
    return reading.page(wanted, limit).records


def everywhere(wanted: Wanted, limit: int) -> list[AuditRecord]:
    """Return the records of all pages."""
    records, marker = [], None
    while True:
        page = reading.page(wanted, limit, marker)
        records += page.records
        if page.marker is None:
            return records
        marker = reading.find(str(page.marker))


def rows(text: str) -> list[str]:
    return [str(row["object_name"]) for row in map(json.loads, text.splitlines())]


@pytest.mark.parametrize("name", [field.name for field in fields(Wanted)])
def test_each_question_finds_what_it_asks_for_and_nothing_else(name: str) -> None:
    now = clock.now()
    times = {"since": {"at": now + timedelta(days=1)}, "until": {"at": now - timedelta(days=1)}}
    ours = write(OURS, **{"at": now, **times.get(name, {})})
    write(OTHER, at=now)
    value = times[name]["at"] if name in times else VALUES[name]
    assert found(Wanted(**{name: value})) == [ours]


def test_all_that_is_asked_for_must_hold() -> None:
    ours = write(OURS)
    write(OURS, who="bob")
    write(OURS, verb="changed")
    assert found(Wanted(who="anna", verb="deleted", door="console", name_part="ou")) == [ours]


def test_newest_come_first_and_pages_lose_and_repeat_nothing() -> None:
    now = clock.now()
    records = [write(OURS, at=now - timedelta(seconds=number // 3)) for number in range(10)]
    expected = sorted(records, key=lambda record: (record.at, record.pk), reverse=True)
    for wanted in (Wanted(), Wanted(who="anna"), Wanted(who="anna", door="console")):
        assert everywhere(wanted, 3) == expected


def test_page_looks_through_so_many_records_and_the_next_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "EXAMINED", 4)
    rare = write(OURS, verb="deleted")
    for _ in range(10):
        write(OURS, verb="changed")
    wanted = Wanted(who="anna", verb="deleted")
    first = reading.page(wanted, 5)
    assert first.records == [] and first.marker is not None
    assert everywhere(wanted, 5) == [rare]


def test_last_page_says_that_there_is_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(4):
        write(OURS)
    assert reading.page(Wanted(), 4).marker is None
    assert reading.page(Wanted(), 3).marker is not None


def plans(wanted: Wanted) -> list[str]:
    """Return how SQLite finds a page, a line for each statement."""
    with connection.execute_wrapper(explained := Explained()):
        reading.page(wanted, 50)
    return explained.plans


class Explained:
    """A wrapper of Django's that notes the plan of each statement."""

    def __init__(self) -> None:
        self.plans: list[str] = []

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        with connection.cursor() as cursor:
            cursor.cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
            self.plans.append("; ".join(row[3] for row in cursor.cursor.fetchall()))
        return execute(sql, params, many, context)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL's plan depends on what is in the table")
@pytest.mark.parametrize("name", [*INDEXED, "verb", "name_part", "since", "until", ""])
@pytest.mark.parametrize(
    "more", [{}, {"verb": "deleted"}, {"until": VALUES["until"]}], ids=["alone", "with verb", "with until"]
)
def test_page_is_read_in_the_order_of_an_index(name: str, more: dict[str, Any]) -> None:
    wanted = replace(Wanted(**({name: VALUES[name]} if name else {})), **more)
    for plan in plans(wanted):
        assert "USING INDEX audit_of" in plan or "USING COVERING INDEX audit_of" in plan, plan
        assert "TEMP B-TREE" not in plan, plan


def test_a_page_costs_so_many_queries(django_assert_num_queries: Any) -> None:
    for _ in range(3):
        write(OURS)
    with django_assert_num_queries(1):
        found(Wanted(who="anna"))
    with django_assert_num_queries(2):  # how far to look, and what is there
        found(Wanted(who="anna", verb="deleted"))


# -------------------------------------------------------------------------------------- of one object


@pytest.mark.parametrize("make", [make_host, make_user, make_project, make_server, make_flavor])
def test_question_about_a_row_finds_the_record_of_its_trigger(make: Callable[[], Model]) -> None:
    assert [record.verb for record in found(reading.of(make()))] == ["created"]


def test_a_token_is_named_by_what_is_no_secret() -> None:
    make_token(make_user(), make_project(), ["reader"])
    token = Token.objects.get()
    token.revoked_at = clock.now()
    token.save()
    (record,) = found(reading.of(token))
    assert record.object_id == token.audit_id.replace("-", "")


def test_every_table_is_watched_or_says_why_it_has_no_history() -> None:
    assert not set(KINDS) & set(UNWATCHED)
    assert set(console._registry) <= set(KINDS) | set(UNWATCHED)


def test_records_of_a_deleted_object_are_found_by_its_type_and_id() -> None:
    server = make_server()
    key = str(server.pk)
    server.delete()
    verbs = [record.verb for record in found(Wanted(object_type="server", object_id=key))]
    assert verbs == ["deleted", "created"]


# -------------------------------------------------------------------------------------------- searching


@pytest.mark.parametrize(
    ("word", "asked"),
    [
        ("req-1", {"request_id": "req-1"}),
        ("77", {"object_id": "77"}),
        ("ours", {"name_part": "ours"}),
        ("our", {"name_part": "our"}),
    ],
)
def test_word_is_a_request_or_an_id_before_it_is_a_part_of_a_name(word: str, asked: dict[str, str]) -> None:
    write(OURS)
    assert reading.searched(word) == asked


# ----------------------------------------------------------------------------------------- as JSON lines


def test_lines_are_all_that_is_asked_for_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "AT_ONCE", 2)
    for number in range(5):
        write(OURS, object_name=f"n{number}")
        write(OTHER)
    text = "".join(reading.lines(Wanted(who="anna", verb="deleted")))
    assert rows(text) == ["n0", "n1", "n2", "n3", "n4"]


def test_lines_hold_no_more_than_a_part_in_memory(django_assert_num_queries: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(reading, "AT_ONCE", 2)
    for _ in range(5):
        write(OURS)
    with django_assert_num_queries(6):  # three parts, each with its links
        list(reading.lines(Wanted()))


def test_whoever_has_the_lines_can_prove_the_chain() -> None:
    with acting(ANNA):
        make_host("h1", capabilities={"ü": [1.5, None]})
        make_project(name="shop")
    chain()
    previous = GENESIS
    for line in map(json.loads, reading.lines(Wanted())):
        number, said = line.pop("number"), line.pop("digest")
        assert said == digest(previous, number, line)
        previous = said


def test_what_is_not_chained_yet_has_no_number() -> None:
    assert (reading.as_data([write(OURS)])[0]["number"], reading.as_data([])) == (None, [])


# ------------------------------------------------------------------------------------------------ names


def test_names_cost_one_query_a_table(django_assert_num_queries: Any) -> None:
    project, host = make_project(name="shop"), make_host("h1")
    for _ in range(5):
        make_server(project, host=host)
    records = found(Wanted(object_type="server"))
    with django_assert_num_queries(3):  # projects, users and hosts
        names = Names(records)
    assert names.of(records[0], "host", host.pk) == "h1"
    assert names.of(records[0], "project_id", project.pk) == "shop" == names.of_project(project.pk)


def test_a_row_that_is_gone_has_no_name() -> None:
    record = write(OTHER, after={"host": 999, "flavor": "no number", "name": "x"})
    names = Names([record])
    assert names.of(record, "host", 999) is None and names.of(record, "flavor", "no number") is None


def test_references_are_those_of_the_tables() -> None:
    assert REFERENCES["server", "host"] is Host and REFERENCES["server", "user_id"] is User
    assert REFERENCES["image", "project_id"] is Project and REFERENCES["host", "aggregate"] is Aggregate
