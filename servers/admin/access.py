"""Who there is: users, projects, memberships and tokens."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.password_validation import password_validators_help_text_html, validate_password
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse

from servers import clock
from servers.admin.base import OperatorAdmin, PolicyInline, RecordAdmin, TokensGoAlong
from servers.admin.caller import IDENTITY, allows
from servers.admin.idempotency import kept
from servers.admin.showing import render
from servers.admin.site import console
from servers.logins import second_factor
from servers.models import Domain, Membership, Project, SecondFactor, Token, User


class UserForm(forms.ModelForm[User]):
    """A user; a new password is hashed when one is given."""

    new_password = forms.CharField(
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=password_validators_help_text_html,
    )
    end_credentials = forms.BooleanField(
        required=False,
        initial=True,
        label="End application credentials",
        help_text="With a new password, which ends the tokens and sessions by itself.",
    )
    caller: User | None = None

    class Meta:
        model = User
        fields = ("name", "domain", "email", "default_project", "is_active", "is_staff")

    def clean_is_active(self) -> bool:
        active: bool = self.cleaned_data["is_active"]
        if not active and self.caller is not None and self.instance == self.caller:
            raise forms.ValidationError("You cannot deactivate yourself.")
        return active

    def _post_clean(self) -> None:
        """Compare a new password with the name and address that the form gives, as Django's own forms do."""
        super()._post_clean()  # type: ignore[misc]
        if self.cleaned_data.get("new_password"):
            try:
                validate_password(self.cleaned_data["new_password"], self.instance)
            except forms.ValidationError as error:
                self.add_error("new_password", error)

    def save(self, commit: bool = True) -> User:
        user = super().save(commit=False)
        if self.cleaned_data["new_password"]:
            user.set_password(self.cleaned_data["new_password"])
        elif not user.password:
            user.set_unusable_password()
        if commit:
            user.save()
            self.save_m2m()
        return user


class MembershipInline(PolicyInline):
    """Roles, which are given and taken away."""

    model = Membership
    write_rule = IDENTITY

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class IdentityAdmin(TokensGoAlong, OperatorAdmin):
    """Pages of who there is and what he may do; whoever may look at them is not yet who may change them."""

    write_rule = IDENTITY


@admin.register(User, site=console)
class UserAdmin(IdentityAdmin):
    """People and programs."""

    form = UserForm
    list_display = ("name", "domain", "is_active", "is_staff", "last_login")
    list_filter = ("is_active", "is_staff", "domain")
    list_select_related = ("domain",)
    search_fields = ("name", "id", "email")
    inlines = (MembershipInline,)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.second_factor)
        return [
            path("<str:key>/second-factor/", view, name="servers_user_second_factor"),
            *super().get_urls(),
        ]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        removes = allows(request, IDENTITY) and SecondFactor.objects.filter(user=object_id).exists()
        context = {"has_second_factor": removes, **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    def second_factor(self, request: HttpRequest, key: str) -> HttpResponse:
        """Ask whether a user's second factor is to be removed, and remove it."""
        if not allows(request, IDENTITY):
            raise PermissionDenied
        user = User.objects.filter(pk=key, second_factor__isnull=False).first()
        if user is None:
            raise Http404(f"There is no second factor of user {key}.")
        if request.method != "POST":
            context = {
                **self.admin_site.each_context(request),
                "title": "Remove second factor",
                "key": user.pk,
                "name": user.name,
                "is_required": second_factor.is_required(),
            }
            return render(request, "admin/servers/remove_second_factor.html", context)
        with transaction.atomic():
            second_factor.switch_off(user)
            messages.success(request, f"{user.name} has no second factor any more.")
            back = reverse("admin:servers_user_change", args=[user.pk])
            return kept(request, HttpResponseRedirect(back))

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return whether the caller may delete the user; nobody deletes himself."""
        return obj != request.user and super().has_delete_permission(request, obj)

    def get_form(
        self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        return type("CallersUserForm", (form,), {"caller": request.user})

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if form.cleaned_data["new_password"] and form.cleaned_data["end_credentials"]:
            obj.application_credentials.all().delete()


@admin.register(Project, site=console)
class ProjectAdmin(IdentityAdmin):
    """Owners of servers."""

    list_display = ("name", "domain", "enabled", "description")
    list_select_related = ("domain",)
    fields = ("name", "domain", "description", "enabled")
    search_fields = ("name", "id")
    inlines = (MembershipInline,)


@admin.register(Domain, site=console)
class DomainAdmin(IdentityAdmin):
    """Name spaces of users and projects."""

    list_display = ("name", "enabled")
    fields = ("name", "enabled")


@admin.register(Membership, site=console)
class MembershipAdmin(IdentityAdmin):
    """Roles of users in projects: given and taken away, never changed."""

    list_display = ("user", "project", "role")
    list_filter = ("role", "project")
    list_select_related = ("user", "project")
    search_fields = ("user__name", "project__name")

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Token, site=console)
class TokenAdmin(RecordAdmin):
    """Logins that are valid, or were."""

    list_display = ("user", "project", "issued_at", "expires_at", "revoked_at", "is_in_force")
    list_select_related = ("user__domain", "project__domain", "application_credential__project__domain")
    exclude = ("digest",)

    @admin.display(boolean=True, description="in force")
    def is_in_force(self, token: Token) -> bool:
        """Return whether it lets somebody in at this moment."""
        return token.is_valid(clock.now())
