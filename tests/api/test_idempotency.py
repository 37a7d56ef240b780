"""A request that is repeated with its Idempotency-Key is carried out once, at every address that changes something."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import DatabaseError, OperationalError, connection
from django.test.utils import CaptureQueriesContext

from servers import clock
from servers.actions import Action, registry
from servers.api.idempotency import is_once
from servers.api.identity.tokens import Tokens
from servers.api.schema.routes import routes
from servers.engine.accepting.idempotency import LEFT, Claim
from servers.errors import ClaimLost, MigrationPreCheckError
from servers.models import ActionRecord, ApplicationCredential, IdempotencyKey, Server, Token
from servers.supervisor.retention import prune
from tests.api.image.storing import stored
from tests.conftest import Caller
from tests.factories import make_migration, make_token
from tests.fuzz.rows import rows
from tests.ready import example_of, ready_server
from tests.small_fleet import SmallFleet, fleet_of
from tests.stalling import stalled_move

pytestmark = pytest.mark.django_db

UNSAFE = ("post", "put", "patch", "delete")
WITHOUT_KEYS = {
    (Tokens, "post"): "a login makes a token, and a token is never kept",
}
"""What changes something and takes no key."""
CHANGING = [
    (route.path, method, route.view)
    for route in routes()
    for method in UNSAFE
    if hasattr(route.view, method) and method in getattr(route.view, "http_method_names", UNSAFE)
]
KEY = "8e03978e-40d5-43e8-bc93-6894a57f9324"
RESTLESS = {"Date", "Idempotency-Replayed"}


@dataclass
class Ask:
    """A request, and another one at the same address."""

    method: str
    path: str
    body: Any
    other: Any
    headers: dict[str, str] = field(default_factory=dict)
    version: str | None = None
    other_version: str | None = None
    """The other one's, where no other body is possible."""
    secret: bool = False
    """Whether the answer holds a secret."""

    def send(self, caller: Caller, body: Any = None, key: str = KEY) -> Any:
        headers = {**self.headers, "Idempotency-Key": key}
        return caller.request(
            self.method.upper(), self.path, self.body if body is None else body, self.version, **headers
        )


@pytest.fixture
def fleet(project: Any) -> Iterator[SmallFleet]:
    with fleet_of(project) as fleet:
        yield fleet


def moving(fleet: SmallFleet, **fields: Any) -> tuple[Server, int]:
    """Return a server of which a live migration is going on, and that one's number."""
    server = fleet.add_server()
    migration = make_migration(server, **fields)
    Server.objects.filter(pk=server.pk).update(task_state="migrating")
    return server, migration.pk


def act(fleet: SmallFleet, admin: Caller, action: type[Action]) -> Ask:
    server = ready_server(fleet, action)
    body = {action.wire_name: example_of(action) or None}
    return Ask(
        "post",
        f"/v2.1/servers/{server.pk}/action",
        body,
        {"lock": {"locked_reason": "other"}},
        version="latest",
    )


def act_on_migration(fleet: SmallFleet, admin: Caller) -> Ask:
    server, number = moving(fleet)
    path = f"/v2.1/servers/{server.pk}/migrations/{number}/action"
    return Ask("post", path, {"force_complete": None}, None, version="latest", other_version="2.22")


def abort(fleet: SmallFleet, admin: Caller) -> Ask:
    server, number = moving(fleet)
    return Ask("delete", f"/v2.1/servers/{server.pk}/migrations/{number}", b"", b"{}", version="latest")


def switch_service(fleet: SmallFleet, admin: Caller) -> Ask:
    service = fleet.add_host("switched").service_uuid
    body, other = {"status": "disabled", "disabled_reason": "fan"}, {"status": "enabled"}
    return Ask("put", f"/v2.1/os-services/{service}", body, other, version="latest")


def delete_by_nova(fleet: SmallFleet, admin: Caller) -> Ask:
    return Ask("delete", f"/v2.1/images/{stored(admin.project).pk}", b"", b"{}")


def delete_by_glance(fleet: SmallFleet, admin: Caller) -> Ask:
    return Ask("delete", f"/image/v2/images/{stored(admin.project).pk}", b"", b"{}")


def patch_image(fleet: SmallFleet, admin: Caller) -> Ask:
    media_type = {"Content_Type": "application/openstack-images-v2.1-json-patch"}
    body = [{"op": "replace", "path": "/name", "value": "nightly"}]
    other = [{"op": "replace", "path": "/name", "value": "weekly"}]
    return Ask("patch", f"/image/v2/images/{stored(admin.project).pk}", body, other, media_type)


def make_credential(fleet: SmallFleet, admin: Caller) -> Ask:
    path = f"/identity/v3/users/{admin.user.pk}/application_credentials"
    body, other = ({"application_credential": {"name": name}} for name in ("nightly", "weekly"))
    return Ask("post", path, body, other, secret=True)


def delete_credential(fleet: SmallFleet, admin: Caller) -> Ask:
    made = ApplicationCredential(name="old", user=admin.user, project=admin.project, roles=["member"])
    made.set_secret("secret")
    made.save()
    return Ask("delete", f"/identity/v3/users/{admin.user.pk}/application_credentials/{made.pk}", b"", b"{}")


def revoke_token(fleet: SmallFleet, admin: Caller) -> Ask:
    subject = {"X_Subject_Token": make_token(admin.user, admin.project, ["admin"])}
    return Ask("delete", "/identity/v3/auth/tokens", b"", b"{}", subject)


def judge(fleet: SmallFleet, admin: Caller) -> Ask:
    record = stalled_move(fleet, fleet.add_server("stuck"))
    body, other = ({"verdict": "failed", "reason": why} for why in ("burnt", "drowned"))
    return Ask("post", f"/gantry/v1/actions/{record.pk}/judgement", body, other)


SCENES: dict[tuple[str, str], Callable[[SmallFleet, Caller], Ask]] = {
    ("/v2.1/servers/{server_id}/action", "post"): lambda fleet, admin: act(fleet, admin, registry["lock"]),
    ("/v2.1/servers/{server_id}/migrations/{migration_id}/action", "post"): act_on_migration,
    ("/v2.1/servers/{server_id}/migrations/{migration_id}", "delete"): abort,
    ("/v2.1/os-services/{service_id}", "put"): switch_service,
    ("/v2.1/images/{image_id}", "delete"): delete_by_nova,
    ("/image/v2/images/{image_id}", "delete"): delete_by_glance,
    ("/image/v2/images/{image_id}", "patch"): patch_image,
    ("/identity/v3/users/{user_id}/application_credentials", "post"): make_credential,
    ("/identity/v3/users/{user_id}/application_credentials/{pk}", "delete"): delete_credential,
    ("/identity/v3/auth/tokens", "delete"): revoke_token,
    ("/gantry/v1/actions/{action_id}/judgement", "post"): judge,
}
KEYED = [(path, method) for path, method, view in CHANGING if (view, method) not in WITHOUT_KEYS]
every_change = pytest.mark.parametrize(("path", "method"), KEYED, ids=[f"{m} {p}" for p, m in KEYED])
every_action = pytest.mark.parametrize(
    "action", [a for a in registry.values() if a.wire_name and not a.on_migration], ids=lambda a: a.slug
)


def everything() -> list[Any]:
    """Return what requests change."""
    tokens = list(Token.objects.order_by("pk").values("pk", "revoked_at"))
    return [*rows(), tokens, list(ActionRecord.objects.order_by("pk").values())]


def headers_of(answer: Any) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name not in RESTLESS}


def assert_replayed(first: Any, repeat: Any) -> None:
    assert repeat.headers.get("Idempotency-Replayed") == "true", repeat.content
    assert "Idempotency-Replayed" not in first.headers
    assert (repeat.status_code, repeat.content) == (first.status_code, first.content)
    assert headers_of(repeat) == headers_of(first)


@pytest.mark.parametrize(("path", "method", "view"), CHANGING, ids=[f"{m} {p}" for p, m, _ in CHANGING])
def test_whatever_changes_something_takes_a_key_or_says_why_not(path: str, method: str, view: Any) -> None:
    assert is_once(view, method) is ((view, method) not in WITHOUT_KEYS)


@every_change
def test_a_repeat_gets_the_first_answer_and_changes_nothing(
    path: str, method: str, fleet: SmallFleet, admin: Caller
) -> None:
    ask = SCENES[path, method](fleet, admin)
    first = ask.send(admin)
    assert first.status_code in {200, 201, 202, 204}, first.content
    before = everything()
    repeat = ask.send(admin)
    assert everything() == before
    if ask.secret:
        assert repeat.status_code == 409
        assert "nightly" in repeat.content.decode()
    else:
        assert_replayed(first, repeat)


@every_action
def test_each_action_is_accepted_once(action: type[Action], fleet: SmallFleet, admin: Caller) -> None:
    ask = act(fleet, admin, action)
    first, repeat = ask.send(admin), ask.send(admin)
    assert first.status_code in {202, 204}, first.content
    assert_replayed(first, repeat)
    (record,) = ActionRecord.objects.filter(name=action.record_name)
    assert repeat.headers["x-compute-request-id"] == record.request_id


@every_change
def test_the_key_of_another_request_is_refused(
    path: str, method: str, fleet: SmallFleet, admin: Caller
) -> None:
    ask = SCENES[path, method](fleet, admin)
    ask.send(admin)
    before = everything()
    ask.version = ask.other_version or ask.version
    other = ask.send(admin, ask.other)
    assert other.status_code == 422, other.content
    assert everything() == before


@every_change
def test_a_request_whose_claim_was_taken_over_changes_nothing(
    path: str, method: str, fleet: SmallFleet, admin: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = SCENES[path, method](fleet, admin)
    before = everything()
    real = Claim.keep

    def late(self: Claim, *args: Any, **kwargs: Any) -> None:
        IdempotencyKey.objects.update(token=uuid4())
        real(self, *args, **kwargs)

    monkeypatch.setattr(Claim, "keep", late)
    answer = ask.send(admin)
    assert answer.status_code == 409
    assert ClaimLost.template().split(";")[0] in answer.content.decode()
    after = everything()
    if path.endswith("judgement"):  # its lease leaves traces; the action waits as before
        assert [a["status"] for a in after[-1]] == [a["status"] for a in before[-1]]
    else:
        assert after == before


@every_change
def test_while_the_first_is_under_way_a_repeat_is_told_so(
    path: str, method: str, fleet: SmallFleet, admin: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = SCENES[path, method](fleet, admin)
    seen: list[Any] = []
    real = Claim.__enter__

    def enter(self: Claim) -> Claim:
        if not seen:
            seen.append(None)
            seen[0] = ask.send(admin)
        return real(self)

    monkeypatch.setattr(Claim, "__enter__", enter)
    assert ask.send(admin).status_code in {200, 201, 202, 204}
    assert seen[0].status_code == 409
    assert "under way" in seen[0].content.decode()


def lock(fleet: SmallFleet, admin: Caller) -> Ask:
    return act(fleet, admin, registry["lock"])


def test_a_refusal_is_judged_anew(fleet: SmallFleet, admin: Caller) -> None:
    ask = act(fleet, admin, registry["pause"])
    Server.objects.update(task_state="migrating")
    assert ask.send(admin).status_code == 409
    assert not IdempotencyKey.objects.exists()
    Server.objects.update(task_state="")
    assert ask.send(admin).status_code == 202


def test_what_was_accepted_before_an_error_is_not_accepted_again(
    fleet: SmallFleet, admin: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = act(fleet, admin, registry["create-backup"])

    def fails(image: Any) -> None:
        raise DatabaseError("gone")

    monkeypatch.setattr("servers.engine.images.announce", fails)
    assert ask.send(admin).status_code >= 500
    assert ActionRecord.objects.count() == 1
    repeat = ask.send(admin)
    assert (repeat.status_code, repeat.headers["Idempotency-Replayed"]) == (202, "true")
    assert ActionRecord.objects.count() == 1


class TestChecksInTheRequest:
    """A live migration below 2.34 is accepted first, and checked while the caller waits."""

    def ask(self, fleet: SmallFleet) -> Ask:
        server = fleet.add_server()
        body = {"os-migrateLive": {"host": None, "block_migration": False, "disk_over_commit": False}}
        return Ask("post", f"/v2.1/servers/{server.pk}/action", body, None, version="2.1")

    def test_one_that_its_checks_refuse_is_judged_anew(
        self, fleet: SmallFleet, admin: Caller, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ask = self.ask(fleet)

        def refuses(action: Any) -> None:
            raise MigrationPreCheckError(reason="no room")

        with monkeypatch.context() as patch:
            patch.setattr("servers.engine.accepting.submit.carry_out_in_request", refuses)
            assert ask.send(admin).status_code == 400
        assert not IdempotencyKey.objects.exists()

    def test_a_repeat_during_the_checks_is_told_to_wait_and_one_after_them_is_answered(
        self, fleet: SmallFleet, admin: Caller, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ask = self.ask(fleet)
        seen = []
        monkeypatch.setattr(
            "servers.engine.accepting.submit.carry_out_in_request",
            lambda action: seen.append(ask.send(admin)),
        )
        first = ask.send(admin)
        assert first.status_code == 202
        assert seen[0].status_code == 409
        assert_replayed(first, ask.send(admin))

    def test_checks_that_died_leave_the_answer(
        self, fleet: SmallFleet, admin: Caller, monkeypatch: pytest.MonkeyPatch, settings: Any
    ) -> None:
        ask = self.ask(fleet)
        monkeypatch.setattr("servers.engine.accepting.submit.carry_out_in_request", lambda action: None)
        monkeypatch.setattr(Claim, "__exit__", lambda *args: None)
        assert ask.send(admin).status_code == 202
        assert ask.send(admin).status_code == 409
        clock.sleep(settings.IDEMPOTENCY_CLAIM_S + 1)
        assert ask.send(admin).headers["Idempotency-Replayed"] == "true"
        assert ActionRecord.objects.count() == 1


def test_a_claim_whose_request_died_ends_by_itself(fleet: SmallFleet, admin: Caller, settings: Any) -> None:
    ask = lock(fleet, admin)
    ask.send(admin)
    IdempotencyKey.objects.update(status=None)
    assert ask.send(admin).status_code == 409
    clock.sleep(settings.IDEMPOTENCY_CLAIM_S + 1)
    assert ask.send(admin).status_code == 202
    assert ActionRecord.objects.count() == 2


def test_a_key_belongs_to_caller_and_address(fleet: SmallFleet, admin: Caller, project: Any) -> None:
    ask, elsewhere = lock(fleet, admin), lock(fleet, admin)
    answers = [ask.send(admin), ask.send(Caller(project, "admin")), elsewhere.send(admin)]
    assert [a.status_code for a in answers] == [202] * 3
    assert not any("Idempotency-Replayed" in a.headers for a in answers)


def test_the_microversion_is_part_of_the_request(fleet: SmallFleet, admin: Caller) -> None:
    ask = lock(fleet, admin)
    ask.body = {"lock": None}
    ask.send(admin)
    ask.version = "2.1"
    assert ask.send(admin).status_code == 422


def test_the_same_json_in_other_words_is_the_same_request(fleet: SmallFleet, admin: Caller) -> None:
    ask = act(fleet, admin, registry["live-migration"])
    first = ask.send(admin)
    said = {k: dict(reversed(v.items())) for k, v in ask.body.items()}
    assert_replayed(first, ask.send(admin, json.dumps(said, indent=3).encode()))


@pytest.mark.parametrize("key", [KEY, f'"{KEY}"', '"a b"', '"a\\"b"', "x" * 255, f" {KEY} "])
def test_keys_are_taken_quoted_and_bare(key: str, fleet: SmallFleet, admin: Caller) -> None:
    ask = lock(fleet, admin)
    first = ask.send(admin, key=key)
    assert_replayed(first, ask.send(admin, key=key))


@pytest.mark.parametrize("key", ["", '""', "a b", '"', '"a', "x" * 256, "é", '"a"b"', '"\\a"', "a\x07"])
def test_what_is_no_key_is_refused(key: str, fleet: SmallFleet, admin: Caller) -> None:
    answer = lock(fleet, admin).send(admin, key=key)
    assert answer.status_code == 400, answer.content
    assert not ActionRecord.objects.exists()


def test_a_quoted_key_and_the_bare_one_are_the_same(fleet: SmallFleet, admin: Caller) -> None:
    ask = lock(fleet, admin)
    assert_replayed(ask.send(admin), ask.send(admin, key=f'"{KEY}"'))


def test_a_request_without_a_key_costs_no_query_more(fleet: SmallFleet, admin: Caller) -> None:
    ask = lock(fleet, admin)
    with CaptureQueriesContext(connection) as queries:
        admin.post(ask.path, ask.body, ask.version)
    assert not [q for q in queries if "idempotencykey" in q["sql"]]


def test_an_answer_is_kept_for_a_day_and_then_forgotten(
    fleet: SmallFleet, admin: Caller, settings: Any
) -> None:
    ask = lock(fleet, admin)
    first = ask.send(admin)
    clock.sleep(settings.IDEMPOTENCY_KEEP_S - 60)
    prune()
    kept = IdempotencyKey.objects.get()
    assert (kept.status, timedelta(seconds=settings.IDEMPOTENCY_KEEP_S)) == (
        first.status_code,
        timedelta(days=1),
    )
    clock.sleep(61)
    assert prune()["idempotency keys"] == 1


def test_nothing_that_is_secret_is_kept(fleet: SmallFleet, admin: Caller) -> None:
    password = "correct-horse-battery"
    server = fleet.add_server()
    Ask("post", f"/v2.1/servers/{server.pk}/action", {"changePassword": {"adminPass": password}}, None).send(
        admin
    )
    made = make_credential(fleet, admin).send(admin)
    secret = made.json()["application_credential"]["secret"]
    assert IdempotencyKey.objects.count() == 2
    for kept in IdempotencyKey.objects.values():
        assert password not in str(kept)
        assert secret not in str(kept)
        assert admin.secret not in str(kept)


# ----------------------------------------------------------------------------- the database goes away


def away(*given: object, **named: object) -> None:
    raise OperationalError("the server closed the connection")


@pytest.mark.parametrize("when", ["handled", "claimed"])
def test_key_is_free_again_as_soon_as_the_database_is_back(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    caller, server = Caller(fleet.project, "admin"), fleet.add_server()
    path, body = f"/v2.1/servers/{server.pk}/action", {"resetNetwork": None}
    with monkeypatch.context() as patch:
        if when == "handled":
            patch.setattr("servers.api.compute.actions.submit", away)
            patch.setattr("django.db.models.query.QuerySet.delete", away)
        else:
            patch.setattr("servers.engine.accepting.idempotency.take_over", away)
            patch.setattr("servers.engine.accepting.idempotency.Claim", away)
        assert caller.post(path, body, **{"Idempotency-Key": KEY}).status_code == 503
    assert IdempotencyKey.objects.filter(status=None).exists()
    assert caller.post(path, body, **{"Idempotency-Key": KEY}).status_code == 202
    assert ActionRecord.objects.count() == 1 and not LEFT
