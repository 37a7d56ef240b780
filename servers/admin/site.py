"""The console as a Django admin site: its pages in groups, and in whose name one acts."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.admin import AdminSite
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBadRequest, HttpResponseRedirect
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_POST

from servers.admin import judgement, sign_on
from servers.admin.badges import SERVER, Tone, badge
from servers.admin.caller import OPERATORS, SESSION_KEY, allows, caller_of
from servers.admin.deployment import where_it_agrees
from servers.admin.idempotency import once
from servers.admin.logging_in import LoginForm, as_refused
from servers.admin.overview import overview
from servers.admin.own_password import OwnPassword
from servers.admin.policy_page import policy_page
from servers.admin.second_factor import Login, own_second_factor, second_step
from servers.admin.sessions import in_session
from servers.admin.showing import shown
from servers.engine.judgement.cases import LIST_RULE
from servers.logins import openid, second_factor

GROUPS = (
    ("Fleet", ("Server", "Host", "Image")),
    ("Work", ("ActionRecord", "Migration", "Worker")),
    ("Access", ("User", "Project", "Membership", "ApplicationCredential", "Token", "Domain", "AuditRecord")),
    ("Inventory", ("Flavor", "ServerGroup", "Aggregate", "StoragePool", "Allocation")),
)
POLICY = "Policy rules"


class Console(AdminSite):
    """Everything that operators do in a browser."""

    site_header = "Gantry"
    site_title = "Gantry"
    index_title = "Overview"
    site_url = None
    index_template = "admin/servers/overview.html"
    login_form = LoginForm
    password_change_done_template = "admin/servers/password_changed.html"

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Return the view for whoever may see the console, on a machine that agrees; a form is handled once."""
        return in_session(
            self.has_permission, super().admin_view(where_it_agrees(self, once(view)), cacheable)
        )

    def get_urls(self) -> list[URLPattern | URLResolver]:
        own: list[URLPattern | URLResolver] = [
            path("act-for/", self.admin_view(require_POST(self.act_for)), name="act_for"),
            path("judgement/", self.admin_view(self.waiting), name="waiting"),
            path("policy/", self.admin_view(self.policy), name="policy"),
            path("login/second-factor/", self.second_step, name="second_step"),
            path("login/sign-on/", self.sign_on, name="sign_on"),
            path("login/sign-on/return/", self.sign_on_return, name="sign_on_return"),
            path("second-factor/", self.admin_view(self.second_factor), name="second_factor"),
        ]
        return own + super().get_urls()

    @method_decorator(never_cache)
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if request.method == "GET" and self.has_permission(request):
            return HttpResponseRedirect(reverse("admin:index"))
        context = {
            **self.each_context(request),
            "title": "Log in",
            "app_path": request.get_full_path(),
            "username": request.user.get_username(),
            "sign_on_name": settings.OIDC_NAME if openid.is_on() else "",
            **(extra_context or {}),
        }
        if REDIRECT_FIELD_NAME not in {*request.GET, *request.POST}:
            context[REDIRECT_FIELD_NAME] = reverse("admin:index")
        view: Any = Login.as_view(
            authentication_form=self.login_form, template_name="admin/login.html", extra_context=context
        )
        return as_refused(view(request))

    @method_decorator([never_cache, sensitive_post_parameters()])
    def second_step(self, request: HttpRequest) -> HttpResponse:
        return second_step(request, self)

    @method_decorator([never_cache, require_GET])
    def sign_on(self, request: HttpRequest) -> HttpResponse:
        return sign_on.leave(request, self)

    @method_decorator([never_cache, require_GET])
    def sign_on_return(self, request: HttpRequest) -> HttpResponse:
        return sign_on.come_back(request, self)

    @method_decorator(sensitive_post_parameters())
    def second_factor(self, request: HttpRequest) -> HttpResponse:
        return own_second_factor(request, self)

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        context = {**super().each_context(request), "second_factor_is_offered": second_factor.is_offered()}
        if context["has_permission"]:
            context["caller"] = caller_of(request)
        return context

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        found = overview(request)
        for line in found["states"]:
            line["badge"] = badge(line["status"], SERVER.get(line["status"], Tone.BUSY))
        return super().index(request, {**shown(request, found), **(extra_context or {})})

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Return the pages in groups instead of in one long list."""
        models = {
            m["object_name"]: m for app in super().get_app_list(request, app_label) for m in app["models"]
        }
        groups = [self.group(name, [models[n] for n in names if n in models]) for name, names in GROUPS]
        if allows(request, LIST_RULE):
            groups[1]["models"].insert(1, judgement.menu_entry(request, reverse("admin:waiting")))
        if allows(request, OPERATORS):
            address = reverse("admin:policy")
            groups[2]["models"].append(
                {
                    "name": POLICY,
                    "object_name": "Policy",
                    "admin_url": address,
                    "add_url": None,
                    "view_only": True,
                }
            )
        return [group for group in groups if group["models"]]

    def group(self, name: str, models: list[Any]) -> dict[str, Any]:
        """Return pages under a common name, as Django's templates want them."""
        return {
            "name": name,
            "app_label": name.lower(),
            "app_url": reverse("admin:index"),
            "has_module_perms": True,
            "models": models,
        }

    def waiting(self, request: HttpRequest) -> HttpResponse:
        return judgement.list_page(request, self)

    def policy(self, request: HttpRequest) -> HttpResponse:
        return policy_page(request, self.each_context(request))

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        context = {**self.each_context(request), **(extra_context or {})}
        return OwnPassword.as_view(extra_context=context)(request)

    def autocomplete_view(self, request: HttpRequest) -> HttpResponse:
        """Find nothing: no form of the console asks for suggestions."""
        raise Http404

    def act_for(self, request: HttpRequest) -> HttpResponse:
        """Choose in whose name to act from now on."""
        key = request.POST.get("project", "")
        if key not in {choice.key for choice in caller_of(request).choices}:
            return HttpResponseBadRequest("That is none of your projects.")
        request.session[SESSION_KEY] = key
        back = request.POST.get("next", "")
        safe = url_has_allowed_host_and_scheme(back, {request.get_host()}, request.is_secure())
        response = HttpResponse(status=303)
        response["Location"] = back if safe else reverse("admin:index")
        return response


console = Console(name="admin")
