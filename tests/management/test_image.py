"""A new server out of a backup, through the shell."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from servers.management.commands.image import Command
from servers.management.exit_codes import ExitCode
from servers.models import Image, Server
from tests.factories import make_image, make_user
from tests.management.conftest import Run, Said
from tests.small_fleet import SmallFleet


@pytest.fixture
def image(fleet: SmallFleet) -> Run:
    """Return what runs `manage.py image` with these words."""

    def run(*words: str) -> Said:
        out, err = StringIO(), StringIO()
        command: Any = Command(stdout=out, stderr=err, no_color=True)
        try:
            call_command(command, *words)
        except SystemExit as end:
            return Said(int(end.code or 0), out.getvalue(), err.getvalue())
        return Said(0, out.getvalue(), err.getvalue())

    return run


@pytest.fixture
def nightly(fleet: SmallFleet) -> Image:
    fleet.do("create-backup", fleet.add_server(), name="nightly", backup_type="daily", rotation=1)
    return Image.objects.get(name="nightly")


def test_a_backup_is_restored_by_its_name(fleet: SmallFleet, nightly: Image, image: Run) -> None:
    said = image("restore", "nightly", "--name", "again", "--host", "node2", "--wait")
    server = Server.objects.select_related("host").get(name="again")
    assert said.code == ExitCode.DONE
    assert f"Server: {server.pk}" in said.out
    assert server.host is not None
    assert server.host.name == "node2"
    assert server.project_id == nightly.project_id


def test_json_names_the_new_server_and_the_image(nightly: Image, image: Run) -> None:
    said = image("restore", str(nightly.pk), "--name", "again", "--start", "true", "--wait", "--json")
    document = json.loads(said.out)
    assert document["status"] == "succeeded"
    assert document["server"] == str(Server.objects.get(name="again").pk)
    assert document["image_id"] == str(nightly.pk)


def test_an_image_that_nobody_knows_ends_with_the_code_for_that(image: Run) -> None:
    assert image("restore", "weekly", "--name", "again").code == ExitCode.NOT_FOUND


def test_a_name_that_two_images_have_is_asked_back(fleet: SmallFleet, nightly: Image, image: Run) -> None:
    make_image(fleet.project, name="nightly")
    said = image("restore", "nightly", "--name", "again")
    assert said.code == ExitCode.REFUSED
    assert str(nightly.pk) in said.err


def test_the_policy_decides_for_the_user_that_is_named(fleet: SmallFleet, nightly: Image, image: Run) -> None:
    reader = make_user("reader", fleet.project, default_project=fleet.project)
    said = image("restore", "nightly", "--name", "again", "--as-user", reader.name)
    assert said.code == ExitCode.NOT_PERMITTED
    assert not Server.objects.filter(name="again").exists()
