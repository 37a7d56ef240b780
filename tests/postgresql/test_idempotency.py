"""Sixteen who send the same request with the same key at the same moment: it is carried out once, and no 5xx."""

from __future__ import annotations

import os
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections

from servers.audit import reading
from servers.models import ActionRecord, ApplicationCredential, IdempotencyKey, Server
from tests.conftest import Caller
from tests.small_fleet import SmallFleet

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = int(os.environ.get("RACES", "2"))
CROWD = 16


def rush(caller: Caller, method: str, path: str, body: Any, version: str | None = None) -> Counter[str]:
    """Send a request CROWD times at once with one key; return how often each answer came."""
    barrier, key = threading.Barrier(CROWD), f'"{uuid4()}"'

    def send(_: int) -> str:
        try:
            barrier.wait(30)
            answer = caller.request(method, path, body, version, Idempotency_Key=key)
        finally:
            connections.close_all()
        if answer.status_code < 300:
            return "replayed" if "Idempotency-Replayed" in answer.headers else "carried out"
        return "told to wait" if answer.status_code == 409 else f"{answer.status_code} {answer.content!r}"

    with ThreadPoolExecutor(CROWD) as pool:
        return Counter(pool.map(send, range(CROWD)))


def rush_actions(server: Server, caller: Caller) -> Counter[str]:
    """Send an action that any number of times could be accepted."""
    return rush(caller, "POST", f"/v2.1/servers/{server.pk}/action", {"injectNetworkInfo": None}, "2.90")


def test_an_action_is_accepted_once(fleet: SmallFleet) -> None:
    server, caller = fleet.add_server(), Caller(fleet.project, "admin")
    for number in range(ROUNDS):
        answers = rush_actions(server, caller)
        assert answers["carried out"] == 1, answers
        assert set(answers) <= {"carried out", "replayed", "told to wait"}
        assert ActionRecord.objects.count() == number + 1


def test_requests_that_take_each_others_claim_over_are_accepted_once(
    fleet: SmallFleet, settings: Any
) -> None:
    settings.IDEMPOTENCY_CLAIM_S = 0
    server, caller = fleet.add_server(), Caller(fleet.project, "admin")
    for number in range(ROUNDS):
        answers = rush_actions(server, caller)
        assert set(answers) <= {"carried out", "replayed", "told to wait"}, answers
        assert ActionRecord.objects.count() == number + 1
        assert IdempotencyKey.objects.exclude(status=None).count() == number + 1


def test_a_service_is_switched_once(fleet: SmallFleet) -> None:
    caller, host = Caller(fleet.project, "admin"), fleet.add_host("switched")
    before = reading.of(host).by_index.count()
    body = {"status": "disabled", "disabled_reason": "fan"}
    answers = rush(caller, "PUT", f"/v2.1/os-services/{host.service_uuid}", body, "2.90")
    assert answers["carried out"] == 1, answers
    assert set(answers) <= {"carried out", "replayed", "told to wait"}
    assert reading.of(host).by_index.count() == before + 1


def test_a_secret_is_told_once(fleet: SmallFleet) -> None:
    caller = Caller(fleet.project, "admin")
    path = f"/identity/v3/users/{caller.user.pk}/application_credentials"
    answers = rush(caller, "POST", path, {"application_credential": {"name": "nightly"}})
    assert answers == {"carried out": 1, "told to wait": CROWD - 1}
    assert ApplicationCredential.objects.count() == 1
