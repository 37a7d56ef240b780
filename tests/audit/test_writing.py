"""The database writes each change of each watched column, in the transaction of the change, and no secret."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.db import connection, models, transaction
from django.db.models.fields.json import JSONField

from servers import clock
from servers.acting import acting
from servers.audit import reading, triggers
from servers.audit.watched import DELETED, INSERTED, UNWATCHED, UPDATED, WATCHED, Watched
from servers.models import (
    ActionRecord,
    Aggregate,
    ApplicationCredential,
    AuditRecord,
    DeploymentFact,
    FederatedIdentity,
    Flavor,
    Host,
    SecondFactor,
    Server,
    ServerGroup,
    Token,
    User,
)
from tests.factories import make_image, make_project, make_token, make_user
from tests.small_fleet import SmallFleet

pytestmark = pytest.mark.django_db


@pytest.fixture
def fleet() -> SmallFleet:
    """Return a fleet with at least one row of everything that is watched."""
    fleet = SmallFleet()
    server = fleet.add_server()
    user = make_user("admin", fleet.project)
    make_token(user, fleet.project, ["admin"])
    made = ApplicationCredential(name="robot", user=user, project=fleet.project)
    made.set_secret("secret")
    made.save()
    SecondFactor.objects.create(user=user, sealed="sealed", recovery=["digest"])
    FederatedIdentity.objects.create(user=user, issuer="https://login.example", subject="7")
    make_image(fleet.project)
    Flavor.objects.create(name="small", vcpus=1, memory_mb=1, root_gb=1)
    ServerGroup.objects.create(name="apart", project_id=fleet.project.pk, user_id="u", policy="affinity")
    DeploymentFact.objects.create(name="fact", value={"a": 1}, set_by="node1")
    server.host.aggregates.add(Aggregate.objects.create(name="rack"))
    fleet.submit("lock", server)
    return fleet


def newest_after(last: int) -> list[AuditRecord]:
    return list(AuditRecord.objects.filter(pk__gt=last).order_by("pk"))


def last_record() -> int:
    return AuditRecord.objects.latest("pk").pk


def other_value(field: models.Field[Any, Any], old: Any) -> Any:
    """Return another value of the column, as SQL has it."""
    if isinstance(field, JSONField):
        return '{"another": "one"}'
    if isinstance(field, models.BooleanField):
        return not old
    if isinstance(field, models.DateTimeField):
        return clock.now()
    if isinstance(field, models.UUIDField):
        return "0" * 32
    if isinstance(field, models.IntegerField | models.FloatField):
        return (old or 0) + 1
    return "192.0.2.7" if isinstance(field, models.GenericIPAddressField) else "another"


def test_every_table_is_watched_or_says_why_not() -> None:
    ours = set(apps.get_app_config("servers").get_models(include_auto_created=True))
    watched = {each.model for each in WATCHED}
    assert watched | UNWATCHED.keys() == ours
    assert not watched & UNWATCHED.keys()


@pytest.mark.parametrize("watched", WATCHED, ids=lambda w: w.table)
def test_what_is_left_out_or_secret_is_a_column(watched: Watched) -> None:
    names = {field.name for field in watched.model._meta.concrete_fields}
    assert watched.without <= names
    assert watched.secret | {name for name, _ in watched.only} <= {f.name for f in watched.columns}


def test_every_trigger_is_there() -> None:
    assert triggers.installed() == triggers.expected()
    assert len(triggers.expected()) > len(WATCHED)


COLUMNS = [
    pytest.param(watched, field, id=f"{watched.table}.{field.name}")
    for watched in WATCHED
    for field in watched.columns
    if not field.remote_field and UPDATED in watched.events
]


@pytest.mark.parametrize(("watched", "field"), COLUMNS)
def test_a_change_of_each_column_is_written(watched: Watched, field: Any, fleet: SmallFleet) -> None:
    row = watched.model._default_manager.first()
    assert row is not None
    last, old = last_record(), getattr(row, field.attname)
    only = dict(watched.only).get(field.name)
    column, pk = f'"{field.column}"', watched.model._meta.pk
    assert pk is not None
    value = other_value(field, old)
    if field.name == "status" and only:
        value = "failed"
    with acting(who="anna", request_id="req-1"), connection.cursor() as cursor:
        key = pk.get_db_prep_value(row.pk, connection)
        also = ", status = 'failed'" if only and field.name != "status" else ""
        cursor.execute(
            f'UPDATE {watched.table} SET {column} = %s{also} WHERE "{pk.column}" = %s', [value, key]
        )
    if only == "1 = 0":
        assert [r for r in newest_after(last) if field.name in r.after] == []
        return
    (record,) = newest_after(last)
    assert field.name in record.after, record.after
    assert record.after[field.name] != record.before.get(field.name) or field.name in watched.secret
    assert (record.who, record.request_id, record.verb) == ("anna", "req-1", "changed")
    assert (record.object_type, record.object_id != "") == (watched.kind, True)


@pytest.mark.parametrize(
    "watched", [w for w in WATCHED if {INSERTED, DELETED} <= set(w.events)], ids=lambda w: w.table
)
def test_a_row_that_goes_leaves_all_that_it_was(watched: Watched, fleet: SmallFleet) -> None:
    row = watched.model._default_manager.first()
    assert row is not None
    last, key = last_record(), watched.model._meta.pk
    with connection.constraint_checks_disabled(), connection.cursor() as cursor:
        cursor.execute("PRAGMA defer_foreign_keys = ON" if connection.vendor == "sqlite" else "SELECT 1")
        with transaction.atomic():
            cursor.execute(
                f'DELETE FROM {watched.table} WHERE "{key.column}" = %s',
                [key.get_db_prep_value(row.pk, connection)],
            )
            (record,) = newest_after(last)
            assert record.after == {}
            assert record.before.keys() <= {field.name for field in watched.columns}
            assert record.before
            transaction.set_rollback(True)
    assert newest_after(last) == []


def test_a_change_that_is_undone_leaves_no_record(fleet: SmallFleet) -> None:
    last = last_record()
    with transaction.atomic():
        Host.objects.update(enabled=False)
        assert len(newest_after(last)) == Host.objects.count()
        transaction.set_rollback(True)
    assert newest_after(last) == []


def test_what_the_engine_writes_all_the_time_is_no_change(fleet: SmallFleet) -> None:
    last = last_record()
    Host.objects.update(heartbeat_at=clock.now(), generation=7)
    Server.objects.update(progress=50, power_state=4, task_state="migrating", seen_at=clock.now())
    ActionRecord.objects.update(
        progress_percent=50, worker="w", attempt=3, steps=[{}], lease_until=clock.now()
    )
    assert newest_after(last) == []


def test_a_value_that_is_written_again_is_no_change(fleet: SmallFleet) -> None:
    last = last_record()
    for model in (Server, Host, User):
        for row in model.objects.all():
            for field in row._meta.concrete_fields:
                if field.name in {"security_stamp", "revision"} or field.primary_key:
                    continue
                model.objects.filter(pk=row.pk).update(**{field.attname: getattr(row, field.attname)})
    assert newest_after(last) == []


def test_a_bulk_change_leaves_a_record_of_each_row(fleet: SmallFleet) -> None:
    last = last_record()
    Host.objects.update(disabled_reason="smokes")
    assert {r.object_name for r in newest_after(last)} == {"node1", "node2", "node3"}
    assert all(r.after == {"disabled_reason": "smokes"} for r in newest_after(last))


def test_no_secret_is_written(fleet: SmallFleet) -> None:
    user = make_user("reader", fleet.project, name="rita")
    user.set_password("a very secret word")
    user.save()
    secrets = [*User.objects.values_list("password", flat=True)]
    secrets += [*ApplicationCredential.objects.values_list("secret_hash", flat=True)]
    secrets += [*Token.objects.values_list("digest", flat=True)]
    secrets += [*ActionRecord.objects.exclude(sealed="").values_list("sealed", flat=True)]
    fleet.submit("change-password", fleet.add_server("other"), adminPass="swordfish")
    written = " ".join(f"{r.before} {r.after} {r.object_name}" for r in AuditRecord.objects.all())
    assert any(secrets)
    assert [
        secret for secret in [*secrets, "swordfish", "a very secret word"] if secret and secret in written
    ] == []
    changed = AuditRecord.objects.filter(object_type="user", object_name="rita", verb="changed").latest("pk")
    assert (changed.before, changed.after) == ({"password": "…"}, {"password": "…"})


def test_the_name_of_what_is_gone_stays(fleet: SmallFleet) -> None:
    Aggregate.objects.create(name="gone").delete()
    assert [r.verb for r in AuditRecord.objects.filter(object_name="gone")] == ["deleted", "created"]


@pytest.mark.parametrize("name", ["/* acting=e30= */", "x' --", '"}', "*/ DROP", "%s", "é\x1b"])
def test_no_name_is_taken_for_who_acts(name: str, fleet: SmallFleet) -> None:
    with acting(who=name, source=name, request_id="req-2"):
        Host.objects.filter(name="node1").update(disabled_reason=name)
    record = AuditRecord.objects.latest("pk")
    assert (record.who, record.source, record.after) == (name, name, {"disabled_reason": name})


def test_the_object_is_found_by_its_row() -> None:
    project = make_project()
    assert [r.verb for r in reading.of(project).by_index] == ["created"]
