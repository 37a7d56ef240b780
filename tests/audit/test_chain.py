"""The chain proves the trail: whoever changes, deletes or cuts something is found out."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from servers import clock
from servers.acting import acting
from servers.audit import chain as chaining
from servers.audit import checkpoints, triggers
from servers.audit.archive import archive, verify_archive
from servers.audit.chain import GENESIS, chain, digest, facts
from servers.audit.saying import may_cut
from servers.audit.verification import Proof, verify
from servers.errors import Invalid, TrailChanged
from servers.models import Aggregate, AuditLink, AuditRecord

pytestmark = pytest.mark.django_db


def change(count: int = 5, name: str = "rack") -> None:
    for number in range(count):
        Aggregate.objects.create(name=f"{name}-{number}")


@pytest.fixture
def trail() -> Iterator[None]:
    change()
    chain()
    yield


def proof() -> Proof:
    return verify(checkpoints.kept())


def by_hand(statement: str, *values: Any) -> None:
    """Do something with the database that its triggers would refuse, as whoever may drop them."""
    with may_cut(), connection.cursor() as cursor:
        cursor.execute(statement, values)


def test_a_trail_that_nobody_has_touched_is_sound(trail: None) -> None:
    found = proof()
    assert (found.problems, found.records, found.last, found.not_chained) == ([], 5, 5, 0)
    assert found.checkpoints == 1


def test_what_is_not_chained_yet_is_counted(trail: None) -> None:
    change(3, "late")
    assert (proof().problems, proof().not_chained) == ([], 3)
    assert chain() == 3
    assert proof().not_chained == 0


def test_each_link_is_the_digest_of_the_one_before_and_of_its_record(trail: None) -> None:
    previous = GENESIS
    for link in AuditLink.objects.order_by("number"):
        record = AuditRecord.objects.get(pk=link.record_id)
        assert link.digest == digest(previous, link.number, facts(record))
        previous = link.digest


@pytest.mark.parametrize(
    "column", [f.attname for f in AuditRecord._meta.concrete_fields if not f.primary_key]
)
def test_a_change_of_any_column_is_found(column: str, trail: None) -> None:
    link = AuditLink.objects.get(number=3)
    value = {
        "at": clock.now() - timedelta(days=1),
        "before": json.dumps({"name": "x"}),
        "after": json.dumps({"name": "x"}),
    }
    by_hand(
        f"UPDATE servers_auditrecord SET {column} = %s WHERE id = %s", value.get(column, "x"), link.record_id
    )
    (problem,) = proof().problems
    assert problem.startswith("Number 3 was changed")


def test_a_record_that_is_gone_is_found(trail: None) -> None:
    by_hand("DELETE FROM servers_auditrecord WHERE id = %s", AuditLink.objects.get(number=2).record_id)
    (problem,) = proof().problems
    assert problem.startswith("Number 2 is gone")


def test_a_record_that_is_gone_with_its_link_is_found(trail: None) -> None:
    by_hand("DELETE FROM servers_auditrecord WHERE id = %s", AuditLink.objects.get(number=2).record_id)
    by_hand("DELETE FROM servers_auditlink WHERE number = 2")
    assert proof().problems[0] == "Numbers 2 to 2 are gone."


def test_a_beginning_that_is_gone_is_found(trail: None) -> None:
    by_hand("DELETE FROM servers_auditlink WHERE number < 3")
    assert proof().problems[0] == "Numbers 1 to 2 are gone."


def test_an_end_that_was_cut_off_is_found_by_the_checkpoints(trail: None) -> None:
    change(2, "evil")
    chain()
    by_hand("DELETE FROM servers_auditrecord WHERE object_name LIKE 'evil%%'")
    by_hand("DELETE FROM servers_auditlink WHERE number > 5")
    (problem,) = proof().problems
    assert problem == "The end was cut off: there was a number 7, and the last one is 5."


def test_a_chain_that_was_written_anew_is_found_by_the_checkpoints(trail: None) -> None:
    by_hand("UPDATE servers_auditrecord SET who = 'somebody else' WHERE object_name = 'rack-1'")
    by_hand("DELETE FROM servers_auditlink")
    assert chaining.link(list(AuditRecord.objects.order_by("pk"))) is not None
    (problem,) = proof().problems
    assert problem.startswith("The chain was written anew: number 5")


def test_the_whole_trail_gone_is_found_by_the_checkpoints(trail: None) -> None:
    by_hand("DELETE FROM servers_auditrecord")
    by_hand("DELETE FROM servers_auditlink")
    assert proof().problems == ["The end was cut off: there was a number 5, and the last one is 0."]


def test_a_trigger_that_is_gone_is_found(trail: None) -> None:
    lost = sorted(triggers.installed())[0]
    table = "servers_actionrecord" if connection.vendor == "postgresql" else ""
    by_hand(f"DROP TRIGGER {lost} {'ON ' + table if table else ''}")
    assert lost in proof().problems[0]


@pytest.mark.parametrize("model", [AuditRecord, AuditLink])
def test_the_database_refuses_to_change_the_trail(model: Any, trail: None) -> None:
    row = model.objects.first()
    for refused in (
        row.delete,
        row.save,
        lambda: model.objects.all().delete(),
        lambda: model.objects.update(**{"digest" if model is AuditLink else "who": "x"}),
    ):
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            refused()
    assert proof().problems == []


def test_a_record_that_is_committed_late_is_chained_all_the_same(trail: None) -> None:
    change(2, "late")
    first, second = AuditRecord.objects.order_by("-pk")[:2][::-1]
    assert chaining.link([second]) is not None
    assert chain() == 1
    assert AuditLink.objects.get(record_id=first.pk).number == 7
    assert proof().problems == []


def test_two_that_chain_at_once_do_not_chain_twice(trail: None) -> None:
    change(2, "both")
    records = list(AuditRecord.objects.order_by("-pk")[:2])[::-1]
    assert chaining.link(records) is not None
    assert chaining.link(records) is None
    assert (proof().problems, proof().last) == ([], 7)


def test_what_was_chained_long_ago_is_not_looked_through_again(
    trail: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest, now = AuditRecord.objects.latest("pk").pk, chaining.time.monotonic()
    assert (chain(), chaining._done) == (0, [0])
    monkeypatch.setattr(chaining.time, "monotonic", lambda: now + chaining.SETTLED_S + 60)
    assert (chain(), chaining._done) == (0, [newest])
    change(1, "new")
    assert chain() == 1


def test_a_pass_that_could_not_chain_all_is_no_reason_to_look_at_less(
    trail: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that was committed late must not be passed over because nobody could chain for as long."""
    now = chaining.time.monotonic()
    change(1, "late")
    monkeypatch.setattr(chaining, "link", lambda records: None)
    monkeypatch.setattr(chaining.time, "monotonic", lambda: now + chaining.SETTLED_S + 60)
    assert (chain(), chaining._done) == (0, [0])


def test_a_checkpoint_is_readable_by_its_owner_alone(trail: None) -> None:
    assert checkpoints.path().stat().st_mode & 0o077 == 0
    assert checkpoints.path().parent.stat().st_mode & 0o077 == 0


def test_checkpoints_of_the_systems_log_are_read(trail: None, tmp_path: Path) -> None:
    line = checkpoints.path().read_text()
    log = tmp_path / "auth.log"
    log.write_text(f"Nov 30 21:00:00 node1 gantry audit checkpoint: {line}")
    assert list(checkpoints.kept([log])) == list(checkpoints.kept())
    log.write_text("Nov 30 21:00:00 node1 something else")
    with pytest.raises(ValueError, match=r"auth.log, line 1, is no checkpoint"):
        list(checkpoints.kept([log]))


def test_checkpoints_go_to_the_systems_log(settings: Any) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as log:
        log.bind(("127.0.0.1", 0))
        log.settimeout(10)
        settings.AUDIT_SYSLOG = log.getsockname()
        change()
        chain()
        said = log.recv(4096).decode()
    (line,) = checkpoints.path().read_text().splitlines()
    assert f"gantry audit checkpoint: {line}" in said


def test_a_checkpoint_that_cannot_be_written_is_an_error() -> None:
    def fails(record: logging.LogRecord) -> None:
        raise OSError("full")

    handler = logging.StreamHandler()
    handler.format = fails  # type: ignore[assignment, method-assign]
    with pytest.raises(OSError, match="full"):
        checkpoints.emit(handler, "line")


class TestArchive:
    """The beginning goes to a file; what is left is proven from there on."""

    def archived(self, tmp_path: Path, name: str = "old.jsonl") -> dict[str, Any]:
        return archive(clock.now() + timedelta(seconds=1), tmp_path / name)

    def test_the_rest_is_sound_and_goes_on(self, trail: None, tmp_path: Path) -> None:
        with acting(who="anna"):
            written = self.archived(tmp_path)
        assert (written["number"], written["records"]) == (5, 5)
        change(2, "later")
        assert chain() == 3
        found = proof()
        assert (found.problems, found.first, found.last, found.records) == ([], 5, 8, 3)
        assert AuditRecord.objects.get(verb="archived").who == "anna"

    def test_the_file_is_proven_by_itself(self, trail: None, tmp_path: Path) -> None:
        self.archived(tmp_path)
        found = verify_archive(tmp_path / "old.jsonl")
        assert (found.problems, found.records, found.last) == ([], 5, 5)
        assert found.digest == AuditLink.objects.get(number=5).digest
        assert (tmp_path / "old.jsonl").stat().st_mode & 0o077 == 0

    def test_a_second_one_goes_on_where_the_first_has_ended(self, trail: None, tmp_path: Path) -> None:
        self.archived(tmp_path)
        change(2, "later")
        chain()
        self.archived(tmp_path, "newer.jsonl")
        found = verify_archive(tmp_path / "newer.jsonl")
        assert (found.problems, found.first, found.last) == ([], 5, 8)
        chain()
        assert proof().problems == []

    @pytest.mark.parametrize("line", [0, 2, 4])
    def test_a_change_in_the_file_is_found(self, line: int, trail: None, tmp_path: Path) -> None:
        self.archived(tmp_path)
        path = tmp_path / "old.jsonl"
        lines = path.read_text().splitlines()
        lines[line] = lines[line].replace("rack", "rock")
        path.write_text("\n".join(lines))
        assert verify_archive(path).problems == [f"Number {line + 1} was changed."]

    def test_a_line_that_is_missing_is_found(self, trail: None, tmp_path: Path) -> None:
        self.archived(tmp_path)
        path = tmp_path / "old.jsonl"
        lines = path.read_text().splitlines()
        path.write_text("\n".join([*lines[:2], *lines[3:]]))
        assert verify_archive(path).problems == ["Numbers 3 to 3 are gone."]

    def test_what_was_changed_is_not_archived(self, trail: None, tmp_path: Path) -> None:
        by_hand("UPDATE servers_auditrecord SET who = 'x' WHERE object_name = 'rack-1'")
        with pytest.raises(TrailChanged):
            self.archived(tmp_path)
        assert AuditRecord.objects.count() == 5
        assert list(tmp_path.glob("*.jsonl")) == []

    def test_what_is_not_chained_yet_stays(self, trail: None, tmp_path: Path) -> None:
        change(2, "late")
        self.archived(tmp_path)
        assert list(AuditRecord.objects.filter(object_name__startswith="late")) != []
        chain()
        assert proof().problems == []

    def test_only_what_is_older_goes(self, trail: None, tmp_path: Path) -> None:
        with pytest.raises(Invalid):
            archive(clock.now() - timedelta(days=1), tmp_path / "none.jsonl")
        assert not (tmp_path / "none.jsonl").exists()

    def test_a_file_that_is_there_is_never_written_over(self, trail: None, tmp_path: Path) -> None:
        (tmp_path / "old.jsonl").write_text("mine")
        with pytest.raises(FileExistsError):
            self.archived(tmp_path)
        assert AuditRecord.objects.count() == 5

    def test_one_that_died_while_it_deleted_is_finished_by_the_next(
        self, trail: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def dies(end: int) -> None:
            if end:
                raise MemoryError

        with monkeypatch.context() as patch:
            patch.setattr("servers.audit.archive.cut", dies)
            with pytest.raises(MemoryError):
                self.archived(tmp_path)
        chain()
        assert (proof().problems, AuditRecord.objects.count()) == ([], 6)
        self.archived(tmp_path, "newer.jsonl")
        chain()
        assert (proof().problems, AuditRecord.objects.count()) == ([], 1)
