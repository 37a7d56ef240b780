"""Show that the tests can fail: the engine is broken in one place after the other, and a named test has to notice it.

`make mutations` runs it. Each mutation is made in a copy of the tree; the tree itself is not touched.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parent.parent.parent
COPIED = ("servers", "project", "templates", "tests", "docs", "manage.py", "pyproject.toml")
AT_ONCE = 2
LIMIT_S = 300

FENCES = "tests/engine/test_fences.py::"
ENDINGS = "tests/engine/test_endings.py::"
SLOTS = "tests/engine/test_slots.py::"
QUEUE = "tests/engine/test_queue.py::"
SHARES = "tests/engine/test_shares.py::"
CAUTION = "tests/inventory/test_reconcile_caution.py::"
OWNERS = "tests/drivers/test_simulated_owners.py::"
ONCE = "tests/api/test_idempotency.py::"
COLD = "servers/drivers/simulated/cold.py"
KEYS = "servers/engine/accepting/idempotency.py"


@dataclass(frozen=True)
class Mutation:
    """A place of the engine that is broken, and the test that has to notice."""

    name: str
    file: str
    old: str
    new: str
    test: str


MUTATIONS = [
    Mutation(
        "a request whose claim was taken over is accepted",
        KEYS,
        "filter(digest=self.digest, token=self.token)",
        "filter(digest=self.digest)",
        ONCE + "test_a_request_whose_claim_was_taken_over_changes_nothing",
    ),
    Mutation(
        "an error after an action was accepted gives its key up",
        KEYS,
        "self.row.filter(status=None).delete()",
        "self.row.delete()",
        ONCE + "test_what_was_accepted_before_an_error_is_not_accepted_again",
    ),
    Mutation(
        "an answer counts before its checks are over",
        KEYS,
        "is_under_way = row.checking and",
        "is_under_way = False and",
        ONCE
        + "TestChecksInTheRequest::test_a_repeat_during_the_checks_is_told_to_wait_and_one_after_them_is_answered",
    ),
    Mutation(
        "the fence is skipped",
        "servers/engine/execution/task/journal.py",
        "        if self.heartbeat is not None and self.heartbeat.is_lost:\n            raise LeaseLost\n        journal",
        "        return\n        journal",
        FENCES + "test_effect_is_refused_to_a_worker_whose_lease_somebody_else_has",
    ),
    Mutation(
        "the second proof is a memory of the first one",
        "servers/engine/execution/task/journal.py",
        "        self.renew(**journal)",
        "        if journal:\n            self.renew(**journal)",
        FENCES + "test_second_effect_of_a_step_is_proven_at_the_database_as_the_first_was",
    ),
    Mutation(
        "an effect is not in the journal",
        "servers/engine/execution/task/journal.py",
        'journal = {"steps": self.row.steps}',
        "journal = {}",
        FENCES + "test_effect_is_in_the_journal_before_it_happens",
    ),
    Mutation(
        "nobody is asked where a guest runs before it is started",
        "servers/engine/execution/task/hosts.py",
        "        self.prove()\n        self.alone_at(host)",
        "        self.prove()",
        FENCES + "test_guest_that_somebody_runs_elsewhere_is_not_started",
    ),
    Mutation(
        "a lost renewal is ignored",
        "servers/engine/execution/lease_renewal.py",
        "self.is_lost = not leases.renew(self.lease)",
        "leases.renew(self.lease)",
        FENCES + "test_worker_that_finds_its_lease_lost_says_so",
    ),
    Mutation(
        "any attempt renews",
        "servers/engine/execution/lease.py",
        "pk=lease.action, attempt=lease.attempt, status=ActionStatus.RUNNING",
        "pk=lease.action, status=ActionStatus.RUNNING",
        FENCES + "test_nobody_renews_what_another_attempt_has",
    ),
    Mutation(
        "whoever had the action last may write",
        "servers/engine/execution/lease.py",
        "if mine != (lease.attempt, ActionStatus.RUNNING):",
        "if mine[0] != lease.attempt:",
        FENCES + "test_worker_that_has_put_an_action_back_writes_no_more",
    ),
    Mutation(
        "a lease that is held does not keep others away",
        "servers/engine/execution/lease.py",
        "Q(status=ActionStatus.RUNNING) & lease_is_over()",
        "Q(status=ActionStatus.RUNNING)",
        FENCES + "test_action_that_somebody_holds_is_claimed_by_nobody",
    ),
    Mutation(
        "who waits for a slot is taken all the same",
        "servers/engine/execution/lease.py",
        'return Q(waits_for_host="") & waiting',
        "return waiting",
        SLOTS + "test_whoever_waits_is_asked_for_by_nobody",
    ),
    Mutation(
        "the end of a migration lets nobody go on",
        "servers/engine/records/changes.py",
        "slots.let_go_on(migration.source_compute)",
        "pass",
        SLOTS + "test_however_a_migration_ends_the_oldest_that_waits_goes_on",
    ),
    Mutation(
        "the wait is not decided again when the action is put back",
        "servers/engine/execution/task/working_task.py",
        "and slots.are_taken(slots.locked(waits_for_host))",
        "",
        SLOTS + "test_slot_that_is_free_by_the_time_a_move_would_wait_is_taken_at_once",
    ),
    Mutation(
        "what a dead worker has left stands in its class",
        "servers/engine/execution/choice.py",
        "due(left | asked)",
        "due(asked)",
        QUEUE + "test_what_a_dead_worker_has_left_goes_before_control",
    ),
    Mutation(
        "a class in which nothing waits saves its turns up",
        "servers/engine/execution/shares.py",
        "self.turns[name] = now + self.strides[name]",
        "pass",
        SHARES + "test_class_in_which_nothing_waited_has_saved_no_turns_up",
    ),
    Mutation(
        "attempts without progress are not counted",
        "servers/engine/execution/lease.py",
        "row.futile + 1 if row.progress == row.last_progress else 1",
        "1",
        FENCES + "test_attempts_without_progress_are_counted_until_a_person_has_to_look",
    ),
    Mutation(
        "a reset reaches a deleted server",
        "servers/engine/accepting/submit.py",
        "there.filter(uuid=server_id, deleted_at=None).first()",
        "there.filter(uuid=server_id).first()",
        FENCES + "test_server_that_was_deleted_since_it_was_found_is_not_reset",
    ),
    Mutation(
        "a claim is released early",
        "servers/actions/live_migrate.py",
        'task.take_slot("prepare")',
        'task.take_slot("prepare")\n        task.release()',
        FENCES + "test_both_hosts_are_charged_while_a_guest_moves",
    ),
    Mutation(
        "the record is written before the effect",
        "servers/actions/live_migrate.py",
        "        try:\n            moved = instead_of_leftovers(",
        "        task.record(Change(host=destination))\n        try:\n            moved = instead_of_leftovers(",
        FENCES + "test_record_follows_the_guest_and_is_not_there_before_it",
    ),
    Mutation(
        "a database that is away fails an action",
        "servers/engine/execution/verdicts.py",
        "return Verdict.LOOK_AGAIN  # it says nothing of the guest",
        "return Verdict.FAIL",
        ENDINGS + "test_database_that_is_away_is_no_verdict_on_an_action",
    ),
    Mutation(
        "the switch is ignored",
        "servers/engine/execution/verdicts.py",
        "if moment.behind_switch:",
        "if False:",
        ENDINGS + "test_behind_the_switch_no_fault_ends_an_action",
    ),
    Mutation(
        "what was refused is taken back",
        "servers/engine/execution/run.py",
        "effective = task.row.effective\n    steps =",
        "effective = task.row.begun\n    steps =",
        ENDINGS + "test_what_was_refused_is_not_taken_back",
    ),
    Mutation(
        "steps are taken back in the order in which they were made",
        "servers/engine/execution/run.py",
        "for step in reversed(steps):",
        "for step in steps:",
        ENDINGS + "test_steps_are_taken_back_in_reverse",
    ),
    Mutation(
        "old backups go before the new one is complete",
        "servers/actions/create_backup.py",
        "            target = str(task.image_target())\n",
        '            target = str(task.image_target())\n            task.remember(images={"lost": [], "protected": []})\n'
        '            task.rotate_images(task.params["backup_type"], 0)\n',
        ENDINGS + "test_old_backup_is_kept_when_the_new_one_is_not_completed",
    ),
    Mutation(
        "an unfinished image counts as a backup",
        "servers/engine/images.py",
        "backup_type=backup_type, status=ImageStatus.ACTIVE)",
        "backup_type=backup_type).exclude(status=ImageStatus.DELETED)",
        ENDINGS + "test_backup_that_was_never_completed_counts_as_none",
    ),
    Mutation(
        "a guest elsewhere is certain although a host is silent",
        "servers/inventory/reconciliation/at_rest.py",
        "certain = moved and self.sight.everybody and",
        "certain = moved and",
        CAUTION + "test_record_does_not_follow_a_guest_while_a_host_that_may_run_it_too_is_silent",
    ),
    Mutation(
        "a row at work is repaired",
        "servers/inventory/reconciliation/repairs.py",
        "return None if at_work or server.revision != revision else server",
        "return None if server.revision != revision else server",
        CAUTION + "test_server_at_which_somebody_works_is_not_repaired",
    ),
    Mutation(
        "a move discards the guest of another one",
        COLD,
        "            self._refuse_unless_mine(db, guest)\n",
        "",
        OWNERS + "test_what_a_cold_move_has_made_is_left_alone_by_another_one[discard]",
    ),
    Mutation(
        "a move confirms another one",
        COLD,
        '            self.check_owner(here["owner"], guest)\n            if here["role"] != Role.LEAVING:',
        '            if here["role"] != Role.LEAVING:',
        OWNERS + "test_what_a_cold_move_has_made_is_left_alone_by_another_one[confirm]",
    ),
    Mutation(
        "a move reverts another one",
        COLD,
        '                here = guests.defined(db, self.name, guest)\n                self.check_owner(here["owner"], guest)\n',
        "                here = guests.defined(db, self.name, guest)\n",
        OWNERS + "test_what_a_cold_move_has_made_is_left_alone_by_another_one[finish_revert]",
    ),
    Mutation(
        "a move clears the destination of another one",
        "servers/drivers/simulated/live.py",
        '                return\n            self.check_owner(here["owner"], guest)\n            job = jobs.running',
        "                return\n            job = jobs.running",
        OWNERS + "test_destination_that_one_move_has_prepared_is_not_cleared_by_another_one",
    ),
]


def escaped() -> Iterator[str]:
    """Yield what is wrong with each mutation, nothing where its test notices it."""
    with TemporaryDirectory(prefix="mutations-") as folder, ThreadPoolExecutor(AT_ONCE) as pool:
        trees = [copy_of_tree(Path(folder) / str(number)) for number in range(AT_ONCE)]
        chosen = [m for m in MUTATIONS if not sys.argv[1:] or any(word in m.name for word in sys.argv[1:])]
        shares = [chosen[number::AT_ONCE] for number in range(AT_ONCE)]
        for outcomes in pool.map(
            lambda pair: [survives(pair[0], m) for m in pair[1]], zip(trees, shares, strict=True)
        ):
            yield from (reason for reason in outcomes if reason)


def copy_of_tree(folder: Path) -> Path:
    """Return a copy of what the tests need."""
    folder.mkdir(parents=True)
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    return folder


def survives(tree: Path, mutation: Mutation) -> str:
    """Return why the mutation is not caught, nothing where it is."""
    file = tree / mutation.file
    text = file.read_text()
    if text.count(mutation.old) != 1:
        return report(mutation, f"is {text.count(mutation.old)} times in {mutation.file}, not once")
    file.write_text(text.replace(mutation.old, mutation.new))
    try:
        return report(mutation, run_test(tree, mutation.test))
    finally:
        file.write_text(text)


def run_test(tree: Path, test: str) -> str:
    """Return why the test is no proof: it passes, or it is not there; nothing where it fails."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nomigrations", test]
    own = {"DATA_DIR": str(tree / ".data"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, cwd=tree, env={**os.environ, **own}, capture_output=True, text=True, timeout=LIMIT_S
    )
    if done.returncode == 1:
        return ""
    return (
        "survives" if done.returncode == 0 else f"cannot be tried: {done.stdout[-500:]}{done.stderr[-500:]}"
    )


def report(mutation: Mutation, problem: str) -> str:
    """Say what came of a mutation; return the problem, with its name, where there is one."""
    print(f"{'NOT CAUGHT' if problem else 'caught':10}  {mutation.name}", flush=True)
    return f"{mutation.name}: {problem}" if problem else ""


if __name__ == "__main__":
    wrong = list(escaped())
    print("\n".join(wrong) or "each mutation was caught")
    sys.exit(bool(wrong))
