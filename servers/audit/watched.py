"""Which tables and columns the audit trail watches, and which it does not, each with the reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import models

from servers.models import (
    ActionEvent,
    ActionRecord,
    Aggregate,
    Allocation,
    ApplicationCredential,
    AuditLink,
    AuditRecord,
    DeploymentFact,
    Divergence,
    Domain,
    FederatedIdentity,
    Flavor,
    Host,
    IdempotencyKey,
    Image,
    KnownAddress,
    LoginFailures,
    Member,
    Membership,
    Migration,
    NetworkInterface,
    Project,
    ReconcilePass,
    SecondFactor,
    Server,
    ServerDisk,
    ServerGroup,
    StoragePool,
    Token,
    User,
    Worker,
)
from servers.states import ActionStatus

ENDED = (ActionStatus.SUCCEEDED, ActionStatus.FAILED, ActionStatus.CANCELLED, ActionStatus.UNKNOWN)
_HAS_ENDED = "NEW.status IN ({})".format(", ".join(f"'{status}'" for status in ENDED))

INSERTED, UPDATED, DELETED = "INSERT", "UPDATE", "DELETE"
EVERYTHING = (INSERTED, UPDATED, DELETED)


@dataclass(frozen=True)
class Watched:
    """A table that is watched.

    All its columns are, but those that `without` names. Of a `secret` one is written that it has changed, not what
    it is. `name` is the column, or the SQL on the row `{row}`, that names the object. A part of another object is
    written as a change of that: `object_type`, `object_id`. `only` restricts when a column's change counts, as SQL.
    """

    model: type[models.Model]
    without: frozenset[str] = frozenset()
    secret: frozenset[str] = frozenset()
    name: str = "{row}.name"
    project: str = "''"
    object_type: str = ""
    object_id: str = ""
    only: tuple[tuple[str, str], ...] = ()
    events: tuple[str, ...] = EVERYTHING

    @property
    def table(self) -> str:
        return self.model._meta.db_table

    @property
    def kind(self) -> str:
        """Return the word for its objects, by which records name them."""
        return self.object_type or str(self.model._meta.verbose_name)

    @property
    def columns(self) -> list[models.Field[Any, Any]]:
        """Return the columns that are watched: all concrete ones but the primary key and those left out."""
        fields: Iterable[Any] = self.model._meta.concrete_fields
        return [f for f in fields if not f.primary_key and f.name not in self.without]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NAME_OF = "(SELECT name FROM {table} WHERE id = {{row}}.{column})"
_USER = _NAME_OF.format(table="servers_user", column="user_id")
_PROJECT = _NAME_OF.format(table="servers_project", column="project_id")
_HOST = _NAME_OF.format(table="servers_host", column="host_id")
_OF_SERVER = "(SELECT name FROM servers_server WHERE uuid = {row}.server_id)"

WATCHED = (
    Watched(Domain, _words("security_stamp")),
    Watched(Project, _words("security_stamp")),
    Watched(User, _words("security_stamp last_login"), secret=_words("password")),
    Watched(
        Membership,
        name=f"{_USER} || ' is ' || {{row}}.role || ' of ' || coalesce({_PROJECT}, 'the system')",
        project="coalesce({row}.project_id, '')",
    ),
    Watched(
        ApplicationCredential,
        _words("memberships"),
        secret=_words("secret_hash"),
        project="{row}.project_id",
    ),
    Watched(
        Token,
        _words("digest mark memberships made_from roles methods issued_at expires_at"),
        name=_USER,
        project="coalesce({row}.project_id, '')",
        object_id="audit_id",
        events=(UPDATED,),
    ),
    Watched(SecondFactor, _words("last_step failures made_at"), secret=_words("sealed recovery"), name=_USER),
    Watched(FederatedIdentity, name=_USER),
    Watched(
        Host,
        _words("heartbeat_at generation created_at updated_at"),
    ),
    Watched(StoragePool, _words("capacity_gb")),
    Watched(Aggregate, _words("created_at")),
    Watched(Host.aggregates.through, name=_HOST, object_type="host", object_id="host_id"),
    Watched(StoragePool.hosts.through, name=_HOST, object_type="host", object_id="host_id"),
    Watched(Flavor),
    Watched(ServerGroup, project="{row}.project_id"),
    Watched(
        Server,
        _words("revision updated_at task_state progress power_state seen_at created_at launched_at number"),
        project="{row}.project_id",
    ),
    Watched(
        ServerDisk,
        _words("used_bytes server"),
        name=_OF_SERVER,
        object_type="server",
        object_id="server_id",
    ),
    Watched(NetworkInterface, _words("server"), name=_OF_SERVER, object_type="server", object_id="server_id"),
    Watched(
        Image,
        _words("revision updated_at created_at definition size_bytes virtual_size_bytes discarded_at"),
        project="{row}.project_id",
    ),
    Watched(
        ActionRecord,
        _words(
            "definition exclusive memo steps step progress_percent attempt tries futile last_progress worker"
            " lease_until due_at queue_class waits_for_host created_at started_at updated_at finished_at"
            " former_vm_state former_power_state source_host sealed user_id user_name project_id result verdict"
        ),
        name=f"{{row}}.slug || ' of ' || coalesce({_OF_SERVER}, {{row}}.request_id)",
        project="{row}.project_id",
        only=(
            ("status", _HAS_ENDED),
            ("message", _HAS_ENDED),
            ("error_code", _HAS_ENDED),
            ("error_text", _HAS_ENDED),
            ("migration", "1 = 0"),
            ("image", "1 = 0"),
        ),
        events=(INSERTED, UPDATED),
    ),
    Watched(DeploymentFact, _words("set_at set_by")),
)

UNWATCHED: dict[type[models.Model], str] = {
    AuditRecord: "the trail itself, which nobody changes",
    AuditLink: "the chain of the trail",
    ActionEvent: "a part of an action, which is written at its acceptance and its end",
    Migration: "a part of an action; where the guest is, is a column of its server",
    Allocation: "follows from servers and their moves",
    Worker: "who is alive",
    Member: "who is alive, and what it has",
    IdempotencyKey: "an answer that is kept for a repeat",
    LoginFailures: "what was counted of logins; letting somebody in again is noted by its command",
    KnownAddress: "what was counted of logins",
    Divergence: "what was seen; putting it right is an action",
    ReconcilePass: "what was seen",
}
"""Tables that are not watched, with the reason."""
