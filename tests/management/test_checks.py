"""What is said of a Gantry that others can reach: nothing where all is as it should be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from servers.management.checks import findings, is_reached_by_others, warnings_of
from tests.running import ROOT

PRODUCTION = {"PUBLIC_URL": "https://gantry.example.org", "BEHIND_PROXY": "true"}
COOKIES = "print(settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME, settings.SECURE_HSTS_SECONDS)"
LOAD = f"from django.conf import settings; {COOKIES}"


def run(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    known = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment = {
        **known,
        "DATA_DIR": str(folder),
        "DJANGO_SETTINGS_MODULE": "project.settings",
        **variables,
    }
    return subprocess.run(
        [sys.executable, *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_checks_of_a_deployment_find_nothing_with_the_settings_of_production(tmp_path: Path) -> None:
    done = run(tmp_path / "data", "manage.py", "check", "--deploy", "--fail-level", "WARNING", **PRODUCTION)
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


@pytest.mark.parametrize(
    ("variables", "ids"),
    [
        ({"PUBLIC_URL": "http://gantry.example.org"}, {"gantry.W001", "security.W012", "security.W016"}),
        ({"PUBLIC_URL": "https://gantry.example.org"}, {"gantry.W002"}),
        ({**PRODUCTION, "DEBUG": "true"}, {"security.W018"}),
        ({**PRODUCTION, "SECRET_KEY": "short"}, {"security.W009"}),
        ({**PRODUCTION, "HSTS_SECONDS": "0"}, {"security.W004"}),
    ],
)
def test_each_thing_that_is_wrong_is_found(variables: dict[str, str], ids: set[str], tmp_path: Path) -> None:
    found = run(tmp_path / "data", "manage.py", "check", "--deploy", **variables).stderr
    assert {each for each in ids if each not in found} == set()


def test_folder_that_others_can_look_into_is_found(settings: Any, tmp_path: Path) -> None:
    settings.PUBLIC_URL, settings.DATA_DIR = "https://gantry.example.org", tmp_path
    tmp_path.chmod(0o750)
    assert any(line.startswith("gantry.W003") for line in findings("127.0.0.1"))
    tmp_path.chmod(0o700)
    assert not any(line.startswith("gantry.W003") for line in findings("127.0.0.1"))


@pytest.mark.parametrize(
    ("bind", "url", "by_others"),
    [
        ("127.0.0.1", "http://127.0.0.1:8774", False),
        ("::1", "http://localhost:8774", False),
        ("127.0.0.1", "http://[::1]:8774", False),
        ("127.0.0.1", "http://gantry.example.org", True),
        ("127.0.0.1", "https://192.0.2.1", True),
        ("0.0.0.0", "http://127.0.0.1:8774", True),
        ("::", "http://127.0.0.1:8774", True),
        ("gantry.example.org", "http://127.0.0.1:8774", True),
    ],
)
def test_it_is_said_where_others_get_in_and_nowhere_else(
    bind: str, url: str, by_others: bool, settings: Any
) -> None:
    settings.PUBLIC_URL = url
    assert is_reached_by_others(bind) == by_others == bool(findings(bind))
    assert warnings_of(bind).count("WARNING") == len(findings(bind))


def test_cookies_are_of_this_host_alone_and_https_is_remembered_where_there_is_https(tmp_path: Path) -> None:
    assert run(tmp_path, "-c", LOAD, **PRODUCTION).stdout == "__Host-sessionid __Host-csrftoken 3600\n"
    assert run(tmp_path, "-c", LOAD).stdout == "sessionid csrftoken 0\n"
