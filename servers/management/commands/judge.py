"""manage.py judge: what waits for a person, with the evidence, and the ways out."""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser
from typing import Any

from django.core.management.base import CommandParser

from servers import policy
from servers.engine.accepting.idempotency import Keep
from servers.engine.accepting.repeats import accept_once
from servers.engine.accepting.submit import Accepted
from servers.engine.execution.workers import worker_health
from servers.engine.judgement.cases import (
    LIST_RULE,
    Case,
    evidence_of,
    find_action,
    still_tried,
    visible_actions,
    waiting,
)
from servers.engine.judgement.endings import Outcome
from servers.engine.judgement.judge import LOOK_AGAIN, RULE, UNDO, judge, ways_out
from servers.errors import Refusal
from servers.management import documents, exit_codes, targets
from servers.management.engine_command import EngineCommand, HelpFormatter
from servers.management.exit_codes import ExitCode
from servers.management.tables import print_table
from servers.models import ActionRecord
from servers.policy import Context

NOTHING = "Nothing waits for a judgement."
HELP = {
    "list": "list what waits, and what is still tried (the default)",
    "show": "show the evidence: records, journal, and what every host says of the guest",
    "look-again": "let a worker look again, as often as at first",
    "close": "end the action as hypervisors say it is; nothing happens there",
    "undo": "let a worker take back what the action has made, and end it as failed",
}


class Command(EngineCommand):
    help = "Judge what came to no end by itself: list, show, look again, close or undo; with a reason."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.formatter_class = HelpFormatter
        parser.epilog = f"exit codes:\n{exit_codes.table()}"
        self.add_asker(parser)
        verbs = parser.add_subparsers(dest="verb", metavar="VERB", title="verbs")
        for verb, text in HELP.items():
            chosen = verbs.add_parser(
                verb, help=text, description=text, epilog=parser.epilog, formatter_class=HelpFormatter
            )
            self.add_asker(chosen, default=SUPPRESS)  # before the verb it counts as well
            if verb != "list":
                chosen.add_argument("action", help="UUID of the action, or its request id")
            if verb not in {"list", "show"}:
                self.add_judgement(chosen)
            if verb == "close":
                chosen.add_argument("--as", dest="outcome", choices=[o.value for o in Outcome], required=True)

    def add_judgement(self, parser: ArgumentParser) -> None:
        """Add why, and for whom the judge answers."""
        self.add_key(parser)
        parser.add_argument("--reason", required=True, help="it is kept with the name of who judges")
        parser.add_argument(
            "--dead",
            action="append",
            default=[],
            metavar="HOST",
            help="answer for this host, which is silent: it is dead; may be repeated",
        )

    def handle(self, *args: Any, **given: Any) -> None:
        try:
            context = targets.find_context(given["as_user"], given["project"])
            self.answer(given["verb"] or "list", context, given)
        except Refusal as fault:
            self.end_with_fault(fault, given["json"])

    def answer(self, verb: str, context: Context, given: dict[str, Any]) -> None:
        """Do what is asked. Raises Refusal."""
        if verb == "list":
            return self.list(context, given["json"])
        record = find_action(given["action"], context)
        if verb == "show":
            policy.in_force().require(context, RULE, record.server.project_id)
            return self.show(evidence_of(record), given["json"])
        verdicts = {"look-again": LOOK_AGAIN, "undo": UNDO}
        verdict = given["outcome"] if verb == "close" else verdicts[verb]
        reason, dead = given["reason"], given["dead"]

        def accept(keep: Keep[Accepted]) -> Accepted:
            judged = judge(
                record.pk, verdict, context, reason, dead, lambda row: keep(Accepted(row, row.image_id))
            )
            return Accepted(judged, judged.image_id)

        asked = [verdict, reason, dead]
        accepted = accept_once(given["idempotency_key"], context, f"judge {record.pk}", asked, accept)
        return self.end_with_judgement(accepted.record, verdict, given["json"])

    # ------------------------------------------------------------------------------------- what is said

    def list(self, context: Context, as_json: bool) -> None:
        """Show what waits and what is still tried."""
        policy.in_force().require(context, LIST_RULE)
        rows, tried = list(visible_actions(waiting(), context)), list(visible_actions(still_tried(), context))
        if as_json:
            document = {"waiting": list(map(brief, rows)), "still_tried": list(map(brief, tried))}
            self.print_json({**document, "exit_code": ExitCode.DONE.value})
            return
        if not rows:
            self.stdout.write(NOTHING)
        else:
            print_table(self.stdout, ("action", "server", "what", "since", "why"), map(line, rows))
        if tried:
            self.stdout.write(f"{len(tried)} more of unknown outcome: looked at again by themselves.")

    def show(self, case: Case, as_json: bool) -> None:
        """Show the evidence of one action."""
        ways, record = ways_out(case), case.action
        if as_json:
            facts = {"evidence": case.as_data(), "ways_out": ways, "judgements": record.judgements}
            self.print_json({**brief(record), **facts, "exit_code": ExitCode.DONE.value})
            return
        self.stdout.write(f"{record.slug} of {case.server.name}: {record.status}, {record.error_text}")
        self.stdout.write(records_of(case))
        print_table(self.stdout, ("step", "began", "effect", "ended", "undone"), map(step_line, record.steps))
        says = [
            (h.name, h.words, "may have it" if h.matters else "") for h in case.hosts if h.is_worth_a_line
        ]
        print_table(self.stdout, ("host", "says", "by the records"), says)
        print_table(
            self.stdout, ("way out", "as things stand"), [(w, r or "possible") for w, r in ways.items()]
        )
        for said in record.judgements:
            self.stdout.write(f"{said['at']} {said['by']['name']}: {said['verdict']}, {said['reason']}")

    def end_with_judgement(self, record: ActionRecord, verdict: str, as_json: bool) -> None:
        """Say what became of the action."""
        later = verdict in {LOOK_AGAIN, UNDO}
        if as_json:
            self.print_json({**documents.of_record(record, ExitCode.DONE), "judgements": record.judgements})
        else:
            self.stdout.write(
                f"Judged: {verdict}, action {record.pk}" + ("" if later else f" {record.status}")
            )
        if later and not worker_health().is_up:
            self.stderr.write("No worker is running, so nothing will happen yet. Start one: manage.py work")


def brief(record: ActionRecord) -> dict[str, Any]:
    """Return an action as a list shows it in JSON."""
    return {
        "action": str(record.pk),
        "request_id": record.request_id,
        "slug": record.slug,
        "server": str(record.server_id),
        "server_name": record.server.name,
        "status": record.status,
        "since": record.stalled_at,
        "reason": record.error_text,
    }


def line(record: ActionRecord) -> tuple[str, ...]:
    """Return an action as a row of the table."""
    since = f"{record.stalled_at:%Y-%m-%d %H:%M:%S}" if record.stalled_at else ""
    return (str(record.pk), record.server.name, record.slug, since, record.error_text)


def records_of(case: Case) -> str:
    """Return what the records say, on a few lines."""
    said = case.as_data()
    server, move, image = said["server"], said["migration"], said["image"]
    lines = [
        f"server: {server['vm_state']}, task {server['task_state'] or 'none'}, {server['power_state']} on {server['host']}"
    ]
    if move is not None:
        where = f"{move['source']} to {move['destination'] or 'no host yet'}"
        lines.append(f"migration {move['id']}: {move['status']}, {where}")
    if image is not None:
        lines.append(f"image {image['id']}: {image['status']}")
    lines += [f"room on {held['host']} for the {held['held_by']}" for held in said["allocations"]]
    return "\n".join(lines)


def step_line(step: dict[str, Any]) -> tuple[str, ...]:
    """Return a step of the journal as a row of the table."""
    return (step["name"], *((step.get(fact) or "")[:19] for fact in ("began", "effect", "ended", "undone")))
