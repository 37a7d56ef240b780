"""People whom an OpenID provider knows: each is a user here, whose roles follow his groups there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import structlog
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction

from servers.acting import acting, become
from servers.errors import SignOnRefused, printable
from servers.models import FederatedIdentity, Membership, Project, User
from servers.models.identity import digest

log = structlog.get_logger(__name__)

FIRST_TIME = "signed on for the first time"
BY_GROUPS = "as the groups of the sign-on provider say"
LONGEST = 255
"""Characters of a subject (OpenID Connect Core 2), and of a user's name here."""
LONGEST_EMAIL = 254
NAMES = ("preferred_username", "email", "name", "sub")
"""The claims that may say what a new user is called, the best first."""

Role = tuple[str | None, str]
"""The id of a project, None for the system, and a role there."""


def admit(claims: dict[str, Any]) -> User:
    """Return the user of whom verified claims are, with the roles that his groups give now.

    He is found by issuer and subject, and made the first time. Raises SignOnRefused for whom no group gives a role, and
    for who is switched off here.
    """
    subject = claims["sub"]
    if not 0 < len(subject) <= LONGEST or printable(subject) != subject:
        raise SignOnRefused(reason="What the sign-on provider calls you cannot be kept here.")
    roles = roles_of(groups_in(claims))
    user = found(subject) or (made(subject, claims) if roles else None)
    if user is not None:
        become(who=user.name, who_id=user.pk, reason=BY_GROUPS)
        follow(user, roles)
    if user is None or not roles:
        log.warning("sign_on.no_group", subject=printable(subject, 100))
        raise SignOnRefused(reason="None of your groups gives you a role here. Ask whoever runs this Gantry.")
    if not (user.may_log_in and user.is_staff):
        log.warning("sign_on.switched_off", user=user.name)
        raise SignOnRefused(reason="Your account here is switched off.")
    return user


def groups_in(claims: dict[str, Any]) -> set[str]:
    """Return the groups that claims name: a list of texts, or one text."""
    said = claims.get(settings.OIDC_GROUPS_CLAIM)
    several = said if isinstance(said, list) else [said]
    return {group for group in several if isinstance(group, str)}


def roles_of(groups: set[str]) -> set[Role]:
    """Return the roles that groups give; a project that is not there gives none, and stands in the log."""
    granted = [grant for grant in settings.OIDC_GROUPS if grant.group in groups]
    names = {grant.project for grant in granted if grant.project}
    rows = Project.objects.filter(name__in=names).values_list("domain__name", "name", "pk") if names else ()
    known = {(domain, name): pk for domain, name, pk in rows}
    roles: set[Role] = {(None, grant.role) for grant in granted if not grant.project}
    for grant in granted:
        if grant.project and (grant.domain, grant.project) in known:
            roles.add((known[grant.domain, grant.project], grant.role))
        elif grant.project:
            log.warning("sign_on.project_missing", project=grant.project, domain=grant.domain)
    return roles


def found(subject: str) -> User | None:
    """Return whom the provider has named before by this subject; never somebody who only has the same name."""
    users = User.objects.select_related("domain")
    who = {"federated_identity__issuer": settings.OIDC_ISSUER, "federated_identity__subject": subject}
    return users.filter(**who).first()


def made(subject: str, claims: dict[str, Any]) -> User:
    """Return a new user without a password, under a free name. Raises SignOnRefused where none is free."""
    for name in names_for(subject, claims):
        try:
            with acting(who=name, reason=FIRST_TIME), transaction.atomic():
                user = User.objects.create_user(name, email=email_in(claims))
                FederatedIdentity.objects.create(user=user, issuer=settings.OIDC_ISSUER, subject=subject)
        except IntegrityError:  # the name is somebody's; or he comes by two ways at once
            user_there = found(subject)
            if user_there is None:
                continue
            return user_there
        log.info("sign_on.user_made", user=name)
        return user
    raise SignOnRefused(reason="There is an account of your name here already. Ask whoever runs this Gantry.")


def names_for(subject: str, claims: dict[str, Any]) -> Iterable[str]:
    """Return what a new user may be called: as he is there, or so that it is nobody else's."""
    said = (claims.get(claim) for claim in NAMES)
    name = next(text.strip() for text in said if isinstance(text, str) and text.strip())
    mark = digest(f"{settings.OIDC_ISSUER} {subject}")[:8]
    return printable(name, LONGEST), f"{printable(name, LONGEST - 9)}-{mark}"


def email_in(claims: dict[str, Any]) -> str:
    """Return the address that claims name, "" for none that is one."""
    email = claims.get("email")
    try:
        validate_email(email)
    except ValidationError:
        return ""
    return str(email) if len(str(email)) <= LONGEST_EMAIL else ""


def follow(user: User, roles: set[Role]) -> None:
    """Let the memberships that came of groups be those that groups give now; what was given by hand stays as it is."""
    with transaction.atomic():
        FederatedIdentity.objects.select_for_update().get(user=user)
        has = {(row.project_id, row.role): row for row in Membership.objects.filter(user=user)}
        for key, row in has.items():
            if row.by_sign_on and key not in roles:
                row.delete()
        for project, role in sorted(roles - has.keys(), key=str):
            Membership(user=user, project_id=project, role=role, by_sign_on=True).save()
