"""Who there is: users, domains, projects, memberships, and what they log in with."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, ClassVar, NoReturn, TypeVar

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.db import models, transaction
from django.db.models import Case, F, Q, Value, When
from django.db.models.expressions import Combinable
from django.utils.crypto import constant_time_compare, salted_hmac

from servers import clock

M = TypeVar("M", bound=models.Model)


def new_id() -> str:
    """Return an identifier as Keystone makes them: 32 hexadecimal digits."""
    return uuid.uuid4().hex


class MembershipRole(models.TextChoices):
    ADMIN = "admin"
    MANAGER = "manager"
    MEMBER = "member"
    READER = "reader"


class SwitchedRows(models.QuerySet[M]):
    """Rows that can be switched off: whichever way their switch is written, the stamp is written with it."""

    def update(self, **fields: Any) -> int:
        return super().update(**fields, **self.model.stamped(fields))  # type: ignore[attr-defined]

    def bulk_create(self, objs: Iterable[M], *args: Any, **kwargs: Any) -> list[M]:
        """Make rows; refuse to write over those that are there. Raises TypeError."""
        if kwargs.get("update_conflicts"):
            raise TypeError(
                f"A {self.model._meta.verbose_name} is not written over: what it ends would go on."
            )
        return super().bulk_create(objs, *args, **kwargs)


class Switched(models.Model):
    """A row that can be switched off, by the field that `switch` names.

    Whatever is proven while it is on carries `security_stamp`. The database renews the stamp in the statement that
    turns the switch, so switching it on again revives nothing.
    """

    switch: ClassVar[str] = "enabled"
    security_stamp = models.CharField(max_length=32, default=new_id, editable=False)

    class Meta:
        abstract = True

    @classmethod
    def stamped(cls, fields: dict[str, Any]) -> dict[str, Combinable]:
        """Return what is to be written besides these fields: a new stamp in each row whose switch they turn."""
        if cls.switch not in fields:
            return {}
        turned = ~Q(**{cls.switch: fields[cls.switch]})
        return {"security_stamp": Case(When(turned, then=Value(new_id())), default=F("security_stamp"))}

    def save(self, *args: Any, **options: Any) -> None:
        """Save the row; what it then has for a stamp is read when it is next asked for."""
        written = options.get("update_fields")
        if self._state.adding or (written is not None and self.switch not in written):
            super().save(*args, **options)
            return
        if written is not None:
            options["update_fields"] = {*written, "security_stamp"}
        self.security_stamp = self.stamped({self.switch: getattr(self, self.switch)})["security_stamp"]
        try:
            super().save(*args, **options)
        finally:
            del self.__dict__["security_stamp"]


class Domain(Switched):
    """A name space of users and projects; there is always one, called Default."""

    id = models.CharField(primary_key=True, max_length=64, default=new_id)
    name = models.CharField(max_length=64, unique=True)
    enabled = models.BooleanField(default=True)

    objects = SwitchedRows.as_manager()

    def __str__(self) -> str:
        return self.name


class Project(Switched):
    """Owns servers."""

    id = models.CharField(primary_key=True, max_length=64, default=new_id)
    name = models.CharField(max_length=64)
    domain = models.ForeignKey(Domain, on_delete=models.PROTECT, related_name="projects")
    description = models.TextField(blank=True)
    enabled = models.BooleanField(default=True)

    objects = SwitchedRows.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["domain", "name"], name="project_name_in_domain")]
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def is_usable(self) -> bool:
        """Return whether anybody may act for it: it and its domain are enabled."""
        return self.enabled and self.domain.enabled

    @property
    def stamps(self) -> list[str]:
        """Return what a proof for the project carries; another list when it or its domain was switched off since."""
        return [self.pk, self.security_stamp, self.domain_id, self.domain.security_stamp]


class UserManager(BaseUserManager["User"]):
    """Makes users."""

    def get_queryset(self) -> SwitchedRows[User]:
        return SwitchedRows(self.model, using=self._db)

    def create_user(self, name: str, password: str | None = None, **fields: object) -> User:
        """Return a new user of the default domain, unless `domain` says otherwise."""
        if "domain" not in fields:
            fields.setdefault("domain_id", "default")
        user = self.model(name=name, **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, name: str, password: str | None = None, **fields: object) -> User:
        """Return a new user who may log in to the console; what he may do there is a matter of his roles."""
        return self.create_user(name, password, is_staff=True, **fields)


class User(Switched, AbstractBaseUser):
    """A person or a program. What it may do follows from its memberships, not from Django's permissions."""

    id = models.CharField(primary_key=True, max_length=64, default=new_id)
    name = models.CharField(max_length=255, unique=True)
    domain = models.ForeignKey(Domain, on_delete=models.PROTECT, related_name="users")
    email = models.EmailField(blank=True)
    default_project = models.ForeignKey(
        Project, null=True, blank=True, on_delete=models.SET_NULL, related_name="default_of"
    )
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=True, help_text="May log in to the console.")

    USERNAME_FIELD = "name"
    switch = "is_active"
    objects = UserManager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def get_username(self) -> str:
        return self.name

    @property
    def may_log_in(self) -> bool:
        """Return whether the user may prove who he is: he and his domain are enabled."""
        return self.is_active and self.domain.enabled

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """Return what a session or a token carries of its user; it ends when this is another one.

        Django compares it for sessions. The password, or a switch that was turned, makes it another one.
        """
        proof = [self.password, self.security_stamp, self.domain_id, self.domain.security_stamp]
        return salted_hmac(
            "servers.User.login", "/".join(proof), secret=secret, algorithm="sha256"
        ).hexdigest()

    def end_logins(self) -> None:
        """End every session and token of the user, who may log in again; application credentials go on."""
        self.security_stamp = new_id()
        type(self).objects.filter(pk=self.pk).update(security_stamp=self.security_stamp)

    def has_perm(self, perm: str, obj: object = None) -> bool:
        """Return whether the user is admin of a project: the console's pages ask the policy for the rest."""
        return self.is_active and self.is_operator

    def has_module_perms(self, app_label: str) -> bool:
        return self.is_active

    @property
    def is_superuser(self) -> bool:
        """Return whether Django may treat the user as all-powerful: an active admin."""
        return self.is_active and self.is_operator

    @property
    def is_operator(self) -> bool:
        """Return whether the user has the role admin in any project, or in the system."""
        return self.memberships.filter(role=MembershipRole.ADMIN).exists()


class MembershipRows(models.QuerySet["Membership"]):
    """Memberships, which are given and taken away, and never changed: what rests on one names its id."""

    def update(self, **fields: Any) -> NoReturn:
        raise TypeError("A membership is given or taken away, never changed.")

    def bulk_create(self, objs: Iterable[Membership], *args: Any, **kwargs: Any) -> list[Membership]:
        """Make rows; refuse to write over those that are there. Raises TypeError."""
        if kwargs.get("update_conflicts"):
            self.update()
        return super().bulk_create(objs, *args, **kwargs)


class Membership(models.Model):
    """A role of a user in a project; without a project, in the system. It is given or taken away, never changed."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    project = models.ForeignKey(
        Project, null=True, blank=True, on_delete=models.CASCADE, related_name="memberships"
    )
    role = models.CharField(max_length=16, choices=MembershipRole.choices)
    by_sign_on = models.BooleanField(default=False, editable=False)
    """Whether it follows the user's groups at the sign-on provider: it is taken away with the group."""

    objects = MembershipRows.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "project", "role"], name="membership_once"),
            models.UniqueConstraint(
                fields=["user", "role"], condition=models.Q(project=None), name="system_membership_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} is {self.role} of {self.project or 'the system'}"

    def save(self, *args: Any, **options: Any) -> None:
        """Give the role. Raises TypeError for a membership that is there already."""
        if not self._state.adding:
            type(self).objects.all().update()
        super().save(*args, **{**options, "force_insert": True})

    @classmethod
    def ids_of(cls, user_id: str, project_id: str | None) -> list[int]:
        """Return the ids of the user's memberships in the project; None is the system."""
        return sorted(cls.objects.filter(user=user_id, project=project_id).values_list("pk", flat=True))


def digest(secret: str) -> str:
    """Return what is kept of a token: its SHA-256. A token is random, so no salt and no slow hash is needed."""
    return hashlib.sha256(secret.encode()).hexdigest()


class Token(models.Model):
    """Proof of a login. Only its digest is kept.

    It names what it rests on: `mark` what its user, project and credential were like, `memberships` where its roles
    come from, `made_from` the audit id of the token that it was made from.
    """

    digest = models.CharField(primary_key=True, max_length=64)
    audit_id = models.CharField(max_length=32, default=new_id)
    made_from = models.CharField(max_length=32, blank=True, db_index=True, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tokens")
    project = models.ForeignKey(Project, null=True, on_delete=models.CASCADE, related_name="tokens")
    system_scope = models.BooleanField(default=False)
    roles = models.JSONField(default=list)
    memberships = models.JSONField(default=list, editable=False)
    methods = models.JSONField(default=list)
    application_credential = models.ForeignKey(
        "ApplicationCredential", null=True, on_delete=models.CASCADE, related_name="tokens"
    )
    mark = models.CharField(max_length=64, editable=False)
    issued_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    revoked_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"token of {self.user_id} until {self.expires_at:%Y-%m-%d %H:%M}"

    @classmethod
    def issue(
        cls, user: User, lifetime_s: int, *, parent: Token | None = None, **fields: Any
    ) -> tuple[Token, str]:
        """Return a new token and its secret, which cannot be had again.

        `user`, and the project and credential among `fields`, are as they were read for the proof: what was changed
        since has ended the token before it is made. So has the end of `parent`, from which it is made.
        """
        secret = "gantry-" + secrets.token_urlsafe(48)
        now = clock.now()
        token = cls(
            digest=digest(secret),
            user=user,
            issued_at=now,
            expires_at=now + timedelta(seconds=lifetime_s),
            made_from=parent.audit_id if parent else "",
            **fields,
        )
        token.mark = token.current_mark()
        if token.application_credential:
            token.memberships = token.application_credential.memberships
        elif not token.is_unscoped:
            token.memberships = Membership.ids_of(user.pk, token.project_id)
        with transaction.atomic():
            if parent is not None and not parent.lock():
                token.revoked_at = now
            token.save(force_insert=True)
        return token, secret

    @classmethod
    def find(cls, secret: str, at: datetime | None = None) -> Token | None:
        """Return the valid token with this secret, or None.

        It is not valid when it is unknown, expired or revoked, when its user, project, credential or a domain cannot
        be used, or when one of them is no longer what it was when the token was issued.
        """
        now = at or clock.now()
        token = (
            cls.objects.select_related(
                "user__domain", "project__domain", "application_credential__project__domain"
            )
            .filter(digest=digest(secret))
            .first()
        )
        return token if token is not None and token.is_valid(now) else None

    def is_valid(self, at: datetime) -> bool:
        """Return whether it lets somebody in: `find` says what it takes."""
        credential = self.application_credential
        return (
            self.expires_at > at
            and self.revoked_at is None
            and self.user.may_log_in
            and (self.project is None or self.project.is_usable)
            and (credential is None or credential.is_usable(at))
            and constant_time_compare(self.mark, self.current_mark())
        )

    def current_mark(self) -> str:
        """Return what the mark of a token would be that was issued now."""
        credential = self.application_credential
        projects = [self.project, credential.project if credential else None]
        stamps = [stamp for project in projects if project for stamp in project.stamps]
        return digest("/".join([self.user.get_session_auth_hash(), *stamps]))

    @property
    def is_unscoped(self) -> bool:
        """Return whether it is good for no project and not for the system."""
        return self.project_id is None and not self.system_scope

    @property
    def rests_on_roles(self) -> bool:
        """Return whether it ends when its memberships do: only a person's unscoped token needs none."""
        return not self.is_unscoped or self.application_credential_id is not None

    def lock(self) -> bool:
        """Return whether the token is not revoked; while the transaction lasts, it will not be."""
        mine = type(self).objects.select_for_update().filter(pk=self.pk, revoked_at=None)
        return mine.first() is not None

    def revoke(self) -> None:
        """End the token, and every token that was made from it."""
        now, ended = clock.now(), [self.audit_id]
        with transaction.atomic():
            type(self).objects.filter(pk=self.pk).update(revoked_at=now)
            while ended:
                made = type(self).objects.filter(made_from__in=ended, revoked_at=None)
                ended = list(made.select_for_update().values_list("audit_id", flat=True))
                made.filter(audit_id__in=ended).update(revoked_at=now)
        self.revoked_at = now


class ApplicationCredential(models.Model):
    """A secret with which a program logs in as its owner, with at most these roles, in one project.

    Its roles rest on the memberships that its owner had when he made it; one that is given later adds nothing.
    """

    id = models.CharField(primary_key=True, max_length=64, default=new_id)
    name = models.CharField(max_length=255)
    description = models.TextField(blank=True)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="application_credentials")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="application_credentials")
    roles = models.JSONField(default=list)
    memberships = models.JSONField(default=list, editable=False)
    secret_hash = models.CharField(max_length=255, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "name"], name="credential_name_of_user")]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **options: Any) -> None:
        """Save the credential; a new one rests on the memberships that its owner has now."""
        if self._state.adding:
            self.memberships = Membership.ids_of(self.user_id, self.project_id)
        super().save(*args, **options)

    def set_secret(self, secret: str | None = None) -> str:
        """Keep the hash of a new secret and return the secret, which cannot be had again."""
        secret = secret or secrets.token_urlsafe(48)
        self.secret_hash = make_password(secret)
        return secret

    def is_usable(self, at: datetime) -> bool:
        """Return whether anybody may act by it: its project can be used, and it has not expired."""
        return self.project.is_usable and (self.expires_at is None or self.expires_at > at)

    @classmethod
    def refuses_another(cls, user_id: str) -> str:
        """Return why the user gets no further credential, "" when he does."""
        most = settings.APPLICATION_CREDENTIAL_LIMIT
        has = cls.objects.filter(user_id=user_id).count()
        return "" if has < most else f"A user has at most {most} application credentials; delete one first."
