"""The units of systemd: each names commands and settings that there are, and has no more rights than it needs."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

from project.environment import READ
from tests.deploy.units import FOLDER, SERVICES, said
from tests.running import ROOT

ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
MOST_EXPOSED = 3.0
TOLD = {"gantry-web@.service": 3.0, "gantry-work.service": 5.0 + 15.0}
"""For how long a service may go on after SIGTERM, in seconds: GRACE_S of `serve`; WORKER_GRACE and LEAVE_S of `work`."""


def services() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)


def variables(lines: list[str]) -> set[str]:
    return {word.partition("=")[0] for line in lines for word in shlex.split(line)}


def test_there_is_a_service_for_the_web_and_one_for_the_workers() -> None:
    assert {unit.name for unit in SERVICES} == set(TOLD)


@services()
def test_service_runs_a_command_that_there_is_with_options_that_it_has(unit: Path) -> None:
    [line] = said(unit, "ExecStart")
    python, *words = line.split()
    manage = words.index("/opt/gantry/manage.py")
    assert python == "/opt/gantry/.venv/bin/python"
    name, *options = words[manage + 1 :]
    assert get_commands()[name] == "servers"
    load_command_class("servers", name).create_parser("manage.py", name).parse_args(options)


@services()
def test_service_names_settings_and_secrets_that_there_are(unit: Path) -> None:
    assert variables(said(unit, "Environment")) <= set(READ)
    credentials = {value.partition(":")[0] for value in said(unit, "LoadCredential")}
    assert credentials == {"SECRET_KEY", "DATABASE_URL"}
    assert all(READ[name].is_secret for name in credentials)


def test_file_of_settings_names_settings_that_there_are_and_no_secret() -> None:
    lines = [line for line in (FOLDER / "gantry.env").read_text().splitlines() if not line.startswith("#")]
    assert variables(lines) <= {name for name, variable in READ.items() if not variable.is_secret}


@services()
def test_service_is_given_the_time_that_it_takes_to_end(unit: Path) -> None:
    assert float(said(unit, "TimeoutStopSec")[0]) > TOLD[unit.name] + 3


@services()
def test_service_runs_as_a_user_of_its_own_that_is_made(unit: Path) -> None:
    [user], [group] = said(unit, "User"), said(unit, "Group")
    made = re.findall(r"^u (\S+) ", (FOLDER / "gantry.sysusers.conf").read_text(), re.M)
    assert user in made and group == user and said(unit, "SupplementaryGroups") == ["gantry"]
    others = {other_user for other in SERVICES if other != unit for other_user in said(other, "User")}
    assert user not in others


def test_folder_of_images_belongs_to_the_group_that_both_services_have() -> None:
    lines = [line.split() for line in (FOLDER / "gantry.tmpfiles.conf").read_text().splitlines()]
    [images] = [line for line in lines if line[1:2] == ["/var/lib/gantry-images"]]
    assert images[2:5] == ["2770", "root", "gantry"]
    for unit in SERVICES:
        assert "IMAGE_DIR=/var/lib/gantry-images" in " ".join(said(unit, "Environment"))
        assert said(unit, "ReadWritePaths") == ["/var/lib/gantry-images"]


@needs_systemd
@services()
def test_what_a_service_is_exposed_to_is_at_most_three(unit: Path) -> None:
    command = [str(ANALYZE), "--no-pager", "--offline=true", "security", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found is not None, done.stderr
    assert float(found[1]) <= MOST_EXPOSED


@needs_systemd
def test_systemd_has_nothing_to_say_of_the_units(tmp_path: Path) -> None:
    for path in FOLDER.iterdir():
        text = path.read_text().replace("/opt/gantry/.venv/bin/python", "/bin/true")
        (tmp_path / path.name).write_text(text.replace("/opt/gantry", str(ROOT)))
    units = ["gantry-web@1.service", "gantry-work.service", "gantry-web.socket", "gantry.target"]
    command = [str(ANALYZE), "--no-pager", "verify", *(str(tmp_path / name) for name in units)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
