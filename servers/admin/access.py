"""Who there is: users, projects, memberships, tokens and application credentials."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest

from servers.admin.base import OperatorAdmin, PolicyInline, RecordAdmin
from servers.admin.caller import OPERATORS, allows
from servers.admin.changes import RememberedAdmin
from servers.admin.site import console
from servers.models import ApplicationCredential, Domain, Membership, Project, Token, User


class UserForm(forms.ModelForm[User]):
    """A user; a new password is hashed when one is given."""

    new_password = forms.CharField(
        required=False, widget=forms.PasswordInput(attrs={"autocomplete": "new-password"})
    )

    class Meta:
        model = User
        fields = ("name", "domain", "email", "default_project", "is_active", "is_staff")

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
    model = Membership


@admin.register(User, site=console)
class UserAdmin(RememberedAdmin, OperatorAdmin):
    """People and programs."""

    form = UserForm
    list_display = ("name", "domain", "is_active", "is_staff", "last_login")
    list_filter = ("is_active", "is_staff", "domain")
    list_select_related = ("domain",)
    search_fields = ("name", "id", "email")
    inlines = (MembershipInline,)


@admin.register(Project, site=console)
class ProjectAdmin(RememberedAdmin, OperatorAdmin):
    """Owners of servers."""

    list_display = ("name", "domain", "enabled", "description")
    list_select_related = ("domain",)
    fields = ("name", "domain", "description", "enabled")
    search_fields = ("name", "id")
    inlines = (MembershipInline,)


@admin.register(Domain, site=console)
class DomainAdmin(OperatorAdmin):
    """Name spaces of users and projects."""

    list_display = ("name", "enabled")
    fields = ("name", "enabled")


@admin.register(Membership, site=console)
class MembershipAdmin(RememberedAdmin, OperatorAdmin):
    """Roles of users in projects."""

    list_display = ("user", "project", "role")
    list_filter = ("role", "project")
    list_select_related = ("user", "project")
    search_fields = ("user__name", "project__name")


@admin.register(ApplicationCredential, site=console)
class ApplicationCredentialAdmin(RecordAdmin):
    """What programs log in with; only hashes are kept. Everybody sees and deletes his own."""

    list_display = ("name", "user", "project", "expires_at", "created_at")
    list_select_related = ("user", "project")
    fields = ("name", "description", "user", "project", "roles", "expires_at", "created_at")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        mine = Q() if allows(request, OPERATORS) else Q(user_id=request.user.pk)
        return super().get_queryset(request).filter(mine)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.is_active

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.is_active


@admin.register(Token, site=console)
class TokenAdmin(RecordAdmin):
    """Logins that are valid, or were."""

    list_display = ("user", "project", "issued_at", "expires_at", "revoked_at")
    list_select_related = ("user", "project")
    exclude = ("digest",)
