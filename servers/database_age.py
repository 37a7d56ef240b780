"""Whether code and database belong together: what cannot work is refused at the start, with one sentence."""

from __future__ import annotations

from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader

from servers.errors import StrangeDatabase
from servers.outage import is_outage

OURS = "servers"
SHOWN = 3
NEWER = (
    "The database is newer than this Gantry: it has been through {names}, which this version does not have. "
    "Start the version that made it, or name another database (DATABASE_URL, DATA_DIR)."
)
BROKEN = (
    "The database cannot be brought up to date: by its own account it has {names}, but it has not. Those that were "
    "made before 23 November 2026, 13:15, are like that: name another one (DATABASE_URL, DATA_DIR), and let "
    "manage.py discover read your hosts in again."
)
OLDER = "The database is older than this Gantry: it has not been through {names}. Bring it up with manage.py migrate."


def refuse_strange_database(*, may_be_older: bool = False) -> None:
    """Do nothing where this code can work with the database. Raises StrangeDatabase, with the reason.

    `may_be_older` is for a caller that brings the database up. One that is away is no stranger: who needs it meets
    it later.
    """
    try:
        reason = strangeness() or (None if may_be_older else arrears())
    except Error as error:
        if not is_outage(error):
            raise
        return
    if reason is not None:
        raise StrangeDatabase(reason)


def strangeness() -> str | None:
    """Return why this code can do nothing with the database, or None."""
    loader = MigrationLoader(connection)
    applied = {key for key in loader.applied_migrations if key[0] == OURS}
    unknown = applied - loader.disk_migrations.keys()
    if unknown:
        return NEWER.format(names=", ".join(sorted(name for _, name in unknown)))
    missing = promised_tables(loader, applied) - set(connection.introspection.table_names())
    return BROKEN.format(names=", ".join(sorted(missing))) if missing else None


def arrears() -> str | None:
    """Return what the database has to be brought up with first, or None."""
    missing = pending()
    if not missing:
        return None
    shown = missing if len(missing) <= SHOWN else [*missing[:SHOWN], f"{len(missing) - SHOWN} more"]
    return OLDER.format(names=", ".join(shown))


def pending() -> list[str]:
    """Return the names of the migrations that the database has not been through, as `app.name`, sorted."""
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return sorted(f"{migration.app_label}.{migration.name}" for migration, _ in plan)


def promised_tables(loader: MigrationLoader, applied: set[tuple[str, str]]) -> set[str]:
    """Return the tables that are there after these migrations."""
    state = loader.project_state(
        sorted(key for key in applied if key in loader.graph.nodes)
    )  # others are replaced
    ours = [model for (app, _), model in state.models.items() if app == OURS]
    return {
        str(model.options.get("db_table") or f"{OURS}_{model.name_lower}")
        for model in ours
        if model.options.get("managed", True) and not model.options.get("proxy")
    }
