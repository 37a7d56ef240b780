"""What somebody shows besides a password, or instead of one."""

from __future__ import annotations

from django.db import models

from servers import clock
from servers.models.identity import User


class SecondFactor(models.Model):
    """A device that shows a user's codes (TOTP, RFC 6238), and his recovery codes."""

    user = models.OneToOneField(
        User, primary_key=True, on_delete=models.CASCADE, related_name="second_factor"
    )
    sealed = models.TextField(editable=False)
    """Its key, encrypted as `servers.sealed_parameters` says."""
    last_step = models.BigIntegerField(default=0, editable=False)
    """The time step of the last code that was accepted: only codes of later ones are."""
    failures = models.PositiveIntegerField(default=0, editable=False)
    """Wrong codes since the last right one, from wherever they came."""
    recovery = models.JSONField(default=list, editable=False)
    """The digests of the recovery codes that are left."""
    made_at = models.DateTimeField(default=clock.now, editable=False)

    def __str__(self) -> str:
        return f"second factor of {self.user_id}"


class FederatedIdentity(models.Model):
    """By what an OpenID provider knows a user: he is found again by this, never by a name or an address."""

    user = models.OneToOneField(
        User, primary_key=True, on_delete=models.CASCADE, related_name="federated_identity"
    )
    issuer = models.CharField(max_length=255, editable=False)
    subject = models.CharField(max_length=255, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["issuer", "subject"], name="federated_once")]

    def __str__(self) -> str:
        return f"{self.subject} of {self.issuer}"
