"""A form that is sent twice acts once: every form carries a key, and a repeat goes where the first one went."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar
from uuid import uuid4
from weakref import WeakKeyDictionary

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict

from servers.admin.caller import context_for
from servers.engine.accepting.idempotency import Answer, Claim, Keep, claim, keep_nothing
from servers.errors import (
    AnswerNotKept,
    ClaimLost,
    IdempotencyKeyInvalid,
    KeyReused,
    Refusal,
    RequestUnderWay,
)

FIELD = "idempotency_key"
NOT_ASKED = {FIELD, "csrfmiddlewaretoken"}
PREVIEW = "preview"
"""The field of a form that is only looked at, not sent."""

STATUS = {
    IdempotencyKeyInvalid: 400,
    RequestUnderWay: 409,
    ClaimLost: 409,
    AnswerNotKept: 409,
    KeyReused: 422,
}
WORDS: dict[type[Refusal], str] = {
    RequestUnderWay: "This form was sent a moment ago, and is still being carried out. Look again in a while.",
    KeyReused: "This form was sent before with other values, and that was carried out. Look at what there is now; "
    "then send the form once more.",
    AnswerNotKept: "This form was sent before, and has made {made}. Its secret was shown that once.",
}

NOTHING: Any = QueryDict()
"""For a form that is not sent: Django's own views look at the fields, and not at the method."""

Thing = TypeVar("Thing")
View = Callable[..., HttpResponseBase]

_claims: WeakKeyDictionary[HttpRequest, Claim] = WeakKeyDictionary()


def new_key() -> str:
    """Return the key of a form that is about to be shown."""
    return str(uuid4())


def once(view: View) -> View:
    """Let a view handle a form once, and answer a repeat as the first time.

    The view's engine call keeps the answer by `keeping`, or the view by `kept` in a transaction of its own. Where
    neither does, as for a form on many servers, it is kept afterwards: then each of the parts acts once.
    """

    @wraps(view)
    def handle(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        key = key_of(request)
        if key is None:
            return view(request, *args, **kwargs)
        try:
            found = claim(key, context_for(request), f"console {request.path}", asked_by(request))
            if isinstance(found, Answer):
                return HttpResponse(status=found.status, headers=dict(found.headers))
            return handled(found, view, request, *args, **kwargs)
        except tuple(STATUS) as refusal:
            return shown_again(view, request, refusal, *args, **kwargs)

    return handle


def handled(found: Claim, view: View, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
    """Return what the view answers to a form; what is no redirect has refused it, but for a secret that is shown."""
    _claims[request] = found
    with found:
        response = view(request, *args, **kwargs)
        if is_redirect(response) and found.answer is None:
            found.keep(answer_of(response))
        if response.status_code >= 400:
            found.give_up()
    return response


def key_of(request: HttpRequest) -> str | None:
    """Return the key that was sent with a form, None where it is only looked at, or has none."""
    is_sent = request.method == "POST" and PREVIEW not in request.POST
    return request.POST.get(FIELD) or None if is_sent else None


def asked_by(request: HttpRequest) -> list[Any]:
    """Return what a form says, without what is new each time that it is shown."""
    fields = {name: values for name, values in request.POST.lists() if name not in NOT_ASKED}
    return [request.META.get("QUERY_STRING", ""), fields]


def shown_again(
    view: View, request: HttpRequest, refusal: Refusal, *args: Any, **kwargs: Any
) -> HttpResponseBase:
    """Return the page with the form, filled in as it was sent and with a new key, and with the reason."""
    messages.error(request, WORDS.get(type(refusal), str(refusal)).format_map(refusal.facts))
    query: Any = request.GET.copy()
    for name, values in request.POST.lists():
        if name not in NOT_ASKED:
            query.setlist(name, values)
    request.method, request.GET, request.POST = "GET", query, NOTHING
    page = view(request, *args, **kwargs)
    if not is_redirect(page):
        page.status_code = STATUS[type(refusal)]
    return page


def is_redirect(response: HttpResponseBase) -> bool:
    """Return whether the answer is where to go: what a form is answered that was accepted."""
    return 300 <= response.status_code < 400


def answer_of(response: HttpResponseBase) -> Answer:
    """Return a redirect in the form in which it is kept."""
    return Answer(response.status_code, {"Location": response.headers["Location"]})


def keeping(request: HttpRequest, place: Callable[[Thing], str]) -> Keep[Thing]:
    """Return what the engine calls in its transaction: it keeps that a form is answered by going to `place`."""
    found = _claims.get(request)
    if found is None:
        return keep_nothing

    def keep(accepted: Thing) -> None:
        answer = Answer(303, {"Location": place(accepted)})
        found.keep(answer, checking=getattr(accepted, "is_awaited", False))

    return keep


def kept(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Keep a redirect in the transaction that has written what the form says, and return it."""
    found = _claims.get(request)
    if found is not None and found.answer is None and is_redirect(response):
        found.keep(answer_of(response))
    return response


def keep_made(request: HttpRequest, made: str) -> None:
    """Keep what was made, where the answer holds a secret."""
    found = _claims.get(request)
    if found is not None:
        found.keep(Answer(200, made=made))
