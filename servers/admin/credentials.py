"""Application credentials: what programs log in with instead of a person's password."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse

from servers import clock
from servers.admin.base import TokensGoAlong
from servers.admin.caller import IDENTITY, OPERATORS, allows, caller_of, context_for
from servers.admin.idempotency import keep_made
from servers.admin.showing import render
from servers.admin.site import console
from servers.models import ApplicationCredential


class CredentialForm(forms.ModelForm[ApplicationCredential]):
    """A new credential of the caller, for the project in whose name he acts, with at most his roles."""

    roles = forms.MultipleChoiceField(
        widget=forms.CheckboxSelectMultiple,
        help_text="Give a program no more than it needs; a role brings those below it.",
    )
    expires_at = forms.DateTimeField(
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
        help_text="In your time zone. Left empty, it never expires.",
    )
    mine: tuple[str, ...] = ()
    owner: Any = None

    class Meta:
        model = ApplicationCredential
        fields = ("name", "description", "roles", "expires_at")
        widgets = {"description": forms.TextInput(attrs={"class": "vTextField"})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["roles"].choices = [(role, role) for role in self.mine]  # type: ignore[attr-defined]

    def clean(self) -> None:
        refusal = ApplicationCredential.refuses_another(self.owner.pk)
        if refusal:
            raise forms.ValidationError(refusal)

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if ApplicationCredential.objects.filter(user=self.owner, name=name).exists():
            raise forms.ValidationError(f"You have an application credential {name} already.")
        return name

    def clean_expires_at(self) -> Any:
        at = self.cleaned_data["expires_at"]
        if at is not None and at <= clock.now():
            raise forms.ValidationError("Name a time to come.")
        return at


@admin.register(ApplicationCredential, site=console)
class ApplicationCredentialAdmin(TokensGoAlong):
    """Everybody makes, sees and deletes his own; operators see all, and who may change users deletes all."""

    list_display = ("name", "user", "project", "expires_at", "created_at")
    list_select_related = ("user", "project")
    shown = ("name", "description", "user", "project", "roles", "expires_at", "created_at")
    search_fields = ("name", "user__name", "project__name")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        mine = Q() if allows(request, OPERATORS) else Q(user_id=request.user.pk)
        return super().get_queryset(request).filter(mine)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.is_active

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return bool(context_for(request).project_id)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        is_own = obj is None or getattr(obj, "user_id", None) == request.user.pk
        return request.user.is_active and (is_own or allows(request, IDENTITY))

    def get_form(
        self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        if obj is not None:
            return super().get_form(request, obj, change, **kwargs)
        roles = tuple(sorted(context_for(request).roles))
        return type("OwnCredentialForm", (CredentialForm,), {"mine": roles, "owner": request.user})

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return CredentialForm.Meta.fields if obj is None else self.shown

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return () if obj is None else self.shown

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        chosen = caller_of(request).chosen
        title = f"Add an application credential for {chosen.name if chosen else 'nothing'}"
        only_save = {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().add_view(request, form_url, {"title": title, **only_save, **(extra_context or {})})

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        obj.user_id, obj.project_id = request.user.pk, context_for(request).project_id
        obj.shown_once = obj.set_secret()
        super().save_model(request, obj, form, change)

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the secret in the answer itself: it is kept nowhere, so there is no page to go to."""
        keep_made(request, f"application credential {obj.name}")
        context = {
            **self.admin_site.each_context(request),
            "title": f"{obj.name} is made",
            "opts": self.opts,
            "credential": obj,
            "secret": obj.shown_once,
            "identity": f"{settings.PUBLIC_URL}/identity/v3",
        }
        return render(request, "admin/servers/credential_made.html", context)
