"""Accepted actions, Nova's instance actions, with their events: the truth about all work."""

from __future__ import annotations

from uuid import uuid4

from django.db import models
from django.db.models import Q

from servers import clock
from servers.models.image import Image
from servers.models.machine import ActionMachine
from servers.models.migration import Migration
from servers.models.server import Server
from servers.states import HELD_ACTION_STATUSES, ActionStatus, QueueClass

CALLER = "caller"
"""What the memo calls whoever asked, with the credentials that a policy rule is asked with (`Context.credentials`)."""


class ActionRecord(ActionMachine):
    """An accepted action: who wants what done to which server, who works on it, and how far it is.

    `attempt` is the fencing token: each claim raises it, and every later write of that worker filters on it.
    """

    uuid = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    request_id = models.CharField(max_length=64, db_index=True)
    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="actions")
    slug = models.CharField(max_length=64, help_text="The definition's own name.")
    name = models.CharField(max_length=64, db_index=True, help_text="Nova's name for the record.")
    definition = models.PositiveSmallIntegerField(default=1, help_text="Version of the definition.")
    user_id = models.CharField(max_length=64)
    user_name = models.CharField(max_length=255, blank=True)
    project_id = models.CharField(max_length=64)
    door = models.CharField(max_length=16, default="rest")
    microversion = models.CharField(max_length=8)
    params = models.JSONField(default=dict)
    sealed = models.TextField(blank=True, help_text="Secret parameters, encrypted; emptied at the end.")
    exclusive = models.BooleanField(default=True)
    migration = models.ForeignKey(
        Migration, null=True, blank=True, on_delete=models.SET_NULL, related_name="actions"
    )
    image = models.ForeignKey(Image, null=True, blank=True, on_delete=models.SET_NULL, related_name="actions")

    message = models.CharField(max_length=255, blank=True, help_text="Empty, or Error.")
    error_code = models.CharField(max_length=64, blank=True)
    error_text = models.TextField(blank=True)
    former_vm_state = models.CharField(max_length=32, blank=True)
    former_power_state = models.PositiveSmallIntegerField(default=0)
    source_host = models.CharField(max_length=255, blank=True)

    attempt = models.PositiveIntegerField(default=0)
    tries = models.PositiveIntegerField(default=0, help_text="How often a retryable fault put it back.")
    futile = models.PositiveIntegerField(default=0, help_text="Attempts in a row without any progress.")
    last_progress = models.CharField(max_length=64, blank=True, help_text="How far it was at the last claim.")
    stalled_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when it waits for somebody to judge it."
    )
    verdict = models.JSONField(
        default=dict, blank=True, help_text="How it is to end once all is undone: edge, code and text."
    )
    judgements = models.JSONField(default=list, blank=True, help_text="Who has judged it, how, and why.")
    worker = models.CharField(max_length=128, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(default=clock.now, db_index=True)
    queue_class = models.CharField(
        max_length=16, default=QueueClass.GENERAL.value, help_text="With which others it shares the workers."
    )
    waits_for_host = models.CharField(
        max_length=255, blank=True, help_text="Host whose slot for a live migration it waits for."
    )
    steps = models.JSONField(default=list, help_text="Steps that were begun, in order: name, began, ended.")
    memo = models.JSONField(default=dict, help_text="What one step leaves for the next.")
    step = models.CharField(max_length=64, blank=True)
    progress_percent = models.PositiveSmallIntegerField(default=0)
    result = models.JSONField(default=dict, help_text="What the guest or the hypervisor answered.")
    left_on = models.CharField(
        max_length=255, blank=True, help_text="Host on which it has left something that is to be removed."
    )
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    force_requested_at = models.DateTimeField(null=True, blank=True)
    overtaken_by = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    created_at = models.DateTimeField(default=clock.now)
    started_at = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(default=clock.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "action"
        ordering = ["-created_at", "-uuid"]
        indexes = [
            models.Index(fields=["server", "-created_at"], name="action_of_server"),
            models.Index(fields=["status", "due_at"], name="action_due"),
            models.Index(
                fields=["waits_for_host", "queue_class", "created_at"],
                condition=Q(finished_at=None),  # without a value, so that SQLite can prove it as well
                name="action_in_queue",
            ),
            models.Index(fields=["left_on"], condition=~Q(left_on=""), name="action_left_on"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["server"],
                condition=Q(exclusive=True, status__in=sorted(HELD_ACTION_STATUSES)),
                name="one_exclusive_action_per_server",
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.server_id}: {self.status}"

    @property
    def is_over(self) -> bool:
        return self.status in {ActionStatus.SUCCEEDED, ActionStatus.FAILED, ActionStatus.CANCELLED}

    def begin(self, step: str) -> None:
        """Note that a step begins; does nothing where it was begun before."""
        if step not in self.begun:
            entry = {"name": step, "began": clock.now().isoformat(), "effect": None, "ended": None}
            self.steps = [*self.steps, entry]

    def finish(self, step: str) -> None:
        """Note that a step is done."""
        self.mark(step, "ended")

    def mark(self, step: str, fact: str) -> None:
        """Note when a step had its first "effect", "ended", or was "undone"; the first time counts."""
        now = clock.now().isoformat()
        self.steps = [
            {**known, fact: known.get(fact) or now} if known["name"] == step else known
            for known in self.steps
        ]

    @property
    def begun(self) -> list[str]:
        """The names of the steps that were begun, in order."""
        return [step["name"] for step in self.steps]

    @property
    def done(self) -> list[str]:
        """The names of the steps that are done, in order."""
        return [step["name"] for step in self.steps if step["ended"]]

    @property
    def effective(self) -> list[str]:
        """The names of the steps that may have made something which is not undone, in order.

        An entry of an older version does not say so: there each step that was begun counts.
        """
        return [
            step["name"]
            for step in self.steps
            if step.get("effect", step["began"]) and not step.get("undone")
        ]

    @property
    def progress(self) -> str:
        """How far the action is, in a form that changes with each step in its journal and each percent of a job."""
        facts = sum(1 for step in self.steps for value in step.values() if value)
        return f"{facts} {self.progress_percent} {self.overtaken_by_id or ''}"


class ActionEvent(models.Model):
    """A part of an action. Every attempt at a host is an event of its own: the name repeats."""

    action = models.ForeignKey(ActionRecord, on_delete=models.CASCADE, related_name="events")
    name = models.CharField(max_length=64)
    host = models.CharField(max_length=255, blank=True)
    attempt = models.PositiveIntegerField(default=0)
    result = models.CharField(max_length=8, blank=True, help_text="Empty while it runs, Success, or Error.")
    details = models.TextField(blank=True)
    code = models.CharField(max_length=64, blank=True)
    traceback = models.TextField(blank=True)
    facts = models.JSONField(default=dict, help_text="For a choice of host: each host with its reason.")
    started_at = models.DateTimeField(default=clock.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.name} at {self.host}: {self.result or 'running'}"


class Worker(models.Model):
    """A supervisor of worker processes, and when it was last heard of."""

    name = models.CharField(max_length=128, unique=True)
    processes = models.PositiveSmallIntegerField(default=1)
    started_at = models.DateTimeField(default=clock.now)
    seen_at = models.DateTimeField(default=clock.now)

    def __str__(self) -> str:
        return self.name
