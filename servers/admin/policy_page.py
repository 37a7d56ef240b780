"""The policy rules in force, and who passes each."""

from __future__ import annotations

from dataclasses import dataclass

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from servers import policy
from servers.admin.caller import OPERATORS, allows
from servers.admin.showing import render
from servers.policy import Context, implied_roles

ROLES = ("admin", "manager", "member", "reader")
OWN, FOREIGN = "own", "foreign"


@dataclass(frozen=True)
class RuleLine:
    """A rule, what it permits, and which roles pass: in the owning project, and in another one."""

    name: str
    description: str
    check: str
    passes: tuple[tuple[str, bool, bool], ...]
    is_default: bool


def rule_lines() -> list[RuleLine]:
    """Return a line for each rule."""
    in_force = policy.in_force()
    return [
        RuleLine(
            rule.name,
            rule.description,
            in_force.check_string(rule.name),
            tuple((role, *passes(in_force, rule.name, role)) for role in ROLES),
            in_force.check_string(rule.name) == rule.default.value,
        )
        for rule in sorted(in_force.rules.values(), key=lambda rule: rule.name)
    ]


def passes(in_force: policy.Policy, rule: str, role: str) -> tuple[bool, bool]:
    """Return whether somebody with the role passes on what his own project owns, and on what another one owns."""
    context = Context("somebody", OWN, implied_roles([role]))
    return in_force.allows(context, rule, OWN), in_force.allows(context, rule, FOREIGN)


def policy_page(request: HttpRequest, common: dict[str, object]) -> HttpResponse:
    """Return the page. Raises PermissionDenied."""
    if not allows(request, OPERATORS):
        raise PermissionDenied
    context = {
        **common,
        "title": "Policy rules",
        "rules": rule_lines(),
        "roles": ROLES,
        "file": policy.in_force().path,
        "file_is_there": policy.in_force().path.is_file(),
    }
    return render(request, "admin/servers/policy.html", context)
