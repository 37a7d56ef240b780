"""Secrets and modes: what a whole Gantry tells other users of its machine, whatever their umask has let it do."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from servers.management.private_files import close_to_others
from tests.management.test_without_database import COMMANDS
from tests.running import ROOT, free_port, wait_until_ready

SECRETS = {
    "SECRET_KEY": "sentinel-key-" + "k" * 50,
    "ADMIN_PASSWORD": "sentinel-admin-password",
    "KEYSTONE_PASSWORD": "sentinel-keystone-password",
}
WRONG_PASSWORD = "sentinel-wrong-password"
MADE = {"MAKEFLAGS": f" -- ADMIN_PASSWORD={SECRETS['ADMIN_PASSWORD']}"}
"""What make gives to what it starts, besides the variable itself."""
OPEN = 0o022
"""The umask of most people."""


def environment(folder: Path) -> dict[str, str]:
    known = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**known, "DATA_DIR": str(folder), "PORT": str(free_port()), "WORKERS": "1", "LOG_LEVEL": "DEBUG"}


class Up:
    """`manage.py up` with secrets, started by somebody with an open umask."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder / "data", folder / "up.log"
        given = {**environment(self.folder), **SECRETS, **MADE}
        self.address = f"http://127.0.0.1:{given['PORT']}"
        command = [sys.executable, "manage.py", "up", "--empty"]
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=given, stdout=output, stderr=output, umask=OPEN
            )
        wait_until_ready(self.process, self.log)

    def log_in(self, body: bytes) -> str:
        """Log in by REST; return the token, "" where that is refused."""
        request = urllib.request.Request(
            f"{self.address}/identity/v3/auth/tokens", body, {"Content-Type": "application/json"}
        )
        try:
            return str(urllib.request.urlopen(request).headers["X-Subject-Token"])
        except urllib.error.HTTPError:
            return ""

    def children(self, at_least: int = 4) -> list[psutil.Process]:
        """Return the processes that were started: the web server's and the workers'."""
        limit = time.monotonic() + 60
        while len(found := psutil.Process(self.process.pid).children(recursive=True)) < at_least:
            assert time.monotonic() < limit
            time.sleep(0.2)
        return found


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    started = Up(tmp_path_factory.mktemp("up"))
    yield started
    started.process.send_signal(signal.SIGINT)
    started.process.wait(60)


@pytest.fixture(scope="module")
def tokens(up: Up) -> list[str]:
    """Return tokens of the admin, who has logged in with the body that is kept for that, and has been refused."""
    body = (up.folder / "login.json").read_bytes()
    password = SECRETS["ADMIN_PASSWORD"].encode()
    assert password in body
    assert up.log_in(body.replace(password, WRONG_PASSWORD.encode())) == ""
    found = [up.log_in(body), up.log_in(body)]
    assert all(found)
    for token in found:
        asked = urllib.request.Request(f"{up.address}/v2.1/servers", headers={"X-Auth-Token": token})
        assert json.load(urllib.request.urlopen(asked)) == {"servers": []}
    return found


def test_no_secret_stands_in_any_log(up: Up, tokens: list[str]) -> None:
    logs = [*sorted((up.folder / "log").glob("*")), up.log]
    assert {path.name for path in logs} >= {"web.log", "worker.log"}
    said = {path.name: path.read_text() for path in logs}
    greeting, said["up.log"] = (
        said["up.log"],
        said["up.log"].replace("Password  ", "").replace(SECRETS["ADMIN_PASSWORD"], "", 1),
    )
    assert greeting.count(SECRETS["ADMIN_PASSWORD"]) == 1, "the greeting tells it to who has started it"
    for name, text in said.items():
        for secret in (*SECRETS.values(), WRONG_PASSWORD, *tokens):
            assert secret not in text, name


def test_no_secret_stands_in_the_list_of_processes(up: Up, tokens: list[str]) -> None:
    for process in [psutil.Process(up.process.pid), *up.children()]:
        line = " ".join(process.cmdline())
        for secret in (*SECRETS.values(), *tokens):
            assert secret not in line


def test_password_of_the_admin_is_handed_to_no_child(up: Up) -> None:
    for child in up.children():
        assert SECRETS["ADMIN_PASSWORD"] not in "".join(child.environ().values()), child.cmdline()
        assert child.environ()["SECRET_KEY"] == SECRETS["SECRET_KEY"], "what it needs it has"


def test_everything_that_up_writes_is_its_users_alone(up: Up, tokens: list[str]) -> None:
    up.children()
    assert open_to_others(up.folder) == []


def open_to_others(folder: Path) -> list[str]:
    """Return the files and folders in a folder, itself included, that others may read, write or enter."""
    found = {path: path.lstat().st_mode for path in (folder, *folder.rglob("*"))}
    assert len(found) > 2
    return [f"{path} {stat.S_IMODE(mode):o}" for path, mode in found.items() if mode & 0o077]


def test_whatever_any_command_writes_is_its_users_alone(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    first = {"migrate": [], "demo": []}
    for name, words in {**first, **COMMANDS, "health": []}.items():
        if name == "up":
            continue  # above
        subprocess.run(
            [sys.executable, "manage.py", name, *(word for word in words if word != "--wait")],
            cwd=ROOT,
            env=environment(folder),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            umask=OPEN,
            check=False,
            timeout=120,
        )
    assert {path.name for path in folder.iterdir()} >= {"gantry.sqlite3", "fleet.sqlite3", "secret_key"}
    assert open_to_others(folder) == []


def test_other_web_server_than_ours_writes_nothing_open_either(tmp_path: Path) -> None:
    program = "import project.wsgi, pathlib, os; pathlib.Path(os.environ['DATA_DIR'], 'file').touch()"
    subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment(tmp_path / "data"), umask=OPEN, check=True
    )
    assert open_to_others(tmp_path / "data") == []


def test_folder_of_an_earlier_gantry_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "log").mkdir(parents=True)
    outside = tmp_path / "outside"
    for path in (folder / "gantry.sqlite3", folder / "log" / "web.log", outside):
        path.touch()
        path.chmod(0o664)
    (folder / "link").symlink_to(outside)
    for path in (folder, folder / "log"):
        path.chmod(0o755)
    close_to_others(folder)
    assert [line for line in open_to_others(folder) if "link" not in line] == []
    assert stat.S_IMODE(outside.stat().st_mode) == 0o664
    assert (folder / "log").stat().st_mode & 0o700 == 0o700


def test_folder_that_is_everybodys_stays_so(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    (tmp_path / "file").touch()
    (tmp_path / "file").chmod(0o644)
    close_to_others(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o1777
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644
