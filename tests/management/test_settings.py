"""A wrong value in the environment ends the start, and the message names the variable."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PROGRAM = "import project.settings"
WRONG = [
    ("PORT", "seven"),
    ("PORT", "0"),
    ("WORKERS", "0"),
    ("WORKERS", "1.5"),
    ("MAX_ATTEMPTS", "0"),
    ("LEASE_TTL", "nan"),
    ("PUBLIC_URL", "example.org"),
    ("LIVE_MIGRATION_TIMEOUT_ACTION", "explode"),
    ("MIGRATE_MAX_RETRIES", "-2"),
    ("RESIZE_CONFIRM_WINDOW", "-1"),
    ("ENFORCE_NEW_DEFAULTS", "maybe"),
    ("IDENTITY", "ldap"),
    ("IMAGES", "s3"),
    ("KEYSTONE_TIMEOUT", "0"),
    ("KEYSTONE_TIMEOUT", "2.5"),
    ("QUEUE", "pigeon"),
    ("QUEUE", "procrastinate"),
    ("TRUSTED_PROXIES", "proxy.example.org"),
    ("TRUSTED_PROXIES", "10.0.0.1/8"),
    ("LOGIN_FAILURES_LIMIT", "0"),
    ("LOGIN_ADDRESS_LIMIT", "0"),
    ("LOGIN_NAMES_LIMIT", "0"),
    ("LOGIN_TOTAL_LIMIT", "0"),
    ("LOGIN_COOLOFF", "0"),
    ("LOGIN_KNOWN_DAYS", "0"),
    ("LOGIN_QUEUE", "-1"),
    ("HSTS_SECONDS", "-1"),
    ("SESSION_IDLE_LIMIT", "0"),
    ("SESSION_LIMIT", "half a day"),
    ("SECOND_FACTOR", "on"),
    ("OIDC_ISSUER", "http://login.example.org"),
    ("OIDC_TIMEOUT", "0"),
    ("QUEUE_WEIGHTS", ""),
    ("QUEUE_WEIGHTS", "moves=6,general=3"),
    ("QUEUE_WEIGHTS", "moves=6,general=3,backups=0"),
    ("QUEUE_WEIGHTS", "moves=6,general=3,backups=half"),
    ("QUEUE_WEIGHTS", "moves=6,general=3,backups=1,control=1"),
    ("QUEUE_WEIGHTS", "moves=6,general=3,backups=1,moves=1"),
]
OPENID = {
    "OIDC_ISSUER": "https://o",
    "OIDC_CLIENT_ID": "gantry",
    "OIDC_CLIENT_SECRET": "secret",
    "OIDC_GROUPS_FILE": __file__,
}


def load(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    known = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment = {**known, "DATA_DIR": str(folder), **variables}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_value_is_refused_by_name(tmp_path: Path, name: str, value: str) -> None:
    result = load(tmp_path, **{name: value})
    assert result.returncode != 0
    assert f"ImproperlyConfigured: {name} must be" in result.stderr


def test_the_defaults_are_accepted(tmp_path: Path) -> None:
    assert load(tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"IDENTITY": "keystone"}, "KEYSTONE_URL must be"),
        ({"IDENTITY": "keystone", "KEYSTONE_URL": "http://k:5000/v3"}, "needs KEYSTONE_PASSWORD"),
        ({"IMAGES": "glance"}, "GLANCE_URL must be"),
        (
            {"OIDC_ISSUER": "https://o"},
            "OIDC_ISSUER needs OIDC_CLIENT_ID, OIDC_CLIENT_SECRET and OIDC_GROUPS_FILE",
        ),
        ({**OPENID, "OIDC_SCOPES": "profile"}, "OIDC_SCOPES must be words with openid among them"),
        (
            {**OPENID, "OIDC_GROUPS_FILE": "/nowhere"},
            "OIDC_GROUPS_FILE names /nowhere, which is not a file",
        ),
        (OPENID, "OIDC_GROUPS_FILE must be a file that says what groups give"),
        ({"IMAGES": "glance", "GLANCE_URL": "http://g:9292"}, "IMAGES=glance needs IDENTITY=keystone"),
    ],
)
def test_services_elsewhere_need_an_address_and_each_other(
    tmp_path: Path, variables: dict[str, str], said: str
) -> None:
    result = load(tmp_path, **variables)
    assert result.returncode != 0 and said in result.stderr


def test_a_policy_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "manage.py", "policy", "sample"],
        cwd=ROOT,
        env={**os.environ, "DATA_DIR": str(tmp_path), "POLICY_FILE": str(tmp_path / "none.yaml")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode != 0
    assert "POLICY_FILE names" in result.stderr
