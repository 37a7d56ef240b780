"""Somebody comes back from an OpenID provider: whom it names is let in, with the roles of his groups, and nobody else."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote_plus

import jwt
import pytest
from django.test import Client

from project import logs
from servers.logins import openid
from servers.logins.openid_settings import Grant
from servers.models import (
    ApplicationCredential,
    AuditRecord,
    Domain,
    FederatedIdentity,
    KnownAddress,
    Membership,
    Project,
    User,
)
from servers.waiting import PLACES
from tests.admin.visiting import words
from tests.api.identity.logging_in import by_credential, get, login, password, subject
from tests.factories import make_domain, make_project, make_user
from tests.logins.openid_provider import (
    CLIENT,
    KEY,
    OTHER_KEY,
    RETURN,
    SECRET,
    START,
    Saying,
    basic,
    begin,
    challenge_of,
    openid_provider,
    sign_on,
)

pytestmark = pytest.mark.django_db
HOME = "/admin/"
LOGIN = "/admin/login/"


@pytest.fixture(scope="module")
def server() -> Iterator[Saying]:
    with openid_provider() as said:
        yield said


@pytest.fixture
def provider(server: Saying, settings: Any, shop: Project) -> Saying:
    """Return the provider, who says what is right; Gantry knows it."""
    server.__init__(server.issuer)  # type: ignore[misc]
    openid.discovered.cache_clear()
    settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = server.issuer, CLIENT, SECRET
    settings.OIDC_NAME, settings.OIDC_TIMEOUT_S = "Example & Co", 2
    settings.OIDC_GROUPS = (
        Grant("staff", "member", "shop"),
        Grant("ops", "admin"),
        Grant("gone", "admin", "?"),
    )
    settings.AUTHENTICATION_BACKENDS = [
        *settings.AUTHENTICATION_BACKENDS,
        "servers.logins.openid.ProviderBackend",
    ]
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return server


@pytest.fixture
def shop(db: None) -> Project:
    make_domain()
    return make_project(name="shop")


@pytest.fixture
def client() -> Client:
    return Client()


def is_in(client: Client) -> bool:
    return client.get(HOME).status_code == 200


def roles(user: User) -> set[tuple[str, str]]:
    rows = Membership.objects.filter(user=user).values_list("project__name", "role")
    return {(project or "", role) for project, role in rows}


# ---------------------------------------------------------------------------------------- there and back


def test_whom_the_provider_names_is_let_in_where_he_wanted_to_go(client: Client, provider: Saying) -> None:
    answer = sign_on(client, provider, "/admin/servers/server/")
    assert (answer.status_code, answer["Location"]) == (302, "/admin/servers/server/")
    assert is_in(client)
    user = User.objects.get(name="eva")
    assert roles(user) == {("shop", "member")} and not user.has_usable_password()
    assert KnownAddress.objects.exists()


@pytest.mark.parametrize("onward", ["", "https://elsewhere.example.org/", "//elsewhere.example.org"])
def test_nobody_is_sent_elsewhere(client: Client, provider: Saying, onward: str) -> None:
    assert sign_on(client, provider, onward)["Location"] == HOME


def test_the_provider_is_asked_for_a_code_with_state_nonce_and_challenge(
    client: Client, provider: Saying
) -> None:
    asked = begin(client, provider)
    assert asked["response_type"] == "code" and asked["client_id"] == CLIENT
    assert asked["redirect_uri"] == f"http://testserver{RETURN}"
    assert asked["code_challenge_method"] == "S256"
    assert {len(asked["state"]), len(asked["nonce"])} == {32}


@pytest.mark.parametrize("is_basic", [True, False])
def test_the_code_is_given_back_with_the_verifier_and_the_secret(
    client: Client, provider: Saying, is_basic: bool
) -> None:
    if not is_basic:
        provider.discovery = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    sign_on(client, provider)
    [(_, headers, form)] = [each for each in provider.asked if each[0] == "/token"]
    assert challenge_of(form["code_verifier"]) == provider.challenge
    assert (form["grant_type"], form["code"]) == ("authorization_code", "the code")
    if is_basic:
        assert basic(headers) == f"{CLIENT}:{quote_plus(SECRET)}" and "client_secret" not in form
    else:
        assert form["client_secret"] == SECRET and "Authorization" not in headers


def test_the_login_page_has_the_way_to_it_where_it_is_on(
    client: Client, provider: Saying, settings: Any
) -> None:
    page = client.get(f"{LOGIN}?next=/admin/servers/host/").content.decode()
    assert f'href="{START}?next=/admin/servers/host/">Sign in with Example &amp; Co</a>' in page
    settings.OIDC_ISSUER = ""
    assert START not in client.get(LOGIN).content.decode()
    assert client.get(START).status_code == client.get(RETURN).status_code == 404
    assert client.post(START).status_code == 405


def test_a_password_is_no_way_past_the_provider(client: Client, provider: Saying, project: Project) -> None:
    user = make_user("reader", project, name="robert")
    user.set_password("s3cret")
    user.save()
    state = begin(client, provider)["state"]
    answer = client.post(f"{LOGIN}?state={state}&code=x", {"username": "robert", "password": "wrong"})
    assert answer.status_code == 200 and "/token" not in provider.paths()
    client.post(f"{LOGIN}?next=/admin/", {"username": "robert", "password": "s3cret"})
    assert is_in(client)


def test_a_session_ends_when_the_provider_is_switched_off(
    client: Client, provider: Saying, settings: Any
) -> None:
    sign_on(client, provider)
    settings.AUTHENTICATION_BACKENDS = settings.AUTHENTICATION_BACKENDS[:1]
    assert not is_in(client)


def test_logging_out_ends_the_session(client: Client, provider: Saying) -> None:
    sign_on(client, provider)
    client.post("/admin/logout/")
    assert not is_in(client)


# ------------------------------------------------------------------------------------- what is not believed


def test_a_state_is_good_once_and_in_one_browser(client: Client, provider: Saying) -> None:
    state = begin(client, provider)["state"]
    there_and_back = {"state": state, "code": "the code"}
    other = Client()
    assert "not begun in this browser" in words(other.get(RETURN, there_and_back))
    assert client.get(RETURN, there_and_back).status_code == 302
    again = client.get(RETURN, there_and_back)
    assert again.status_code == 403 and "not begun in this browser" in words(again)


def test_a_false_way_back_logs_nobody_out(client: Client, provider: Saying) -> None:
    sign_on(client, provider)
    for query in ({}, {"error": "access_denied"}, {"error": "x", "state": "y"}, {"state": "y", "code": "z"}):
        assert client.get(RETURN, query).status_code == 403
    assert is_in(client)


def test_whom_the_provider_refuses_is_told_so(client: Client, provider: Saying) -> None:
    state = begin(client, provider)["state"]
    answer = client.get(RETURN, {"error": "access_denied", "error_description": "<b>no</b>", "state": state})
    assert answer.status_code == 403 and "did not let you in" in words(answer)
    assert "<b>no" not in answer.content.decode()


def hmac_by_public_key(said: Saying) -> None:
    said.key, said.algorithm = "a" * 300, "HS256"


def unsigned(said: Saying) -> None:
    said.key, said.algorithm = None, "none"


WRONG: dict[str, Any] = {
    "of another issuer": {"claims": {"iss": "https://elsewhere.example.org"}},
    "for another client": {"claims": {"aud": "somebody"}},
    "issued to another client": {"claims": {"aud": [CLIENT, "somebody"], "azp": "somebody"}},
    "over": {"claims": {"exp": 1_700_000_000}},
    "without an end": {"claims": {"exp": None}},
    "of another login": {"claims": {"nonce": "another"}},
    "without a nonce": {"claims": {"nonce": None}},
    "of nobody": {"claims": {"sub": None}},
    "signed by somebody else": {"key": OTHER_KEY},
    "of a key that nobody knows": {"header": {"kid": "2"}},
    "missing": {"token": {"id_token": None}},
    "no token": {"token": {"id_token": "a.b.c"}},
    "with a shared secret": hmac_by_public_key,
    "unsigned": unsigned,
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=list(WRONG))
def test_an_id_token_that_is_wrong_lets_nobody_in(client: Client, provider: Saying, wrong: Any) -> None:
    if callable(wrong):
        wrong(provider)
    else:
        for name, value in wrong.items():
            setattr(provider, name, value)
    answer = sign_on(client, provider)
    assert answer.status_code == 403 and "not for this login" in words(answer)
    assert not is_in(client) and not User.objects.exists()


def test_a_code_that_the_provider_does_not_know_lets_nobody_in(client: Client, provider: Saying) -> None:
    provider.status["/token"] = 400
    answer = sign_on(client, provider)
    assert answer.status_code == 403 and "did not confirm it" in words(answer)


def test_key_and_algorithm_are_those_that_a_right_login_has(provider: Saying) -> None:
    assert provider.key is KEY and jwt.get_unverified_header(provider.id_token())["alg"] == "RS256"


# --------------------------------------------------------------------------------------- a provider in trouble

UNUSABLE: dict[str, Any] = {
    "another issuer": {"issuer": "https://elsewhere.example.org"},
    "no token endpoint": {"token_endpoint": None},
    "a token endpoint in the clear": {"token_endpoint": "http://elsewhere.example.org/token"},
    "keys in the clear": {"jwks_uri": "http://192.0.2.1/keys"},
    "keys in a file": {"jwks_uri": "file:///etc/passwd"},
    "userinfo in the clear": {"userinfo_endpoint": "http://elsewhere.example.org/"},
}


@pytest.mark.parametrize("wrong", UNUSABLE.values(), ids=list(UNUSABLE))
def test_a_provider_that_cannot_be_trusted_is_not_asked(client: Client, provider: Saying, wrong: Any) -> None:
    provider.discovery = wrong
    answer = client.get(START)
    assert answer.status_code == 503 and "does not answer as it should" in words(answer)
    assert provider.paths() == ["/.well-known/openid-configuration"]


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/token", "/keys"])
@pytest.mark.parametrize("status", [302, 307, 404, 500])
def test_no_answer_is_followed_elsewhere_and_none_is_a_page(
    client: Client, provider: Saying, path: str, status: int
) -> None:
    provider.status[path] = status
    provider.location = f"{provider.issuer}/elsewhere"
    answer = client.get(START) if path.startswith("/.") else sign_on(client, provider)
    assert answer.status_code == 503 and "Whoever has a password here" in words(answer)
    assert "/elsewhere" not in provider.paths()


def test_a_provider_that_is_away_keeps_nobody_with_a_password_out(
    client: Client, provider: Saying, settings: Any, project: Project
) -> None:
    settings.OIDC_ISSUER = "http://127.0.0.1:9"
    assert client.get(START).status_code == 503
    user = make_user("reader", project, name="robert")
    user.set_password("s3cret")
    user.save()
    client.post(f"{LOGIN}?next=/admin/", {"username": "robert", "password": "s3cret"})
    assert is_in(client)


def test_whoever_waits_for_the_provider_holds_a_place(
    client: Client, provider: Saying, monkeypatch: pytest.MonkeyPatch
) -> None:
    PLACES.limit(0)
    try:
        answer = client.get(START)
    finally:
        PLACES.limit(None)
        monkeypatch.setattr(PLACES, "_free", None)
    assert answer.status_code == 503 and "Too many requests wait" in words(answer)
    assert provider.paths() == []


def test_no_secret_stands_in_the_log(
    client: Client, provider: Saying, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(logs.STDERR, "file", stream)
    provider.status["/token"] = 400
    sign_on(client, provider)
    provider.status = {}
    provider.key = OTHER_KEY
    sign_on(client, provider)
    said = stream.getvalue()
    assert "sign_on.refused" in said and "sign_on.not_believed" in said
    assert not re.search(f"{SECRET}|{quote_plus(SECRET)}|the code|eyJ|access", said)


# ------------------------------------------------------------------------------------------- who is let in


def test_he_is_found_again_by_what_the_provider_calls_him_and_by_no_name(
    client: Client, provider: Saying
) -> None:
    sign_on(client, provider)
    provider.claims = {"preferred_username": "eva.married", "email": "new@example.org"}
    sign_on(Client(), provider)
    assert User.objects.get().name == "eva"


@pytest.mark.parametrize("claim", ["preferred_username", "email", "name"])
def test_an_account_of_the_same_name_or_address_is_somebody_elses(
    client: Client, provider: Saying, project: Project, claim: str
) -> None:
    admin = make_user("admin", project, name="eva@example.org", email="eva@example.org")
    provider.claims = {"preferred_username": None, claim: "eva@example.org"}
    sign_on(client, provider)
    new = User.objects.exclude(pk=admin.pk).get()
    assert new.name.startswith("eva@example.org-") and roles(new) == {("shop", "member")}
    assert FederatedIdentity.objects.get().user == new
    sign_on(Client(), provider)
    assert User.objects.count() == 2


def test_another_subject_or_another_issuer_is_another_person(
    client: Client, provider: Saying, settings: Any
) -> None:
    sign_on(client, provider)
    provider.claims = {"sub": "s-2"}
    sign_on(Client(), provider)
    FederatedIdentity.objects.filter(subject="s-1").update(issuer="https://elsewhere.example.org")
    provider.claims = {}
    sign_on(Client(), provider)
    assert User.objects.count() == 3


@pytest.mark.parametrize("groups", [[], ["others"], None, "others", {"staff": 1}, 7, ["Staff"]])
def test_whose_groups_give_nothing_is_refused_on_a_plain_page_and_not_kept(
    client: Client, provider: Saying, groups: Any
) -> None:
    provider.claims = {"groups": groups}
    answer = sign_on(client, provider)
    assert answer.status_code == 403 and "None of your groups gives you a role" in words(answer)
    assert not is_in(client) and not User.objects.exists()


def test_a_group_of_a_project_that_is_not_there_gives_nothing(client: Client, provider: Saying) -> None:
    provider.claims = {"groups": ["gone"]}
    assert sign_on(client, provider).status_code == 403


def test_a_project_of_another_domain_is_another_project(
    client: Client, provider: Saying, settings: Any
) -> None:
    domain = Domain.objects.create(name="other")
    Project.objects.create(name="shop", domain=domain)
    settings.OIDC_GROUPS = (Grant("staff", "reader", "shop", "other"),)
    sign_on(client, provider)
    assert Membership.objects.get().project.domain == domain  # type: ignore[union-attr]


def test_groups_may_stand_with_the_userinfo(client: Client, provider: Saying) -> None:
    provider.claims, provider.userinfo = {"groups": None}, {"groups": "ops"}
    sign_on(client, provider)
    assert roles(User.objects.get()) == {("", "admin")}
    [(_, headers, _)] = [each for each in provider.asked if each[0] == "/userinfo"]
    assert headers["Authorization"] == "Bearer access"


def test_userinfo_of_somebody_else_is_not_believed(client: Client, provider: Saying) -> None:
    provider.claims, provider.userinfo = {"groups": None}, {"sub": "s-2", "groups": ["ops"]}
    assert sign_on(client, provider).status_code == 403
    assert not User.objects.exists()


def test_roles_follow_the_groups_at_each_login_and_what_was_given_by_hand_stays(
    client: Client, provider: Saying, project: Project
) -> None:
    sign_on(client, provider)
    user = User.objects.get(name="eva")
    Membership.objects.create(user=user, project=project, role="reader")
    provider.claims = {"groups": ["ops"]}
    sign_on(Client(), provider)
    assert roles(user) == {("", "admin"), (project.name, "reader")}
    provider.claims = {"groups": ["ops", "staff"]}
    sign_on(Client(), provider)
    assert roles(user) == {("", "admin"), ("shop", "member"), (project.name, "reader")}


def test_a_role_that_was_given_by_hand_is_not_taken_with_the_group(
    client: Client, provider: Saying, shop: Project
) -> None:
    sign_on(client, provider)
    user = User.objects.get(name="eva")
    Membership.objects.all().delete()
    Membership.objects.create(user=user, project=shop, role="member")
    sign_on(Client(), provider)
    provider.claims = {"groups": ["ops"]}
    sign_on(Client(), provider)
    assert ("shop", "member") in roles(user)


def test_what_changed_his_roles_is_remembered_with_his_name(client: Client, provider: Saying) -> None:
    sign_on(client, provider)
    record = AuditRecord.objects.filter(object_type="membership").latest("pk")
    assert (record.who, record.door, record.after["by_sign_on"]) == ("eva", "console", True)
    assert AuditRecord.objects.filter(object_type="user").latest("pk").who == "eva"


@pytest.mark.parametrize("change", [{"is_active": False}, {"is_staff": False}])
def test_who_is_switched_off_here_stays_out(
    client: Client, provider: Saying, change: dict[str, bool]
) -> None:
    sign_on(client, provider)
    User.objects.filter(name="eva").update(**change)
    answer = sign_on(Client(), provider)
    assert answer.status_code == 403 and "switched off" in words(answer)
    assert not is_in(client)


@pytest.mark.parametrize("sub", ["", "x" * 256, "a\0b", "a\x1bb", "\ud800"])
def test_a_subject_that_cannot_be_kept_is_refused(client: Client, provider: Saying, sub: str) -> None:
    provider.claims = {"sub": sub}
    assert sign_on(client, provider).status_code == 403
    assert not User.objects.exists()


def test_a_name_and_an_address_that_cannot_be_kept_are_made_such_that_they_can(
    client: Client, provider: Saying
) -> None:
    provider.claims = {"preferred_username": "e\0va" * 200, "email": "no address"}
    sign_on(client, provider)
    user = User.objects.get()
    assert len(user.name) == 255 and "\0" not in user.name and user.email == ""


# ------------------------------------------------------------------------------------------ and by REST


def test_he_has_no_password_by_rest_and_acts_there_by_an_application_credential_until_he_loses_the_group(
    client: Client, provider: Saying
) -> None:
    sign_on(client, provider)
    assert login(password("eva", "")).status_code == 401
    answer = client.post("/admin/servers/applicationcredential/add/", {"name": "cli", "roles": ["member"]})
    secret = re.search(r'data-what="secret">([^<]+)<', answer.content.decode())
    assert secret is not None
    identity = by_credential(id=ApplicationCredential.objects.get().pk, secret=secret[1])
    token = subject(login(identity))
    assert get("/v2.1/servers", token).status_code == 200
    provider.claims = {"groups": ["others"]}
    assert sign_on(Client(), provider).status_code == 403
    assert get("/v2.1/servers", token).status_code == 401
    assert login(identity).status_code == 401
    provider.claims = {}
    sign_on(Client(), provider)
    assert login(identity).status_code == 401, "what is given again revives nothing"


def test_a_second_factor_of_ours_is_for_passwords_alone(
    client: Client, provider: Saying, settings: Any
) -> None:
    settings.SECOND_FACTOR = "required"
    sign_on(client, provider)
    assert is_in(client)
