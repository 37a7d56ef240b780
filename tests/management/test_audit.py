"""manage.py audit: what it says of a trail that is sound, and of one that somebody has changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management.base import CommandError
from django.db import connection

from servers.acting import acting
from servers.audit.chain import chain
from servers.audit.saying import may_cut
from servers.management.commands.audit import Command
from servers.management.exit_codes import ExitCode
from servers.models import Aggregate, AuditRecord
from tests.management.conftest import Said, said_by

pytestmark = pytest.mark.django_db
ALWAYS = "2100-01-01"


@pytest.fixture(autouse=True)
def trail() -> None:
    """Let three records be chained, one of them anna's."""
    for name in ("a", "b"):
        Aggregate.objects.create(name=name)
    with acting(who="anna", door="rest"):
        Aggregate.objects.create(name="c")
    chain()


def audit(*words: str) -> Said:
    return said_by(Command, *words)


def change_one() -> None:
    with may_cut(), connection.cursor() as cursor:
        cursor.execute("UPDATE servers_auditrecord SET who = 'nobody' WHERE who = 'anna'")


def test_a_sound_trail_is_said_to_be_sound() -> None:
    said = audit("verify")
    assert (said.code, said.err) == (ExitCode.DONE, "")
    assert said.out.startswith(
        "Sound: numbers 1 to 3, 3 records, 1 checkpoints; not chained yet: 0.\nThe last digest"
    )


def test_a_changed_one_ends_with_a_code_of_its_own_and_names_what() -> None:
    change_one()
    said = audit("verify")
    assert (said.code, said.out) == (ExitCode.TRAIL_CHANGED, "")
    assert said.err.startswith("Number 3 was changed")
    document = json.loads(audit("verify", "--json").out)
    assert (document["sound"], len(document["problems"]), document["last"]) == (False, 1, 3)


def test_without_checkpoints_it_says_what_nobody_would_notice(settings: Any, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path / "elsewhere"
    said = audit("verify")
    assert said.code == ExitCode.DONE
    assert "There is no checkpoint here" in said.err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("verify", "--checkpoints", "{tmp}/none"), ExitCode.NOT_FOUND),
        (("verify", "--checkpoints", "{tmp}/there"), ExitCode.REFUSED),
        (("verify", "--archive", "{tmp}/there"), ExitCode.REFUSED),
        (("archive", "--before", ALWAYS, "{tmp}/there"), ExitCode.CONFLICT),
        (("archive", "--before", "2000-01-01", "{tmp}/new"), ExitCode.REFUSED),
        (("archive", "--before", "yesterday", "{tmp}/new"), ExitCode.USAGE),
    ],
)
def test_what_is_wrong_is_one_sentence(words: tuple[str, ...], code: ExitCode, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("nothing of ours\n")
    said = ended(*(word.format(tmp=tmp_path) for word in words))
    assert said == code
    assert AuditRecord.objects.filter(verb="archived").count() == 0


def ended(*words: str) -> int:
    """Return the exit code of a command that is refused; of a wrong word what the command line ends with."""
    try:
        return audit(*words).code
    except CommandError as error:
        return ExitCode.USAGE if str(error).startswith("Error: argument") else error.returncode


def test_an_archive_is_written_and_proven(tmp_path: Path) -> None:
    path = str(tmp_path / "old.jsonl")
    said = audit("archive", "--before", ALWAYS, path)
    assert said.out.startswith(f"Archived: 3 records, to number 3, in {path} (SHA-256 ")
    assert audit("verify", "--archive", path).code == ExitCode.DONE
    chain()
    assert audit("verify").code == ExitCode.DONE


def test_a_changed_trail_is_not_archived(tmp_path: Path) -> None:
    change_one()
    assert ended("archive", "--before", ALWAYS, str(tmp_path / "old.jsonl")) == ExitCode.TRAIL_CHANGED
    assert AuditRecord.objects.count() == 3


def test_what_is_asked_for_is_printed_as_json_lines() -> None:
    (line,) = audit("export", "--who", "anna").out.splitlines()
    record = json.loads(line)
    assert (record["object_name"], record["number"]) == ("c", 3)
    assert [json.loads(line)["object_name"] for line in audit("export").out.splitlines()] == ["a", "b", "c"]
    assert audit("export", "--since", ALWAYS).out == ""
