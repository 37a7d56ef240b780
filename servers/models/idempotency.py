"""Idempotency keys: what was answered to a request that may come again."""

from __future__ import annotations

from django.db import models

from servers import clock


class IdempotencyKey(models.Model):
    """A key of one caller at one address: the claim of the request that has it, then that request's answer.

    There is a row from the claim on; a request that is refused leaves none. It has no answer as long as
    `status` is null.
    """

    digest = models.CharField(primary_key=True, max_length=64)
    """Of caller, address and key."""
    fingerprint = models.CharField(max_length=64)
    """Of everything else that makes the request."""
    token = models.UUIDField()
    """The fencing token of the claim: an answer is kept only by the request that has it."""
    claimed_at = models.DateTimeField(default=clock.now, db_index=True)
    checking = models.BooleanField(default=False)
    """Whether checks may still refuse what was accepted: the answer counts once they have passed."""
    request_id = models.CharField(max_length=64, blank=True)
    status = models.PositiveSmallIntegerField(null=True)
    headers = models.JSONField(default=dict)
    body = models.TextField(blank=True)
    made = models.TextField(blank=True)
    """What was made, where the answer holds a secret and is not kept."""

    def __str__(self) -> str:
        return f"{self.digest[:12]} of {self.claimed_at:%Y-%m-%d %H:%M:%S}"
