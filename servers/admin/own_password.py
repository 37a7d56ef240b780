"""One's own password: everybody changes it, whoever knows the old one."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.password_validation import password_validators_help_texts
from django.contrib.auth.views import PasswordChangeView
from django.http import HttpResponse
from django.urls import reverse_lazy

from servers.admin.logging_in import OldPasswordChecked, as_refused


class OwnPasswordForm(OldPasswordChecked, PasswordChangeForm):
    """The old password, and the new one twice."""

    end_credentials = forms.BooleanField(
        required=False,
        label="End my application credentials too",
        help_text="The programs that log in with them have to be given new ones.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["new_password1"].help_text = " ".join(password_validators_help_texts())

    def save(self, commit: bool = True) -> Any:
        user = super().save(commit)
        if self.cleaned_data["end_credentials"]:
            user.application_credentials.all().delete()
        return user


class OwnPassword(PasswordChangeView):
    """The page. The session in which it is changed goes on; every other one ends."""

    form_class = OwnPasswordForm
    template_name = "admin/servers/password_form.html"
    success_url = reverse_lazy("admin:password_change_done")
    title = "Change password"

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "request": self.request}

    def form_invalid(self, form: Any) -> HttpResponse:
        return as_refused(super().form_invalid(form))
