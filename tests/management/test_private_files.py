"""What only the owner may read."""

from __future__ import annotations

from pathlib import Path

import pytest

from project.settings import kept_secret
from servers.management.private_files import kept_password, write_private


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_new_password_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    kept_password(tmp_path / "password")
    assert mode(tmp_path / "password") == 0o600


def test_the_secret_of_the_settings_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    kept_secret(tmp_path / "deep" / "secret_key")
    assert mode(tmp_path / "deep" / "secret_key") == 0o600


def test_a_file_that_was_open_to_all_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "openrc"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new")
    assert (mode(path), path.read_text()) == (0o600, "new")


def test_a_password_is_kept_from_start_to_start(tmp_path: Path) -> None:
    path = tmp_path / "password"
    assert kept_password(path) == kept_password(path)


def test_a_password_that_is_wanted_takes_the_place_of_the_kept_one(tmp_path: Path) -> None:
    path = tmp_path / "password"
    kept_password(path)
    kept_password(path, "swordfish")
    assert kept_password(path) == "swordfish"


def test_two_new_passwords_differ(tmp_path: Path) -> None:
    assert kept_password(tmp_path / "a") != kept_password(tmp_path / "b")


@pytest.mark.parametrize("password", ["a b", "$HOME", "quote'd"])
def test_any_password_can_be_kept(tmp_path: Path, password: str) -> None:
    assert kept_password(tmp_path / "password", password) == password
