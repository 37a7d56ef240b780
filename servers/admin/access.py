"""Who there is: users, projects, memberships, tokens and application credentials."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.forms import ReadOnlyPasswordHashField
from django.contrib.auth.models import Group
from django.http import HttpRequest

from servers.admin.base import RecordAdmin
from servers.models import ApplicationCredential, Domain, Membership, Project, Token, User

admin.site.unregister(Group)
admin.site.site_header = "Gantry"
admin.site.site_title = "Gantry"
admin.site.index_title = "Fleet"


class UserForm(forms.ModelForm[User]):
    """A user; a new password is hashed when one is given."""

    password_hash = ReadOnlyPasswordHashField(required=False, label="Password")
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


class MembershipInline(admin.TabularInline[Membership, User]):
    model = Membership
    extra = 0


@admin.register(User)
class UserAdmin(admin.ModelAdmin[User]):
    """People and programs."""

    form = UserForm
    list_display = ("name", "domain", "is_active", "is_staff", "last_login")
    list_filter = ("is_active", "is_staff", "domain")
    search_fields = ("name", "id", "email")
    inlines = (MembershipInline,)


@admin.register(Project)
class ProjectAdmin(admin.ModelAdmin[Project]):
    """Owners of servers."""

    list_display = ("name", "domain", "enabled")
    search_fields = ("name", "id")


@admin.register(Domain)
class DomainAdmin(admin.ModelAdmin[Domain]):
    """Name spaces of users and projects."""

    list_display = ("name", "enabled")


@admin.register(Membership)
class MembershipAdmin(admin.ModelAdmin[Membership]):
    """Roles of users in projects."""

    list_display = ("user", "project", "role")
    list_filter = ("role", "project")
    list_select_related = ("user", "project")


@admin.register(ApplicationCredential)
class ApplicationCredentialAdmin(RecordAdmin):
    """What programs log in with. Only hashes are kept."""

    list_display = ("name", "user", "project", "expires_at")
    list_select_related = ("user", "project")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True


@admin.register(Token)
class TokenAdmin(RecordAdmin):
    """Logins that are valid, or were."""

    list_display = ("user", "project", "issued_at", "expires_at", "revoked_at")
    list_select_related = ("user", "project")
    exclude = ("digest",)
