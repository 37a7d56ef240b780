"""What a record of the trail tells, as a person would say it."""

from __future__ import annotations

from typing import Any

import pytest

from servers.admin.sentences import PHRASES, sentence, shown, way
from servers.audit.reading import Names
from servers.audit.watched import WATCHED
from servers.models import Aggregate, AuditRecord
from tests.factories import make_host

pytestmark = pytest.mark.django_db


def record(kind: str, verb: str = "changed", **facts: Any) -> AuditRecord:
    values = {"who": "anna", "door": "console", "object_name": "x", "object_id": "7", **facts}
    return AuditRecord(object_type=kind, verb=verb, **values)


def said(*about: Any, **facts: Any) -> str:
    one = record(*about, **facts)
    return sentence(one, Names([one]))


def changed(column: str, was: Any, became: Any) -> dict[str, Any]:
    return {"before": {column: was}, "after": {column: became}}


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        (
            {
                **{"kind": "host", "object_name": "rack1-b", "before": {"enabled": True}},
                "after": {"enabled": False, "disabled_reason": "waits for a fan"},
            },
            "anna disabled host rack1-b: waits for a fan",
        ),
        ({"kind": "host", **changed("forced_down", False, True)}, "anna forced host x down"),
        ({"kind": "user", **changed("password", "…", "…")}, "anna gave user x a new password"),
        ({"kind": "token", **changed("revoked_at", None, "2026")}, "anna revoked a token of x"),
        (
            {"kind": "server", **changed("vm_state", "active", "error")},
            "anna changed server x from active to error",
        ),
        ({"kind": "server", "after": {"device": "vda", "format": "raw"}}, "anna gave server x the disk vda"),
        (
            {"kind": "server", "before": {"mac": "52:54"}},
            "anna took the network interface 52:54 from server x",
        ),
        ({"kind": "image", "verb": "deleted"}, "anna deleted image x"),
        ({"kind": "flavor", "verb": "created"}, "anna created flavor x"),
        ({"kind": "project", **changed("name", "a", "b")}, "anna renamed project a to b"),
        ({"kind": "flavor", **changed("vcpus", 1, 2)}, "anna changed flavor x: vcpus"),
        (
            {"kind": "membership", "verb": "created", "object_name": "eva is member of shop"},
            "anna gave a role: eva is member of shop",
        ),
        (
            {"kind": "action", "verb": "created", "object_name": "live-migration of web-1"},
            "anna asked for live-migration of web-1, accepted",
        ),
        (
            {
                **{"kind": "action", "object_name": "live-migration of web-1", "who": "gantry"},
                **{
                    "before": {"status": "running"},
                    "after": {"status": "failed", "error_text": "No valid host"},
                },
            },
            "live-migration of web-1 ended: failed: No valid host",
        ),
        (
            {"kind": "server", "who": "gantry", "on_behalf_of": "anna", **changed("locked_by", "", "admin")},
            "gantry (for anna) locked server x",
        ),
        ({"kind": "records", "verb": "pruned", "object_name": "old records"}, "anna pruned old records"),
        (
            {"kind": "domain", "verb": "deleted", "reason": "they moved out"},
            "anna deleted domain x: they moved out",
        ),
        ({"kind": "flavor", "who": "", "verb": "deleted"}, "nobody deleted flavor x"),
    ],
)
def test_record_is_a_sentence(facts: dict[str, Any], sentence: str) -> None:
    assert said(facts.pop("kind"), facts.pop("verb", "changed"), **facts) == sentence


def test_many_columns_are_counted() -> None:
    after = dict.fromkeys("abcdef", 1)
    assert said("flavor", after=after) == "anna changed flavor x: a, b, c, d and 2 more"


def test_sentence_names_rows_that_are_referred_to() -> None:
    one, other = make_host("h1"), make_host("h2")
    assert said("server", **changed("host", one.pk, other.pk)) == "anna moved server x from h1 to h2"
    ssd = Aggregate.objects.create(name="ssd")
    assert said("host", after={"host": one.pk, "aggregate": ssd.pk}) == "anna put host x into aggregate ssd"


def test_row_that_is_gone_is_named_by_its_id() -> None:
    assert said("server", **changed("host", 998, 999)) == "anna moved server x from 998 to 999"


def test_way_tells_where_from() -> None:
    assert way(record("host", source="192.0.2.7")) == "by console, from 192.0.2.7"
    assert way(record("host")) == "by console"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        ("", "nothing"),
        ([], "nothing"),
        (0, "0"),
        (False, "no"),
        (True, "yes"),
        ({"a": 1}, '{"a": 1}'),
    ],
)
def test_values_are_shown_as_text(value: Any, text: str) -> None:
    one = record("flavor")
    assert shown(one, Names([one]), "vcpus", value) == text


def test_every_phrase_is_about_a_column_that_is_watched() -> None:
    watched = {(each.kind, field.name) for each in WATCHED for field in each.columns}
    assert {(phrase.object_type, phrase.column) for phrase in PHRASES} <= watched
