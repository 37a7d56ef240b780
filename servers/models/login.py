"""What is remembered of logins: how many have failed, and from where people log in."""

from __future__ import annotations

from django.db import models


class LoginFailures(models.Model):
    """How many logins have failed within a time: of one name from one address, from one address, or in all.

    There is one row for each, however many fail. Until `ends_at` failures are added to it, and at its limit it refuses
    until then; nothing is written meanwhile. Afterwards the row counts for nothing.
    """

    class Of(models.TextChoices):
        PAIR = "pair"
        ADDRESS = "address"
        ALL = "all"

    of = models.CharField(max_length=8, choices=Of.choices)
    name = models.CharField(max_length=255, blank=True)
    """What was given as a name, of a pair: whether or not there is such a user."""
    address = models.CharField(max_length=64, blank=True)
    """An IPv4 address, or the /64 of an IPv6 one."""
    failures = models.PositiveIntegerField(default=0)
    names = models.PositiveIntegerField(default=0)
    """Of an address: with how many different names."""
    ends_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["of", "name", "address"], name="login_failures_once")]

    def __str__(self) -> str:
        return f"{self.failures} failed logins of {self.of} {self.name} {self.address}"


class KnownAddress(models.Model):
    """An address from which somebody has logged in; IPv6 by /64."""

    address = models.CharField(primary_key=True, max_length=64)
    seen_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.address
