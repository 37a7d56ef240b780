"""The facts that have to be the same on every machine: one row each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from django.conf import settings

from servers import migrations, policy, sealed_parameters
from servers.deployment.standing import Work
from servers.drivers.simulated.store import identity as fleet_identity
from servers.drivers.simulated.store import known_hosts
from servers.errors import ImageMissing, ImageStoreFault
from servers.images.local import LocalImageStore
from servers.models import ActionRecord, Host, Image
from servers.states import OPEN_ACTION_STATUSES, ImageStatus

Value = Any
"""JSON data that says nothing secret. None: it does not matter to this process."""

LOOKED_AT = 3
"""How many images, or sealed parameters, are tried before this process's value becomes the deployment's."""


def never(*given: Any) -> bool:
    return False


def another_one(here: Value, there: Value) -> str:
    return "it is another one"


@dataclass(frozen=True)
class Fact:
    """What the deployment has one of.

    `read` returns what this process has; it may take long, and writes nothing. `differs` says in words how two
    values differ. `lacks` returns whether the records know of something that this process does not have: then
    its value never becomes the deployment's. `is_newer(here, there)` returns whether the deployment is to follow
    this process. `make` returns the value of a process that sets the deployment's; it may write.
    """

    name: str
    title: str
    read: Callable[[], Value]
    remedy: str
    spoils: Work = Work.EVERYTHING
    differs: Callable[[Value, Value], str] = another_one
    lacks: Callable[[], bool] = never
    is_newer: Callable[[Value, Value], bool] = never
    make: Callable[[], Value] | None = None


# ------------------------------------------------------------------------------------------- version

ROOT = Path(__file__).resolve().parents[2]


@cache
def code_digest() -> str:
    """Return a digest of the code that this process has found at its start."""
    digest = hashlib.sha256()
    for room in ("project", "servers"):
        for path in sorted((ROOT / room).rglob("*.py")):
            digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@cache
def version() -> Value:
    """Return what tells two versions of the code apart, and which is the older one."""
    return {
        "version": settings.VERSION,
        "migration": max(each.name for each in iter_modules(migrations.__path__)),
        "code": code_digest(),
    }


def age(version: Value) -> tuple[list[int], str]:
    """Return what puts versions in order."""
    return [int(part) for part in version["version"].split(".") if part.isdigit()], version["migration"]


def versions_differ(here: Value, there: Value) -> str:
    if age(here) == age(there):
        return f"the same version {here['version']}, but other code"
    return f"version {here['version']} ({here['migration']}), and it has {there['version']} ({there['migration']})"


# ------------------------------------------------------------------------------- secret, settings, policy


@cache
def secret_digest(secret: str) -> str:
    """Return what tells two secrets apart. It is slow to compute, so that no weak one is guessed from the database."""
    return hashlib.scrypt(secret.encode(), salt=b"gantry deployment", n=2**14, r=8, p=1, dklen=16).hex()


def cannot_open() -> bool:
    """Return whether an open action has secret parameters that this process cannot read."""
    sealed = ActionRecord.objects.filter(status__in=OPEN_ACTION_STATUSES).exclude(sealed="")
    return any(
        not sealed_parameters.can_open(text) for text in sealed.values_list("sealed", flat=True)[:LOOKED_AT]
    )


def named(values: Mapping[str, Any]) -> Callable[[str], str]:
    return lambda name: repr(values[name]) if name in values else "not there"


def settings_differ(here: Value, there: Value) -> str:
    mine, theirs = named(here), named(there)
    names = sorted(name for name in {**here, **there} if mine(name) != theirs(name))
    return "; ".join(f"{name} is {mine(name)} here, and {theirs(name)} there" for name in names)


def rules_differ(here: Value, there: Value) -> str:
    return "its file says something else of " + ", ".join(
        sorted(rule for rule in {**here, **there} if here.get(rule) != there.get(rule))
    )


# --------------------------------------------------------------------------------------------- stores


def image_store() -> Value:
    """Return the identity that is found in the image store; that of a folder is None before it has one."""
    if settings.IMAGES == "glance":
        return {"kind": "glance", "identity": settings.GLANCE_URL}
    try:
        return {"kind": "folder", "identity": LocalImageStore(settings.IMAGE_DIR).identity()}
    except ImageStoreFault as fault:
        return {"kind": "folder", "identity": None, "fault": str(fault)}


def make_image_store() -> Value:
    """Return the identity of the image store; give a folder one that has none."""
    if settings.IMAGES == "glance":
        return image_store()
    return {"kind": "folder", "identity": LocalImageStore(settings.IMAGE_DIR).identify()}


def stores_differ(here: Value, there: Value) -> str:
    if here["kind"] != there["kind"]:
        return f"a {here['kind']}, and it has a {there['kind']}"
    if "fault" in here:
        return f"it cannot be read: {here['fault']}"
    if here["identity"] is None:
        return f"{settings.IMAGE_DIR} is no image store, or not the one that was mounted there"
    return f"{settings.IMAGE_DIR} is another one: {here['identity']}, and it has {there['identity']}"


def is_missing_images() -> bool:
    """Return whether images are recorded that this process does not find in its store."""
    if settings.IMAGES == "glance":
        return False
    kept = Image.objects.filter(status=ImageStatus.ACTIVE, sha256__gt="").order_by("-created_at")
    try:
        for image in kept.values_list("pk", flat=True)[:LOOKED_AT]:
            LocalImageStore(settings.IMAGE_DIR).look(image)
    except (ImageMissing, ImageStoreFault):
        return True
    return False


def simulated_fleet() -> Value:
    """Return the identity of the simulated fleet's store, None when no simulated host is recorded."""
    if not Host.objects.filter(driver="simulated").exists():
        return None
    return fleet_identity(settings.SIMULATED_FLEET) or "no store"


def is_missing_hosts() -> bool:
    """Return whether simulated hosts with servers are recorded that this process does not find in its store."""
    kept = Host.objects.filter(driver="simulated", servers__isnull=False).values_list("name", flat=True)
    return not set(kept) <= known_hosts(settings.SIMULATED_FLEET)


FACTS = (
    Fact(
        "version",
        "the version of Gantry",
        version,
        "Bring this machine to the version of the deployment, and start it again.",
        differs=versions_differ,
        is_newer=lambda here, there: age(here) > age(there),
    ),
    Fact(
        "settings",
        "the configuration",
        lambda: settings.SAME_EVERYWHERE,
        "Set the variables alike on every machine, and start again what differs.",
        differs=settings_differ,
    ),
    Fact(
        "secret_key",
        "SECRET_KEY",
        lambda: secret_digest(settings.SECRET_KEY),
        "Give every machine the same SECRET_KEY, and start this one again.",
        lacks=cannot_open,
    ),
    Fact(
        "policy",
        "the policy",
        lambda: policy.in_force().overridden(),
        "Give every machine the same policy file.",
        differs=rules_differ,
    ),
    Fact(
        "image_store",
        "the image store",
        image_store,
        "Mount the deployment's image store, and let IMAGE_DIR name it.",
        spoils=Work.IMAGES,
        differs=stores_differ,
        lacks=is_missing_images,
        make=make_image_store,
    ),
    Fact(
        "simulated_fleet",
        "the store of the simulated fleet",
        simulated_fleet,
        "Let SIMULATED_FLEET name the deployment's.",
        lacks=is_missing_hosts,
    ),
)
