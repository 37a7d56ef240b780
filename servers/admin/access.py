"""Who there is: users, projects, memberships and tokens."""

from __future__ import annotations

from django import forms
from django.contrib import admin

from servers.admin.base import OperatorAdmin, PolicyInline, RecordAdmin
from servers.admin.changes import RememberedAdmin
from servers.admin.site import console
from servers.models import Domain, Membership, Project, Token, User


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


@admin.register(Token, site=console)
class TokenAdmin(RecordAdmin):
    """Logins that are valid, or were."""

    list_display = ("user", "project", "issued_at", "expires_at", "revoked_at")
    list_select_related = ("user", "project")
    exclude = ("digest",)
