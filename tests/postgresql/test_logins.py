"""Failures that are counted at one time are all counted, none twice, and none beyond the limit."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections

from servers.errors import TooManyFailedLogins
from servers.logins import limits
from servers.logins.limits import Attempt
from servers.models import LoginFailures

pytestmark = pytest.mark.django_db(transaction=True)
AT_ONCE = 12
TRIES = 60


def fail(attempt: Attempt) -> str:
    try:
        limits.failed(attempt)
    except TooManyFailedLogins:
        return "refused"
    finally:
        connections.close_all()
    return "counted"


def all_at_once(attempts: list[Attempt]) -> Counter[str]:
    with ThreadPoolExecutor(AT_ONCE) as clients:
        return Counter(clients.map(fail, attempts))


@pytest.fixture(autouse=True)
def high_limits(settings: Any) -> None:
    settings.LOGIN_FAILURES_LIMIT = settings.LOGIN_ADDRESS_LIMIT = settings.LOGIN_NAMES_LIMIT = 1000
    settings.LOGIN_TOTAL_LIMIT = 1000


def test_a_name_gets_no_more_answers_than_its_limit(settings: Any) -> None:
    settings.LOGIN_FAILURES_LIMIT = 10
    said = all_at_once([Attempt("anna", "192.0.2.1")] * TRIES)
    assert said == {"counted": 9, "refused": TRIES - 9}
    assert set(LoginFailures.objects.values_list("failures", flat=True)) == {10}


def test_an_address_and_everybody_count_each_failure_once() -> None:
    names = [f"user-{n % 20}" for n in range(TRIES)]
    attempts = [Attempt(name, f"192.0.2.{n % 3}") for n, name in enumerate(names)]
    assert all_at_once(attempts) == {"counted": TRIES}
    by_address = LoginFailures.objects.filter(of="address").order_by("address")
    assert [(row.failures, row.names) for row in by_address] == [(TRIES // 3, 20)] * 3
    assert LoginFailures.objects.get(of="all").failures == TRIES
    assert LoginFailures.objects.filter(of="pair").count() == 60
