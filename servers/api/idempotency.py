"""The header Idempotency-Key: a request that is repeated with it is carried out once, and answered as the first time.

Each handler that changes something says so: `@once` where all that it does is writes to the database, and
`@once(in_transaction=False)` where hypervisors or an image store are asked as well: it hands the engine
`keeping(…)`, which keeps the answer in the engine's own transaction.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial, wraps
from typing import Any, TypeVar, overload

from django.db import transaction
from django.http import HttpResponse
from rest_framework.request import Request

from servers.api.bodies import media_type
from servers.api.view import ServiceView
from servers.engine.accepting.idempotency import LONGEST_KEY, Answer, Keep, claim, keep_nothing
from servers.errors import IdempotencyKeyInvalid

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
"""A string of RFC 8941, which the draft asks for."""
BARE = re.compile(r"[!#-\[\]-~]+")
"""What other services take, and most clients send."""

Thing = TypeVar("Thing")
Handler = TypeVar("Handler", bound=Callable[..., HttpResponse])


@overload
def once(handler: Handler) -> Handler: ...
@overload
def once(*, in_transaction: bool) -> Callable[[Handler], Handler]: ...
def once(handler: Any = None, *, in_transaction: bool = True) -> Any:
    """Let a handler be carried out once for an Idempotency-Key; without one it is called as it is."""
    if handler is None:
        return partial(once, in_transaction=in_transaction)

    @wraps(handler)
    def handle(view: ServiceView, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        header = request.headers.get(HEADER)
        if header is None:
            return handler(view, request, *args, **kwargs)  # type: ignore[no-any-return]
        address = f"{request.method} {request.path}"
        found = claim(key_in(header), view.context, address, asked_by(view, request))
        if isinstance(found, Answer):
            return replay(found, view)
        view.claim = found
        with found, transaction.atomic() if in_transaction else nullcontext():
            answer: HttpResponse = handler(view, request, *args, **kwargs)
            if in_transaction:
                view.keep(answer)
        return view.kept or answer

    handle.is_once = True  # type: ignore[attr-defined]
    return handle


def is_once(view: Any, method: str) -> bool:
    """Return whether a view's method, in lower case, takes an Idempotency-Key."""
    return getattr(getattr(view, method, None), "is_once", False)


def key_in(header: str) -> str:
    """Return the key that a header holds, as a string of RFC 8941 or bare. Raises IdempotencyKeyInvalid."""
    text = header.strip(" ")
    quoted = QUOTED.fullmatch(text)
    if quoted is not None:
        return re.sub(r"\\(.)", r"\1", quoted[1])
    if not BARE.fullmatch(text):
        raise IdempotencyKeyInvalid(most=LONGEST_KEY)
    return text


def asked_by(view: ServiceView, request: Request) -> list[Any]:
    """Return what makes a request besides caller, address and key; no credentials of the caller."""
    unread = request._request.body.hex() if view.body is None else ""
    headers = [request.headers.get(name, "") for name in view.asked_in]
    query = request.META.get("QUERY_STRING", "")
    return [query, str(view.version), media_type(request).lower(), view.body, unread, headers]


def replay(kept: Answer, view: ServiceView) -> HttpResponse:
    """Return the first answer, under the request id by which its request is recorded."""
    view.request_id = kept.request_id
    view.headers = view.default_response_headers
    answer = HttpResponse(kept.body, status=kept.status, headers=dict(kept.headers))
    answer[REPLAYED] = "true"
    return answer


def keeping(view: ServiceView, answer_to: Callable[[Thing], HttpResponse]) -> Keep[Thing]:
    """Return what the engine calls in its transaction, to keep the view's answer to what was accepted."""
    if view.claim is None:
        return keep_nothing

    def keep(accepted: Thing) -> None:
        view.keep(answer_to(accepted), checking=getattr(accepted, "is_awaited", False))

    return keep
