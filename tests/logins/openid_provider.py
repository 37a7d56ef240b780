"""An OpenID provider on loopback that says whatever a test wants, right or wrong; tests/e2e has a real one."""

from __future__ import annotations

import json
import threading
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from django.test import Client

CLIENT, SECRET = "gantry", "client secret & co"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
START, RETURN = "/admin/login/sign-on/", "/admin/login/sign-on/return/"


@dataclass
class Saying:
    """What the provider says; a test changes it. `claims` None takes a claim out of the ID token."""

    issuer: str
    claims: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=dict)
    discovery: dict[str, Any] = field(default_factory=dict)
    token: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=lambda: {"kid": "1"})
    key: Any = KEY
    algorithm: str = "RS256"
    status: dict[str, int] = field(default_factory=dict)
    location: str = ""
    asked: list[tuple[str, dict[str, str], dict[str, str]]] = field(default_factory=list)
    """Of each request the path, its headers and its form."""
    nonce: str = ""
    challenge: str = ""

    def id_token(self) -> str:
        now = int(time.time())
        said = {
            **{
                "iss": self.issuer,
                "aud": CLIENT,
                "sub": "s-1",
                "iat": now,
                "exp": now + 60,
                "nonce": self.nonce,
            },
            **{"preferred_username": "eva", "groups": ["staff"]},
            **self.claims,
        }
        claims = {name: value for name, value in said.items() if value is not None}
        return jwt.encode(claims, self.key, self.algorithm, self.header)

    def answer(self, path: str) -> dict[str, Any]:
        if path == "/.well-known/openid-configuration":
            ends = {"authorization": "authorize", "token": "token", "userinfo": "userinfo"}
            found = {f"{name}_endpoint": f"{self.issuer}/{end}" for name, end in ends.items()}
            return {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys", **found, **self.discovery}
        if path == "/keys":
            public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key()))
            return {"keys": [{**public, "kid": "1", "use": "sig", "alg": "RS256"}]}
        if path == "/userinfo":
            return {"sub": "s-1", **self.userinfo}
        return {"access_token": "access", "token_type": "Bearer", "id_token": self.id_token(), **self.token}

    def paths(self) -> list[str]:
        return [path for path, _, _ in self.asked]


@contextmanager
def openid_provider() -> Iterator[Saying]:
    """Let a provider answer on loopback during the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            form = {name: values[0] for name, values in parse_qs(sent).items()}
            said.asked.append((path, dict(self.headers), form))
            status = said.status.get(path, 200)
            body = json.dumps(said.answer(path) if status == 200 else {"error": "invalid_grant"}).encode()
            self.send_response(status)
            if said.location:
                self.send_header("Location", said.location)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *given: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    said = Saying(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield said
    finally:
        server.shutdown()
        server.server_close()


def begin(client: Client, said: Saying, onward: str = "") -> dict[str, str]:
    """Return with what Gantry sends a browser to the provider, who remembers nonce and challenge."""
    answer = client.get(f"{START}?next={onward}" if onward else START)
    assert answer.status_code == 302, answer.content
    assert answer["Location"].startswith(f"{said.issuer}/authorize?")
    asked = {name: values[0] for name, values in parse_qs(urlsplit(answer["Location"]).query).items()}
    said.nonce, said.challenge = asked["nonce"], asked["code_challenge"]
    return asked


def sign_on(client: Client, said: Saying, onward: str = "") -> Any:
    """Return the answer to somebody who comes back from the provider."""
    asked = begin(client, said, onward)
    return client.get(RETURN, {"state": asked["state"], "code": "the code"})


def challenge_of(verifier: str) -> str:
    """Return the challenge of a verifier (RFC 7636, S256)."""
    return urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("=")


def basic(headers: dict[str, str]) -> str:
    """Return what stands in an Authorization header of scheme Basic."""
    return b64decode(headers["Authorization"].removeprefix("Basic ")).decode()
