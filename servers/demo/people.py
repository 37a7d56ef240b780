"""Who there is in the demo: a user of every role, in three projects."""

from __future__ import annotations

from dataclasses import dataclass

from servers.demo.identifiers import id_of
from servers.models import Domain, Membership, MembershipRole, Project, User

ADMIN_PROJECT = "admin"
PROJECTS = {
    ADMIN_PROJECT: "where the admin tries things",
    "shop": "a shop on the web",
    "research": "long computations",
}


@dataclass(frozen=True)
class Person:
    """A user with one role in one project."""

    name: str
    role: MembershipRole
    project: str


PEOPLE = (
    Person("olga", MembershipRole.ADMIN, "shop"),
    Person("mandy", MembershipRole.MANAGER, "shop"),
    Person("martin", MembershipRole.MEMBER, "shop"),
    Person("rita", MembershipRole.READER, "shop"),
    Person("robert", MembershipRole.MEMBER, "research"),
)


def projects() -> dict[str, Project]:
    """Return the projects by name; make those that are not there."""
    domain, _ = Domain.objects.get_or_create(id="default", defaults={"name": "Default"})
    return {
        name: Project.objects.get_or_create(
            name=name, domain=domain, defaults={"id": id_of("project", name), "description": text}
        )[0]
        for name, text in PROJECTS.items()
    }


def add_people(passwords: dict[str, str]) -> None:
    """Make the users that are not there, each with his password."""
    known = projects()
    there = set(User.objects.filter(name__in=passwords).values_list("name", flat=True))
    for person in PEOPLE:
        if person.name in there:
            continue
        project = known[person.project]
        user = User.objects.create_superuser(
            person.name,
            passwords[person.name],
            id=id_of("user", person.name),
            default_project=project,
            email=f"{person.name}@example.org",
        )
        Membership.objects.create(user=user, project=project, role=person.role)


def owner_of(project: str) -> str:
    """Return the id of the user to whom the project's servers belong."""
    members = Membership.objects.filter(project__name=project, user__name__in=["admin", "martin", "robert"])
    return members.values_list("user_id", flat=True).first() or id_of("user", project)
