"""The database writes the trail: a trigger of each watched table, in the transaction of the change, whoever makes it.

No way into the database goes past a trigger: not a bulk update, not another program. The same is said once for SQLite
and PostgreSQL; what they call differently is a `Dialect`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.db import connection, models
from django.db.models.fields.json import JSONField

from servers.audit.watched import DELETED, INSERTED, UPDATED, WATCHED, Watched
from servers.models import AuditLink, AuditRecord

RECORDS, LINKS = AuditRecord._meta.db_table, AuditLink._meta.db_table
APPEND_ONLY = (
    "The audit trail is append-only: nothing of it is changed, and only `manage.py audit archive` cuts it."
)
VERBS = {INSERTED: "created", UPDATED: "changed", DELETED: "deleted"}
PREFIX = "gantry_audit_"
SECRET = "…"
"""What stands for a secret."""
SQL = "sql"
"""The door of whoever changes rows past Gantry."""
SAID = ("who_id", "on_behalf_of", "source", "request_id", "reason")


@dataclass(frozen=True)
class Dialect:
    """How a database says what the triggers need. `{}` is the expression that is meant."""

    differs: str
    secret: str
    value_of: tuple[tuple[type[models.Field[Any, Any]], str], ...]
    """A value as its JSON is made of, by the kind of its column: the first that fits."""
    as_json: str
    whole: str
    """An object of names and values."""
    together: str
    """An object of the names `c` and their JSON, in several rows."""
    empty: str
    said: str
    at: str
    now: str
    nobody: str
    identifier: str

    def value(self, watched: Watched, field: models.Field[Any, Any], row: str) -> str:
        """Return the value of a column, or what stands for a secret."""
        secret = field.name in watched.secret
        form = (
            self.secret if secret else next(form for kind, form in self.value_of if isinstance(field, kind))
        )
        return form.format(f'{row}."{field.column}"')


SQLITE = Dialect(
    differs="{} IS NOT {}",
    secret=f"CASE WHEN {{}} IS NOT NULL THEN '{SECRET}' END",
    value_of=(
        (JSONField, "json({})"),
        (models.BooleanField, "json(CASE {} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END)"),
        (models.Field, "{}"),
    ),
    as_json="json_quote({})",
    whole="json_object({})",
    together="json_group_object(c, json({}))",
    empty="'{}'",
    said="json_extract(said, '$.{}')",
    at="json_extract(said, '$.at')",
    now="strftime('%Y-%m-%d %H:%M:%f', 'now')",
    nobody="''",  # never asked for: without this process's functions SQLite refuses the change
    identifier="replace({}, '-', '')",
)
POSTGRESQL = Dialect(
    differs="{} IS DISTINCT FROM {}",
    secret=f"CASE WHEN {{}} IS NOT NULL THEN '{SECRET}'::text END",
    value_of=((models.Field, "{}"),),
    as_json="coalesce(to_jsonb({}), 'null'::jsonb)",
    whole="jsonb_build_object({})",
    together="jsonb_object_agg(c, {})",
    empty="'{}'::jsonb",
    said="said ->> '{}'",
    at="(said ->> 'at')::timestamp AT TIME ZONE 'UTC'",
    now="now()",
    nobody="session_user::text",
    identifier="replace({}::text, '-', '')",
)


# ---------------------------------------------------------------------------------- what a trigger writes


def changed(watched: Watched, event: str, says: Dialect) -> str:
    """Return a SELECT of what a row `was` and what it `became`; of an UPDATE the columns that differ, and how `many`."""
    if event == INSERTED:
        return f"SELECT {says.empty} AS was, {whole(watched, 'NEW', says)} AS became, 1 AS many"
    if event == DELETED:
        return f"SELECT {whole(watched, 'OLD', says)} AS was, {says.empty} AS became, 1 AS many"
    only, lines = dict(watched.only), []
    for field in watched.columns:
        old, new = (says.as_json.format(says.value(watched, field, row)) for row in ("OLD", "NEW"))
        differs = says.differs.format(f'OLD."{field.column}"', f'NEW."{field.column}"')
        if field.name in only:
            differs = f"({differs} AND {only[field.name]})"
        lines.append(f"SELECT '{field.name}' AS c, {old} AS o, {new} AS n, {differs} AS differs")
    return (
        f"SELECT {says.together.format('o')} AS was, {says.together.format('n')} AS became, count(*) AS many "
        f"FROM ({' UNION ALL '.join(lines)}) AS t WHERE differs"
    )


def whole(watched: Watched, row: str, says: Dialect) -> str:
    """Return all watched columns of a row as one JSON object."""
    pairs = (f"'{field.name}', {says.value(watched, field, row)}" for field in watched.columns)
    return says.whole.format(", ".join(pairs))


def insertion(watched: Watched, event: str, says: Dialect) -> str:
    """Return the INSERT of the record about a change of one row; it inserts none where nothing watched has changed."""
    row = "OLD" if event == DELETED else "NEW"
    object_id = watched.object_id or watched.model._meta.pk.column
    values = {
        "at": f"coalesce({says.at}, {says.now})",
        "who": f"coalesce({says.said.format('who')}, {says.nobody})",
        "door": f"coalesce({says.said.format('door')}, '{SQL}')",
        **{name: f"coalesce({says.said.format(name)}, '')" for name in SAID},
        "verb": f"'{VERBS[UPDATED if watched.object_type else event]}'",
        "object_type": f"'{watched.kind}'",
        "object_id": says.identifier.format(f"{row}.{object_id}"),
        "object_name": f"substr(coalesce({watched.name.format(row=row)}, ''), 1, 255)",
        "project_id": watched.project.format(row=row),
        "before": "was",
        "after": "became",
    }
    names = ", ".join(f'"{name}"' for name in values)
    return (
        f"INSERT INTO {RECORDS} ({names}) SELECT {', '.join(values.values())} "
        f"FROM (SELECT gantry_acting() AS said LIMIT 1) AS a, ({changed(watched, event, says)}) AS d WHERE many > 0"
    )


def event_of(watched: Watched, event: str) -> str:
    """Return the event of a trigger: an UPDATE of no watched column is none."""
    columns = ", ".join(f'"{field.column}"' for field in watched.columns)
    return f"{event} OF {columns}" if event == UPDATED else event


# ------------------------------------------------------------------------------------------ installing

ACTING = """CREATE OR REPLACE FUNCTION gantry_acting() RETURNS jsonb LANGUAGE sql STABLE AS $$
SELECT convert_from(decode(substring(current_query() from '^/\\* acting=([A-Za-z0-9+/=]+) \\*/'), 'base64'), 'UTF8')::jsonb
$$"""
"""Who acts, from the comment before the statement (`servers.audit.saying`); NULL where none is there."""


@dataclass(frozen=True)
class Trigger:
    """A trigger, and what makes it. Its name has a digest of what it does: one that did something else is another one."""

    name: str
    makes: tuple[str, ...]


def called(table: str, what: str, body: str) -> str:
    """Return the name of a trigger that does what `body` says."""
    return f"{PREFIX}{table}_{what}_{hashlib.sha256(body.encode()).hexdigest()[:8]}"


@cache
def triggers_of(vendor: str) -> tuple[Trigger, ...]:
    """Return all triggers that there should be, for this kind of database."""
    return tuple(on_postgresql() if vendor == "postgresql" else on_sqlite())


def on_sqlite() -> Iterator[Trigger]:
    for watched in WATCHED:
        for event in watched.events:
            yield sqlite_trigger(
                watched.table,
                event,
                f"AFTER {event_of(watched, event)} ON {watched.table} WHEN gantry_watches()",
                insertion(watched, event, SQLITE),
            )
    for table in (RECORDS, LINKS):
        for event in (UPDATED, DELETED):
            yield sqlite_trigger(
                table,
                event,
                f"BEFORE {event} ON {table} WHEN NOT gantry_cuts()",
                f"SELECT RAISE(ABORT, '{APPEND_ONLY}')",
            )


def sqlite_trigger(table: str, event: str, when: str, does: str) -> Trigger:
    name = called(table, event.lower(), when + does)
    return Trigger(name, (f"CREATE TRIGGER {name} {when} BEGIN {does}; END",))


def on_postgresql() -> Iterator[Trigger]:
    for watched in WATCHED:
        events = " OR ".join(event_of(watched, event) for event in watched.events)
        branches = " ".join(
            f"IF TG_OP = '{event}' THEN {insertion(watched, event, POSTGRESQL)}; END IF;"
            for event in watched.events
        )
        yield postgresql_trigger(
            watched.table, "changed", f"AFTER {events}", "ROW", f"{branches} RETURN NULL;"
        )
    refuses = (
        "IF coalesce((gantry_acting() ->> 'cuts')::boolean, false) THEN RETURN coalesce(NEW, OLD); END IF; "
        f"RAISE EXCEPTION '{APPEND_ONLY}' USING ERRCODE = 'integrity_constraint_violation';"
    )
    for table in (RECORDS, LINKS):
        yield postgresql_trigger(table, "changed", "BEFORE UPDATE OR DELETE", "ROW", refuses)
        yield postgresql_trigger(table, "emptied", "BEFORE TRUNCATE", "STATEMENT", refuses)


def postgresql_trigger(table: str, what: str, when: str, each: str, does: str) -> Trigger:
    name = called(table, what, when + does)
    return Trigger(
        name,
        (
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {does} END $$",
            f"CREATE TRIGGER {name} {when} ON {table} FOR EACH {each} EXECUTE FUNCTION {name}()",
        ),
    )


def installed() -> set[str]:
    """Return the names of our triggers that the database has."""
    query = (
        "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D'"
        if connection.vendor == "postgresql"
        else "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    )
    with connection.cursor() as cursor:
        cursor.execute(query)
        return {name for (name,) in cursor.fetchall() if name.startswith(PREFIX)}


def expected() -> set[str]:
    """Return the names of our triggers that there should be."""
    return {trigger.name for trigger in triggers_of(connection.vendor)}


def install() -> None:
    """Make all triggers anew, unless they are all there; none where a table is not, as before a migration made it."""
    if installed() == expected():
        return
    remove()
    if not {RECORDS, LINKS, *(each.table for each in WATCHED)} <= set(connection.introspection.table_names()):
        return
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(ACTING)
        for trigger in triggers_of(connection.vendor):
            for statement in trigger.makes:
                cursor.execute(statement)


def remove() -> None:
    """Remove our triggers, those of an older version too: a migration may rebuild a table beneath them."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":  # a trigger goes with its function
            cursor.execute(
                "SELECT oid::regprocedure FROM pg_proc WHERE starts_with(proname, %s) "
                "AND pronamespace = current_schema()::regnamespace",
                [PREFIX],
            )
            gone = [f"DROP FUNCTION {function} CASCADE" for (function,) in cursor.fetchall()]
        else:
            gone = [f'DROP TRIGGER "{name}"' for name in installed()]
        for statement in gone:
            cursor.execute(statement)
