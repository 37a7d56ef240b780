"""The addresses that are Gantry's own: what each accepts and answers."""

from __future__ import annotations

from django.views import View

from servers.api.compute.links import LINK
from servers.api.gantry import actions, audit, deployment, health, metrics, workers
from servers.api.gantry.bodies import JUDGED, UNRESOLVED, with_evidence
from servers.api.resources import Field
from servers.api.schema.operation import JSON, Operation, Reply, shows, wrapped
from servers.audit.reading import EXAMINED

OPERATIONS: dict[tuple[type[View], str], Operation] = {
    (actions.ActionList, "get"): Operation(
        "List actions of which it is not known what became",
        (Reply(200, wrapped("actions", UNRESOLVED, many=True)),),
        "With `waiting=true` those that wait for somebody to judge them, with `waiting=false` those that are looked at"
        " again by themselves.",
    ),
    (actions.ActionShow, "get"): shows(
        "Show an action with the evidence and the ways out", "action", with_evidence()
    ),
    (actions.ActionJudgement, "post"): Operation(
        "Judge an action that waits for it",
        (
            Reply(200, wrapped("action", JUDGED), text="It is closed"),
            Reply(202, wrapped("action", JUDGED), text="A worker looks at it again, or takes it back"),
        ),
        "`dead_hosts` are hosts that do not answer, and for which the caller answers: nothing waits for them.",
        refusals=(409,),
        examples={
            "look again": {"verdict": "look_again", "reason": "the switch is mended"},
            "close": {"verdict": "failed", "reason": "node1 has burnt", "dead_hosts": ["node1"]},
        },
    ),
    (audit.AuditList, "get"): Operation(
        "List records of the audit trail",
        (
            Reply(
                200,
                wrapped(
                    "records", audit.RECORD, Field("records_links", LINK, many=True, optional=True), many=True
                ),
                (JSON, audit.JSON_LINES),
                ("Vary",),
            ),
        ),
        "Newest first. A page can have fewer records than `limit`, or none, and a link to the next page all the same:"
        f" where more is asked for than one index finds, {EXAMINED} records are looked through for a page."
        f" To `Accept: {audit.JSON_LINES}` all that is asked for is answered, oldest first, a record a line; `limit` and"
        " `marker` mean nothing then. `number` and `digest` are the record's link in the chain, null until it has one.",
    ),
    (audit.AuditShow, "get"): shows("Show a record of the audit trail", "record", audit.RECORD),
    (deployment.DeploymentShow, "get"): Operation(
        "Show what every machine has to agree about, and which processes differ",
        (Reply(200, wrapped("deployment", deployment.DEPLOYMENT)),),
        "A process that differs stays out of the work that it would spoil: `spoils` is `everything`, or `images`.",
    ),
    (workers.WorkerList, "get"): Operation(
        "List who carries actions out",
        (Reply(200, wrapped("workers", workers.WORKER, many=True)),),
        "Each is a supervisor of worker processes, with the actions that these carry out at this moment.",
    ),
    (health.HealthShow, "get"): shows(
        "Show what each check of the deployment's health has found", "health", health.HEALTH
    ),
    (metrics.Metrics, "get"): Operation(
        "Read the metrics",
        (Reply(200, media_types=("text/plain",)),),
        "In Prometheus' text format. The token may come as `Authorization: Bearer` too, as Prometheus sends it.",
    ),
}
"""By view and method."""

REFUSALS = (400, 401, 403, 404, 415, 503)
"""With which any of these addresses may answer."""
