"""What every process of the deployment has to agree about, and which processes there are."""

from __future__ import annotations

from django.db import models

from servers import clock


class DeploymentFact(models.Model):
    """What the deployment has: its image store, its settings, its version and the like. Compared, never used."""

    name = models.CharField(primary_key=True, max_length=32)
    value = models.JSONField()
    set_by = models.CharField(max_length=128)
    set_at = models.DateTimeField(default=clock.now)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Member(models.Model):
    """A process of the deployment: a web server process, or a supervisor of workers. What it has, and how that differs."""

    name = models.CharField(primary_key=True, max_length=128)
    role = models.CharField(max_length=16)
    machine = models.CharField(max_length=64)
    values = models.JSONField(default=dict, help_text="What it has of each fact, by the fact's name.")
    differences = models.JSONField(
        default=list, help_text="Where it differs from the deployment: fact, reason, remedy."
    )
    started_at = models.DateTimeField(default=clock.now)
    seen_at = models.DateTimeField(default=clock.now, db_index=True)

    class Meta:
        ordering = ["machine", "role", "name"]

    def __str__(self) -> str:
        return self.name
