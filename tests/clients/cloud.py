"""A running Gantry, as OpenStack's clients see it: the two command lines, and the library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.running import ROOT, Running, gantry

REASON = "the real clients are driven by: make clients"
openstack = pytest.importorskip("openstack", reason=REASON)
novaclient = pytest.importorskip("novaclient.client", reason=REASON)

T = TypeVar("T")
Version = tuple[int, int]

NEWEST = ""
VERSIONS = (NEWEST, "2.96", "2.30", "2.1")
"""What Gantry is told to stop at: the newest of all, what the last novaclient knows, two old ones."""
PATIENCE_S = 60.0
PROJECTS = {"admin": "admin", "martin": "shop", "rita": "shop"}


def parsed(version: str) -> Version:
    """Return a microversion that can be compared."""
    major, minor = version.split(".")
    return int(major), int(minor)


@dataclass(frozen=True)
class Cloud:
    """Where the clients go, and as whom."""

    running: Running

    def account(self, person: str = "admin") -> dict[str, str]:
        """Return who somebody is, in the words of the library."""
        return {
            "auth_url": f"{self.running.address}/identity",
            "username": person,
            "password": self.running.passwords[person],
            "project_name": PROJECTS[person],
            "user_domain_name": "Default",
            "project_domain_name": "Default",
            "region_name": "RegionOne",
        }

    def connect(self, person: str = "admin") -> Any:
        """Return a connection of the library."""
        return openstack.connect(load_yaml_config=False, load_envvars=False, **self.account(person))

    @cached_property
    def sdk(self) -> Any:
        """Return the admin's connection."""
        return self.connect()

    @cached_property
    def novaclient(self) -> Any:
        """Return the admin's client of the older library."""
        return novaclient.Client("2.1", session=self.sdk.session, region_name="RegionOne")

    @cached_property
    def newest(self) -> Version:
        """Return the newest microversion that the server says it speaks."""
        found = self.sdk.compute.get_endpoint_data().max_microversion
        return found[0], found[1]

    def needs(self, version: str) -> None:
        """Skip the test where the server is too old for what the client does."""
        if self.newest < parsed(version):
            stops = ".".join(map(str, self.newest))
            pytest.skip(f"the client needs microversion {version}, the server stops at {stops}")

    # ------------------------------------------------------------------------------- command lines

    def run(self, tool: str, *words: str, **changed: str) -> subprocess.CompletedProcess[str]:
        """Run a client as a shell would; `changed` are variables of its environment."""
        own = {f"OS_{name.upper()}": value for name, value in self.account().items()}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
        environment = {**kept, **own, "OS_IDENTITY_API_VERSION": "3", "PYTHONWARNINGS": "ignore", **changed}
        command = [str(Path(sys.executable).parent / tool), *words]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=2 * PATIENCE_S, check=False
        )

    def openstack(self, *words: str) -> Any:
        """Return what `openstack` answers, read from its JSON where it prints any."""
        shown = words[-1] in {"list", "show", "issue"} or {"list", "show", "create"} & set(words)
        done = self.run("openstack", *words, *(("-f", "json") if shown else ()))
        assert done.returncode == 0, f"openstack {' '.join(words)}: {done.stderr}"
        return json.loads(done.stdout) if shown else done.stdout

    def refusal(self, *words: str, **changed: str) -> str:
        """Return what `openstack` complains of."""
        done = self.run("openstack", *words, **changed)
        assert done.returncode != 0, f"openstack {' '.join(words)} was accepted: {done.stdout}"
        return done.stderr

    def nova(self, *words: str) -> str:
        """Return what `nova` prints."""
        done = self.run("nova", *words)
        assert done.returncode == 0, f"nova {' '.join(words)}: {done.stderr}"
        return done.stdout

    # ------------------------------------------------------------------------------------ servers

    def server(self, name: str) -> Any:
        """Return the admin's server of that name."""
        return self.sdk.compute.find_server(name, ignore_missing=False)

    def settled(self, server: Any, status: str = "ACTIVE") -> Any:
        """Return the server once nothing goes on with it."""
        return until(
            lambda: self.sdk.compute.get_server(server.id),
            lambda found: (found.status, found.task_state) == (status, None),
        )

    def moves(self, server: Any) -> list[Any]:
        """Return the server's migrations, the oldest first."""
        return sorted(self.sdk.compute.migrations(server_id=server.id), key=lambda move: move.id)

    def act(self, server: Any, body: dict[str, Any], version: str | None = None) -> Any:
        """Return the answer to an action that is posted as it stands."""
        path = f"/servers/{server.id}/action"
        return self.sdk.compute.post(path, json=body, microversion=version)


def until(look: Callable[[], T], is_good: Callable[[T], bool]) -> T:
    """Return what is seen as soon as it is good."""
    limit = time.monotonic() + PATIENCE_S
    while not is_good(seen := look()):
        assert time.monotonic() < limit, f"waited {PATIENCE_S:g} s; what is seen: {seen}"
        time.sleep(0.3)
    return seen


def param(version: str) -> Any:
    """Return a version as a parameter of tests; those of one version run one after the other."""
    name = version or "newest"
    return pytest.param(version, id=name, marks=pytest.mark.xdist_group(name))


@pytest.fixture(scope="session", params=[param(version) for version in VERSIONS])
def cloud(request: pytest.FixtureRequest) -> Iterator[Cloud]:
    """Return Gantry with one of the microversions as its newest."""
    with gantry(str(ROOT / ".venv/bin/python"), MAX_MICROVERSION=request.param) as running:
        yield Cloud(running)


at_newest = pytest.mark.parametrize("cloud", [param(NEWEST)], indirect=True, scope="session")
"""For what does not depend on the microversion."""
