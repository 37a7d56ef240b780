"""Two machines on one database: alike they share the work, and one that differs spoils nothing and says why.

Each has a data folder, and where this machine can a namespace of its own, in which the image store lies elsewhere.
MACHINES says how many actions they carry out together; the long run is MACHINES=500.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as configured
from django.db import connection

from servers.management.accounts import ensure_admin
from servers.models import ActionRecord, Image, Project, Server
from servers.states import OPEN_ACTION_STATUSES
from tests.running import ROOT
from tests.small_fleet import SmallFleet
from tests.soak.clients import BACKUP, LIVE, PLAIN, Answers, Client
from tests.soak.site import Machine

pytestmark = pytest.mark.django_db(transaction=True)

ACTIONS = int(os.environ.get("MACHINES", "40"))
AFTERWARDS = 12
LIMIT_S = 240.0
SERVERS = 20
ASKED = (BACKUP, PLAIN["reset-network"], LIVE, BACKUP, PLAIN["lock"], PLAIN["unlock"])


def until(condition: Callable[[], bool], what: str, limit_s: float = LIMIT_S) -> None:
    limit = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < limit, what
        time.sleep(0.2)


class Namespaced(Machine):
    """A machine in a mount namespace of its own, where the image store is mounted at another path."""

    def start(self) -> None:
        mounted = self.folder / "mounted"
        mounted.mkdir(parents=True, exist_ok=True)
        store = self.shared["IMAGE_DIR"]
        if can_mount():
            script = f'mount --bind "{store}" "{mounted}" && exec "$@"'
            self.before = ("unshare", "--mount", "--uts", "sh", "-c", script, "sh")
            self.shared = {**self.shared, "IMAGE_DIR": str(mounted)}
        super().start()


def can_mount() -> bool:
    """Return whether this machine lets us have namespaces."""
    tried = ["unshare", "--mount", "--uts", "true"]
    return shutil.which("unshare") is not None and subprocess.run(tried, check=False).returncode == 0


class Rest(Client):
    """Somebody who asks one machine by REST."""

    way = "REST"

    def act(self, server: Server, number: int) -> int:
        """Ask for one action; return the status code."""
        _, wire, value, _, _ = ASKED[number % len(ASKED)]
        return self.send("POST", f"/v2.1/servers/{server.pk}/action", {wire: value or None})[0]

    def bytes_of(self, image: Image) -> tuple[int, bytes]:
        """Return the status code and the bytes of an image."""
        code, text, _ = self.send("GET", f"/image/v2/images/{image.pk}/file")
        return code, text.encode(errors="surrogateescape")

    def get(self, path: str) -> tuple[int, str]:
        code, text, _ = self.send("GET", path)
        return code, text


@pytest.fixture
def site(fleet: SmallFleet, tmp_path: Path, settings: Any) -> Iterator[Site]:
    made = Site(fleet, tmp_path)
    yield made
    made.end()


class Site:
    """A fleet, and the machines that serve it."""

    def __init__(self, fleet: SmallFleet, folder: Path) -> None:
        self.fleet, self.folder = fleet, folder
        self.password = secrets.token_hex(16)
        images = folder / "images"
        images.mkdir(exist_ok=True)
        name = connection.settings_dict["NAME"]
        url = os.environ["DATABASE_URL"].rpartition("/")[0]
        self.shared = {
            "DATABASE_URL": f"{url}/{name}",
            "SIMULATED_FLEET": str(configured.SIMULATED_FLEET),
            "IMAGE_DIR": str(images),
            "SECRET_KEY": secrets.token_hex(32),
            "ADMIN_PASSWORD": self.password,
            "LEASE_TTL": "4",
            "WORKERS": "2",
        }
        os.environ["ADMIN_PASSWORD"] = self.password
        ensure_admin()
        project = Project.objects.get(name="admin")
        fleet.project = project
        self.servers = [fleet.add_server(f"s{n}", f"node{1 + n % 3}", memory_mb=64) for n in range(SERVERS)]
        Server.objects.update(project_id=project.pk)
        self.machines: list[Machine] = []

    def start(self, name: str, kind: type[Machine] = Machine, **other: str) -> Machine:
        """Start a machine, with other variables than the first one has."""
        code = other.pop("CODE", str(ROOT))
        machine = kind(self.folder / name, {**self.shared, **other}, ["up", "--empty"], code=Path(code))
        self.machines.append(machine)
        machine.start()
        return machine

    def client(self, machine: Machine) -> Rest:
        return Rest(machine, self.password, [], Answers(), 0, None)  # type: ignore[arg-type]

    def rest(self) -> None:
        """Wait until nothing is open."""
        until(
            lambda: not ActionRecord.objects.filter(status__in=OPEN_ACTION_STATUSES).exists(), "not at rest"
        )

    def end(self) -> None:
        for machine in self.machines:
            machine.end()


def ask(site: Site, count: int, *clients: Rest) -> None:
    """Ask for so many actions in turn; every answer is one that a healthy site gives."""
    accepted = number = 0
    while accepted < count:
        server = site.servers[number % len(site.servers)]
        code = clients[number % len(clients)].act(server, number)
        assert code in {202, 409}, code
        accepted += code == 202
        number += 1
        if code == 409:
            time.sleep(0.05)


def workers_of(machine: Machine) -> set[str]:
    """Return under which names the processes of a machine have carried actions out."""
    return {
        record.worker
        for record in ActionRecord.objects.exclude(worker="")
        if not record.worker.startswith("request")
    }


def test_machines_that_are_alike_share_the_work_and_see_each_others_backups(site: Site) -> None:
    one, two = site.start("one"), site.start("two", Namespaced)
    one.wait_until_up(), two.wait_until_up()
    clients = [site.client(one), site.client(two)]
    ask(site, ACTIONS, *clients)
    site.rest()
    assert set(ActionRecord.objects.values_list("status", flat=True)) == {"succeeded"}
    worked = {worker.partition(":")[0].rpartition("-")[0] for worker in workers_of(one)}
    assert len(worked) == 2, worked
    backups = list(Image.objects.filter(status="active", sha256__gt=""))
    assert backups
    for image in backups:
        for client in clients:
            code, content = client.bytes_of(image)
            assert (code, hashlib.sha256(content).hexdigest()) == (200, image.sha256)


def other_code(folder: Path) -> str:
    """Return a copy of the code in which something is different."""
    copy = folder / "code"
    for name in ("manage.py", "project", "servers", "templates"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            copy.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, copy / name)
    (copy / "servers" / "amounts.py").open("a").write("\n# changed\n")
    return str(copy)


def other_policy(folder: Path) -> str:
    path = folder / "other-policy.yaml"
    path.write_text(json.dumps({"os_compute_api:servers:index": "!"}))
    return str(path)


DIFFERENCES: dict[str, Callable[[Path], dict[str, str]]] = {
    "image_store": lambda folder: {"IMAGE_DIR": str(folder / "other-images")},
    "secret_key": lambda folder: {"SECRET_KEY": secrets.token_hex(32)},
    "policy": lambda folder: {"POLICY_FILE": other_policy(folder)},
    "settings": lambda folder: {"MAX_CONCURRENT_LIVE_MIGRATIONS": "7"},
    "version": lambda folder: {"CODE": other_code(folder)},
    "simulated_fleet": lambda folder: {"SIMULATED_FLEET": str(folder / "other-fleet.sqlite3")},
}


def test_machine_that_differs_spoils_nothing_and_says_why(site: Site, tmp_path: Path) -> None:
    one = site.start("one")
    one.wait_until_up()
    for fact, make in DIFFERENCES.items():
        two = site.start(fact, **make(tmp_path))
        stays_out(site, one, two, fact)
        two.end()
    assert set(ActionRecord.objects.values_list("status", flat=True)) == {"succeeded"}


def stays_out(site: Site, one: Machine, two: Machine, fact: str) -> None:
    """Check that the second machine stays out because of one fact, while the first one works."""
    mine, other = site.client(one), site.client(two)

    def shown() -> list[str]:
        members = json.loads(mine.get("/gantry/v1/deployment")[1])["deployment"]["members"]
        alive = [member for member in members if member["state"] == "stays out"]
        return [each["reason"] for member in alive for each in member["differences"] if each["fact"] == fact]

    until(lambda: len(shown()) == 2, f"web server and workers have not said that their {fact} differs")
    ask(site, AFTERWARDS, mine)
    site.rest()
    for image in Image.objects.filter(status="active", sha256__gt=""):
        code, content = mine.bytes_of(image)
        assert (code, hashlib.sha256(content).hexdigest()) == (200, image.sha256), fact
    assert other.exchange("GET", "/readyz", None, {})[0] == 503
    assert mine.exchange("GET", "/readyz", None, {})[0] == 200
    if fact != "image_store":
        assert other.exchange("GET", "/v2.1/servers", None, {"X-Auth-Token": mine.token})[0] == 503
    log = b"".join(path.read_bytes() for path in (two.folder / "log").glob("*.log"))
    assert b"deployment.differs" in log and fact.encode() in log
