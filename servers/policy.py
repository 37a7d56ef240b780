"""Who may do what: the rules with Nova's names and today's defaults, asked through oslo.policy.

Each action declares its own rules; the rules of what can only be read stand here. An operator changes any
of them in `policy.yaml` (or the old `policy.json`), which is read again when it changes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from oslo_config import cfg
from oslo_policy import opts
from oslo_policy import policy as oslo

from servers.errors import NotPermitted

log = structlog.get_logger(__name__)

ASKED_RULE = re.compile(r"rule:([^\s()]+)")
"""How a check asks for another rule."""


class Role(StrEnum):
    """Who passes by default; the value is the oslo.policy rule that says so."""

    ADMIN = "rule:context_is_admin"
    MANAGER = "rule:project_manager_or_admin"
    MEMBER = "rule:project_member_or_admin"
    READER = "rule:project_reader_or_admin"


@dataclass(frozen=True)
class Rule:
    """A named permission. `when` says for which parameters an action needs it; None means always."""

    name: str
    default: Role
    description: str = ""
    when: Callable[[Mapping[str, Any]], bool] | None = field(default=None, compare=False)


def has(parameter: str) -> Callable[[Mapping[str, Any]], bool]:
    """Return a condition that holds when `parameter` was given and is not null."""
    return lambda params: params.get(parameter) is not None


def lacks(parameter: str) -> Callable[[Mapping[str, Any]], bool]:
    """Return a condition that holds when `parameter` was not given, or is null."""
    return lambda params: params.get(parameter) is None


@dataclass(frozen=True)
class Context:
    """Who asks, for which project, through which door. Roles imply each other as in Keystone."""

    user_id: str
    project_id: str
    roles: frozenset[str]
    user_name: str = ""
    project_name: str = ""
    user_domain_id: str = ""
    project_domain_id: str = ""
    system_scope: str | None = None
    request_id: str = ""
    door: str = "rest"

    def credentials(self) -> dict[str, Any]:
        """Return what oslo.policy compares rules with."""
        return {
            "user_id": self.user_id,
            "project_id": self.project_id,
            "user_domain_id": self.user_domain_id,
            "project_domain_id": self.project_domain_id,
            "roles": sorted(self.roles),
            "system_scope": self.system_scope,
        }

    @classmethod
    def of(cls, credentials: Mapping[str, Any]) -> Context:
        """Return the context of whoever has these `credentials`; what no rule asks about is left empty."""
        return cls(**{**credentials, "roles": frozenset(credentials["roles"])})


_IMPLIED = {
    "admin": {"manager", "member", "reader"},
    "manager": {"member", "reader"},
    "member": {"reader"},
}


def implied_roles(roles: Iterable[str]) -> frozenset[str]:
    """Return `roles` with all that they imply: admin > manager > member > reader."""
    return frozenset(r for role in roles for r in {role, *_IMPLIED.get(role, set())})


_BASE = [
    oslo.RuleDefault("context_is_admin", "role:admin"),
    oslo.RuleDefault("project_manager_api", "role:manager and project_id:%(project_id)s"),
    oslo.RuleDefault("project_member_api", "role:member and project_id:%(project_id)s"),
    oslo.RuleDefault("project_reader_api", "role:reader and project_id:%(project_id)s"),
    oslo.RuleDefault("project_manager_or_admin", "rule:project_manager_api or rule:context_is_admin"),
    oslo.RuleDefault("project_member_or_admin", "rule:project_member_api or rule:context_is_admin"),
    oslo.RuleDefault("project_reader_or_admin", "rule:project_reader_api or rule:context_is_admin"),
]

READ_RULES = (
    Rule("os_compute_api:servers:index", Role.READER, "list servers"),
    Rule("os_compute_api:servers:detail", Role.READER, "list servers with details"),
    Rule("os_compute_api:servers:index:get_all_tenants", Role.ADMIN, "list the servers of all projects"),
    Rule("os_compute_api:servers:detail:get_all_tenants", Role.ADMIN, "list the servers of all projects"),
    Rule("os_compute_api:servers:show", Role.READER, "show a server"),
    Rule("os_compute_api:servers:show:host_status", Role.ADMIN, "show the state of a server's host"),
    Rule("os_compute_api:os-extended-server-attributes", Role.ADMIN, "show a server's host and names there"),
    Rule("os_compute_api:os-instance-actions:list", Role.READER, "list a server's actions"),
    Rule("os_compute_api:os-instance-actions:show", Role.READER, "show an action of a server"),
    Rule("os_compute_api:os-instance-actions:events", Role.ADMIN, "see tracebacks and hosts of events"),
    Rule("os_compute_api:os-instance-actions:events:details", Role.ADMIN, "see the details of events"),
    Rule("os_compute_api:os-migrations:index", Role.MANAGER, "list migrations"),
    Rule("os_compute_api:os-migrations:index:all_projects", Role.ADMIN, "list migrations of all projects"),
    Rule("os_compute_api:os-migrations:index:host", Role.ADMIN, "see the hosts of migrations"),
    Rule("os_compute_api:servers:migrations:index", Role.MANAGER, "list a server's live migrations"),
    Rule("os_compute_api:servers:migrations:index:host", Role.ADMIN, "see the hosts in that list"),
    Rule("os_compute_api:servers:migrations:show", Role.ADMIN, "show a live migration in progress"),
    Rule("os_compute_api:os-services:list", Role.ADMIN, "list compute services"),
    Rule("os_compute_api:os-services:update", Role.ADMIN, "enable, disable or force down a service"),
    Rule("os_compute_api:os-hypervisors:list", Role.ADMIN, "list hypervisors"),
    Rule("os_compute_api:os-hypervisors:list-detail", Role.ADMIN, "list hypervisors with details"),
    Rule("os_compute_api:os-hypervisors:show", Role.ADMIN, "show a hypervisor"),
    Rule("os_compute_api:os-hypervisors:uptime", Role.ADMIN, "ask how long a hypervisor has been up"),
    Rule("os_compute_api:os-availability-zone:list", Role.READER, "list availability zones"),
    Rule("os_compute_api:os-availability-zone:detail", Role.ADMIN, "list availability zones with hosts"),
    Rule("os_compute_api:os-hosts:list", Role.ADMIN, "list hosts"),
    Rule("os_compute_api:os-hosts:show", Role.ADMIN, "show a host"),
    Rule("os_compute_api:os-aggregates:index", Role.ADMIN, "list aggregates"),
    Rule("os_compute_api:os-flavor-extra-specs:index", Role.READER, "see a flavor's extra specs"),
    Rule("get_images", Role.READER, "list and show images"),
    Rule("download_image", Role.READER, "download an image"),
    Rule("modify_image", Role.MEMBER, "change an image's name, protection and properties"),
    Rule("delete_image", Role.MEMBER, "delete an image"),
    Rule("gantry:actions:list", Role.READER, "list actions of which it is not known what became"),
    Rule("gantry:actions:judge", Role.ADMIN, "judge an action of which it is not known what became"),
    Rule("gantry:workers:list", Role.ADMIN, "see who carries actions out, and which ones now"),
    Rule(
        "gantry:deployment:show",
        Role.ADMIN,
        "see what every machine has to agree about, and which ones differ",
    ),
    Rule("gantry:deployment:set", Role.ADMIN, "let what a machine has be the deployment's"),
    Rule("gantry:health", Role.ADMIN, "see what each check of the deployment's health has found"),
    Rule("gantry:metrics", Role.ADMIN, "read the metrics"),
    Rule("gantry:discover", Role.ADMIN, "read hosts and their guests into records"),
    Rule("gantry:audit", Role.ADMIN, "read what only operators see in the console"),
    Rule("gantry:audit:list", Role.ADMIN, "read the audit trail, and with it the history of everything"),
    Rule(
        "gantry:identity",
        Role.ADMIN,
        "change users, projects, domains, roles and foreign application credentials",
    ),
    Rule("gantry:fleet", Role.ADMIN, "change flavors, aggregates and storage pools in the console"),
)
"""What is no action: reading, and the few changes that Nova makes outside `POST …/action`."""


_declared: dict[str, Rule] = {rule.name: rule for rule in READ_RULES}


def declare(rules: Iterable[Rule]) -> None:
    """Make rules known, before or after the policy is loaded. One name has one default."""
    for rule in rules:
        known = _declared.setdefault(rule.name, rule)
        if known.default is not rule.default:
            raise ValueError(f"policy rule {rule.name} is declared with two defaults")
    if in_force.cache_info().currsize:
        in_force().register(rules)


class Policy:
    """The rules in force: the defaults, changed by the operator's file."""

    def __init__(self, policy_file: Path, *, enforce_new_defaults: bool = True) -> None:
        conf = cfg.ConfigOpts()
        conf([], project="gantry", default_config_files=[], default_config_dirs=[])
        opts._register(conf)
        conf.set_override("enforce_new_defaults", enforce_new_defaults, group="oslo_policy")
        conf.set_override("policy_dirs", [], group="oslo_policy")
        conf.set_override("policy_file", str(policy_file), group="oslo_policy")
        self.rules: dict[str, Rule] = {}
        self.path = policy_file
        self._enforcer = oslo.Enforcer(conf, policy_file=str(policy_file))
        self._enforcer.suppress_deprecation_warnings = True
        self._enforcer.register_defaults(_BASE)
        self._seen = self._enforcer.file_rules
        self.register(_declared.values())

    def register(self, rules: Iterable[Rule]) -> None:
        """Make `rules` known. The same name twice must mean the same rule."""
        for rule in rules:
            known = self.rules.get(rule.name)
            if known is None:
                self.rules[rule.name] = rule
                self._enforcer.register_default(
                    oslo.RuleDefault(rule.name, rule.default.value, rule.description or None)
                )
            elif known.default is not rule.default:
                raise ValueError(f"policy rule {rule.name} is declared with two defaults")

    def allows(self, context: Context, rule: str, project_id: str | None = None) -> bool:
        """Return whether `rule` lets `context` act on what `project_id` owns (None: its own project)."""
        target = {"project_id": project_id if project_id is not None else context.project_id}
        allowed = bool(self._enforcer.enforce(rule, target, context.credentials()))
        if self._enforcer.file_rules is not self._seen:  # oslo.policy has read the file
            self._seen = self._enforcer.file_rules
            for complaint in self.complaints():
                log.warning("policy.mistake", file=str(self.path), reason=complaint)
        return allowed

    def require(self, context: Context, rule: str, project_id: str | None = None) -> None:
        """Do nothing when `rule` allows it. Raises NotPermitted, which names the rule."""
        if not self.allows(context, rule, project_id):
            raise NotPermitted(rule=rule)

    def is_admin(self, context: Context) -> bool:
        """Return whether `context` acts on every project: it passes every lock and sees every server."""
        return bool(self._enforcer.enforce("context_is_admin", {}, context.credentials()))

    def complaints(self) -> list[str]:
        """Return what the operator's file says that cannot be meant, a sentence each.

        A rule that nobody asks, one that is empty, and one that asks for what is not there.
        """
        self._enforcer.load_rules()
        written = {name: str(rule.check_str or "") for name, rule in self._enforcer.file_rules.items()}
        asked = {name: set(ASKED_RULE.findall(text)) for name, text in written.items()}
        known = {*self.rules, *(base.name for base in _BASE)}
        used = known.union(*asked.values())
        return [
            *(f"There is no rule {name}{_meant(name, known)}" for name in sorted({*written} - used)),
            *(
                f'{name} is empty, so everybody passes: write "@" if that is meant.'
                for name in _empty(written)
            ),
            *(
                f"{name} asks for rule:{other}, which there is not, so nobody passes{_meant(other, known)}"
                for name in sorted(asked)
                for other in sorted(asked[name] - known - {*written})
            ),
        ]

    def overridden(self) -> dict[str, str]:
        """Return the checks that the operator's file sets, by rule, as it is now."""
        self._enforcer.load_rules()
        return {name: str(default.check) for name, default in sorted(self._enforcer.file_rules.items())}

    def check_string(self, rule: str) -> str:
        """Return the check of `rule` that is in force, as the policy file would write it."""
        self._enforcer.load_rules()
        return str(self._enforcer.rules[rule])


def _meant(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, known, n=1, cutoff=0.8)
    return f": is {close[0]} meant?" if close else "."


def _empty(written: Mapping[str, str]) -> list[str]:
    return sorted(name for name, text in written.items() if not text.strip())


POLICY_FILES = ("policy.yaml", "policy.json")
"""Looked for in DATA_DIR when POLICY_FILE names none; the first one wins, the second one is deprecated."""


@cache
def in_force() -> Policy:
    """Return the policy of this process; oslo.policy reads the file again when it changes."""
    if settings.POLICY_FILE:
        path = Path(settings.POLICY_FILE)
        if not path.is_file():
            raise ImproperlyConfigured(f"POLICY_FILE names {path}, which is not a file")
    else:
        places = [Path(settings.DATA_DIR) / name for name in POLICY_FILES]
        path = next((place for place in places if place.is_file()), places[0])
    return Policy(path, enforce_new_defaults=settings.ENFORCE_NEW_DEFAULTS)
