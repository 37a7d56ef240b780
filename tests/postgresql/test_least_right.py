"""Web and workers as different users, each in the sandbox of its unit, on roles of PostgreSQL that change no table.

What stands in docs/least-right.md is done here: users are numbers, credentials are files as systemd leaves them.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from ctypes.util import find_library
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.deploy.units import FOLDER
from tests.running import ROOT

WEB, WORK, GROUP, NOBODY = 61_001, 61_002, 61_000, 61_009
DEBIAN = "/usr/bin/python3"
LIMIT_S = 90.0
PASSWORD = "correct horse battery"


def python() -> str | None:
    """Return a Python that every user may run: this one, or Debian's of the same version."""
    version = f"import sys; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
    for path in (sys.executable, DEBIAN):
        if Path(path).exists() or path == sys.executable:
            try:
                done = subprocess.run([path, "-c", version], user=NOBODY, group=NOBODY, cwd="/", check=False)
            except OSError:
                continue
            if done.returncode == 0:
                return path
    return None


def missing() -> str:
    """Return why it cannot be played here, or nothing."""
    if os.getuid() != 0:
        return "only root starts processes of other users"
    if not (find_library("seccomp") and shutil.which("systemd-analyze")):
        return "libseccomp or systemd-analyze is not installed"
    return "" if python() else f"no Python {sys.version_info[:2]} that other users may run"


pytestmark = pytest.mark.skipif("CLUSTER" in os.environ and bool(missing()), reason=missing() or "not here")


class Site:
    """A database with two roles, and what root makes before anything runs."""

    def __init__(self, folder: Path) -> None:
        import psycopg  # noqa: PLC0415 (an extra)

        self.folder, self.python = folder, str(python())
        self.processes: list[subprocess.Popen[bytes]] = []
        self.url = urlsplit(os.environ["DATABASE_URL"])
        self.name = f"least_{secrets.token_hex(4)}"
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as root:
            for role in ("gantry_owner", "gantry"):
                root.execute(f"DROP ROLE IF EXISTS {role}")
                root.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
            root.execute(f"CREATE DATABASE {self.name} OWNER gantry_owner")
        with psycopg.connect(self.url._replace(path=f"/{self.name}").geturl(), autocommit=True) as root:
            for line in (ROOT / "deploy/postgresql/roles.sql").read_text().split(";"):
                if line.strip():
                    root.execute(line)
        folder.chmod(0o755)
        self.images = self.make("images", 0o2770, 0, GROUP)
        self.fleet = self.make("fleet", 0o2770, 0, GROUP)
        self.key = secrets.token_hex(32)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def make(self, name: str, mode: int, user: int, group: int) -> Path:
        path = self.folder / name
        path.mkdir()
        os.chown(path, user, group)
        path.chmod(mode)
        return path

    def environment(self, name: str, user: int, role: str) -> dict[str, str]:
        """Return what systemd would give: settings, a state directory, and a directory of credentials."""
        state, given = self.folder / name, self.folder / f"{name}.credentials"
        if not state.exists():
            self.make(name, 0o700, user, user)
            self.make(given.name, 0o500, user, user)
            place = f"{role}:{PASSWORD.replace(' ', '%20')}@{self.url.hostname}:{self.url.port}/{self.name}"
            texts = {
                "SECRET_KEY": self.key,
                "DATABASE_URL": f"postgres://{place}",
                "ADMIN_PASSWORD": PASSWORD,
            }
            for secret, text in texts.items():
                (given / secret).write_text(f"{text}\n")
                os.chown(given / secret, user, user)
                (given / secret).chmod(0o400)
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(state),
            "PYTHONPATH": sysconfig.get_path("purelib"),
            "DATA_DIR": str(state),
            "IMAGE_DIR": str(self.images),
            "SIMULATED_FLEET": str(self.fleet / "fleet.sqlite3"),
            "CREDENTIALS_DIRECTORY": str(given),
            "PUBLIC_URL": f"http://127.0.0.1:{self.port}",
            "PYTHONUNBUFFERED": "1",
        }

    def start(self, name: str, user: int, *words: str, unit: str = "", role: str = "gantry") -> Any:
        """Start manage.py as a user, in the sandbox of a unit where one is named."""
        confined = [self.python, "-m", "tests.deploy.sandbox", str(FOLDER / unit)] if unit else []
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [*confined, self.python, "-B", "manage.py", *words],
                cwd=ROOT,
                env=self.environment(name, user, role),
                user=user,
                group=user,
                extra_groups=[GROUP],
                umask=0o077,
                pass_fds=(self.listener.fileno(),),
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)
        return process

    def run(self, name: str, user: int, *words: str, role: str = "gantry") -> None:
        assert self.start(name, user, *words, role=role).wait(LIMIT_S) == 0, self.log(name)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def ask(self, method: str, path: str, body: Any = None, token: str = "") -> tuple[int, Any, bytes]:
        headers = {"Content-Type": "application/json", "X-Auth-Token": token}
        headers["OpenStack-API-Version"] = "compute 2.80"
        data = None if body is None else json.dumps(body).encode()
        address = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(address, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as answer:
            return answer.code, answer.headers, answer.read()

    def token(self) -> str:
        user = {"name": "admin", "domain": {"id": "default"}, "password": PASSWORD}
        scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
        identity = {"methods": ["password"], "password": {"user": user}}
        code, headers, said = self.ask(
            "POST", "/identity/v3/auth/tokens", {"auth": {"identity": identity, "scope": scope}}
        )
        assert code == 201, (said, self.log("web"))
        return str(headers["X-Subject-Token"])

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        self.listener.close()


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with TemporaryDirectory(prefix="least-right-") as folder:
        made = Site(Path(folder))
        try:
            made.run("owner", NOBODY, "migrate", "--verbosity=0", role="gantry_owner")
            made.run("web", WEB, "make_admin")
            made.run("web", WEB, "demo")
            (made.fleet / "fleet.sqlite3").chmod(0o660)
            made.start(
                "web", WEB, "serve", "--socket", str(made.listener.fileno()), unit="gantry-web@.service"
            )
            made.start("work", WORK, "work", unit="gantry-work.service")
            yield made
        finally:
            made.end()


def test_a_backup_of_the_workers_is_downloaded_and_deleted_by_the_web_server(site: Site) -> None:
    token = site.token()
    _, _, listed = site.ask("GET", "/v2.1/servers/detail?all_tenants=1&status=ACTIVE", token=token)
    servers = [
        s for s in json.loads(listed)["servers"] if s["OS-EXT-STS:task_state"] is None and not s["locked"]
    ]
    backup = {"createBackup": {"name": "least", "backup_type": "daily", "rotation": 1}}
    move = {"os-migrateLive": {"host": None, "block_migration": "auto"}}
    for body, some in ((backup, servers[:2]), (move, servers[2:10])):
        codes = [site.ask("POST", f"/v2.1/servers/{s['id']}/action", body, token)[0] for s in some]
        assert 202 in codes, codes
    image = until_there(lambda: whole_image(site, token), site)
    code, _, content = site.ask("GET", f"/image/v2/images/{image}/file", token=token)
    assert code == 200 and content
    kept = (site.images / image).stat()
    assert (kept.st_uid, kept.st_gid, stat.S_IMODE(kept.st_mode)) == (WORK, GROUP, 0o660)
    assert site.ask("DELETE", f"/image/v2/images/{image}", token=token)[0] == 204
    assert not (site.images / image).exists()
    until_there(lambda: moved(site, token), site)


def whole_image(site: Site, token: str) -> str:
    _, _, said = site.ask("GET", "/image/v2/images?name=least", token=token)
    return next((image["id"] for image in json.loads(said)["images"] if image["status"] == "active"), "")


def moved(site: Site, token: str) -> str:
    _, _, said = site.ask("GET", "/v2.1/os-migrations?migration_type=live-migration", token=token)
    return next((str(m["uuid"]) for m in json.loads(said)["migrations"] if m["status"] == "completed"), "")


def until_there(look: Any, site: Site) -> str:
    until = time.monotonic() + LIMIT_S
    while time.monotonic() < until:
        if found := look():
            return str(found)
        time.sleep(0.5)
    raise AssertionError(f"{site.log('web')}\n{site.log('work')}")


def test_neither_reads_what_the_other_keeps_and_no_one_else_reads_anything(site: Site) -> None:
    site.token()
    own = {
        name: [site.folder / name, site.folder / f"{name}.credentials/SECRET_KEY"] for name in ("web", "work")
    }
    for user, paths in (
        (WEB, own["work"]),
        (WORK, own["web"]),
        (NOBODY, [*own["web"], *own["work"], site.images]),
    ):
        for path in paths:
            done = subprocess.run(
                ["cat" if path.is_file() else "ls", str(path)],
                user=user,
                group=user,
                extra_groups=[GROUP] if user != NOBODY else [],
                capture_output=True,
                check=False,
            )
            assert done.returncode != 0 and b"Permission denied" in done.stderr, (user, path)


def test_the_role_of_web_and_workers_cannot_change_a_table(site: Site) -> None:
    process = site.start("web", WEB, "migrate", "servers", "zero", "--verbosity=0")
    assert process.wait(LIMIT_S) != 0
    assert "must be owner of" in site.log("web")


def test_both_end_when_they_are_told_to_and_have_warned_of_nothing(site: Site) -> None:
    site.token()
    running = [process for process in site.processes if process.poll() is None]
    assert len(running) == 2
    for process in running:
        process.send_signal(signal.SIGTERM)
    assert [process.wait(28) for process in running] == [0, 0]
    for name in ("web", "work"):
        assert "PermissionError" not in site.log(name) and "runs_as_root" not in site.log(name), site.log(
            name
        )
    assert "Traceback" not in site.log("work"), site.log("work")
