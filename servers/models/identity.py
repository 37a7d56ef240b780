"""Who there is: users, domains, projects, memberships, and what they log in with."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from datetime import datetime, timedelta

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.db import models

from servers import clock


def new_id() -> str:
    """Return an identifier as Keystone makes them: 32 hexadecimal digits."""
    return uuid.uuid4().hex


class MembershipRole(models.TextChoices):
    ADMIN = "admin"
    MANAGER = "manager"
    MEMBER = "member"
    READER = "reader"


class Domain(models.Model):
    """A name space of users and projects; there is always one, called Default."""

    id = models.CharField(primary_key=True, max_length=64, default=new_id)
    name = models.CharField(max_length=64, unique=True)
    enabled = models.BooleanField(default=True)

    def __str__(self) -> str:
        return self.name


class Project(models.Model):
    """Owns servers."""

    id = models.CharField(primary_key=True, max_length=64, default=new_id)
    name = models.CharField(max_length=64)
    domain = models.ForeignKey(Domain, on_delete=models.PROTECT, related_name="projects")
    description = models.TextField(blank=True)
    enabled = models.BooleanField(default=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["domain", "name"], name="project_name_in_domain")]
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class UserManager(BaseUserManager["User"]):
    """Makes users."""

    def create_user(self, name: str, password: str | None = None, **fields: object) -> User:
        """Return a new user of the default domain, unless `domain` says otherwise."""
        fields.setdefault("domain_id", "default")
        user = self.model(name=name, **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, name: str, password: str | None = None, **fields: object) -> User:
        """Return a new user who may log in to the console; what he may do there is a matter of his roles."""
        return self.create_user(name, password, is_staff=True, **fields)


class User(AbstractBaseUser):
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
    objects = UserManager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def get_username(self) -> str:
        return self.name

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


class Membership(models.Model):
    """A role of a user in a project; without a project, in the system."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    project = models.ForeignKey(
        Project, null=True, blank=True, on_delete=models.CASCADE, related_name="memberships"
    )
    role = models.CharField(max_length=16, choices=MembershipRole.choices)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "project", "role"], name="membership_once"),
            models.UniqueConstraint(
                fields=["user", "role"], condition=models.Q(project=None), name="system_membership_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} is {self.role} of {self.project or 'the system'}"


def digest(secret: str) -> str:
    """Return what is kept of a token: its SHA-256. A token is random, so no salt and no slow hash is needed."""
    return hashlib.sha256(secret.encode()).hexdigest()


class Token(models.Model):
    """Proof of a login. Only its digest is kept."""

    digest = models.CharField(primary_key=True, max_length=64)
    audit_id = models.CharField(max_length=32, default=new_id)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tokens")
    project = models.ForeignKey(Project, null=True, on_delete=models.CASCADE, related_name="tokens")
    system_scope = models.BooleanField(default=False)
    roles = models.JSONField(default=list)
    methods = models.JSONField(default=list)
    application_credential = models.ForeignKey(
        "ApplicationCredential", null=True, on_delete=models.CASCADE, related_name="tokens"
    )
    issued_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    revoked_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"token of {self.user_id} until {self.expires_at:%Y-%m-%d %H:%M}"

    @classmethod
    def issue(cls, user: User, lifetime_s: int, **fields: object) -> tuple[Token, str]:
        """Return a new token and its secret, which cannot be had again."""
        secret = "gantry-" + secrets.token_urlsafe(48)
        now = clock.now()
        token = cls.objects.create(
            digest=digest(secret),
            user=user,
            issued_at=now,
            expires_at=now + timedelta(seconds=lifetime_s),
            **fields,
        )
        return token, secret

    @classmethod
    def find(cls, secret: str, at: datetime | None = None) -> Token | None:
        """Return the valid token with this secret, or None.

        It is not valid when it is unknown, expired or revoked, or its user, project or a domain is disabled.
        """
        usable = models.Q(project=None) | models.Q(project__enabled=True, project__domain__enabled=True)
        return (
            cls.objects.select_related("user", "user__domain", "project", "project__domain")
            .filter(usable, digest=digest(secret), expires_at__gt=at or clock.now(), revoked_at=None)
            .filter(user__is_active=True, user__domain__enabled=True)
            .first()
        )


class ApplicationCredential(models.Model):
    """A secret with which a program logs in as its owner, with at most these roles, in one project."""

    id = models.CharField(primary_key=True, max_length=64, default=new_id)
    name = models.CharField(max_length=255)
    description = models.TextField(blank=True)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="application_credentials")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="application_credentials")
    roles = models.JSONField(default=list)
    secret_hash = models.CharField(max_length=255, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "name"], name="credential_name_of_user")]

    def __str__(self) -> str:
        return self.name

    def set_secret(self, secret: str | None = None) -> str:
        """Keep the hash of a new secret and return the secret, which cannot be had again."""
        secret = secret or secrets.token_urlsafe(48)
        self.secret_hash = make_password(secret)
        return secret

    @property
    def has_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= clock.now()
