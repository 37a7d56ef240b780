"""How each kind of parameter looks as a form field: this is the one place that says it."""

from __future__ import annotations

import re
from functools import singledispatch
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from servers.actions import kinds

NOT_GIVEN = (("", "not given"),)
WORDS = {"true": "yes", "false": "no", "auto": "automatic"}
"""What is shown for the words of a boolean."""


class KindField(forms.CharField):
    """What is typed or chosen, read as its kind reads it; None where nothing is given."""

    default_error_messages = {"invalid": "%(reason)s"}

    def __init__(self, kind: kinds.Kind, **options: Any) -> None:
        super().__init__(empty_value=None, **options)
        self.kind = kind

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        return None if text is None else self.read(text)

    def read(self, text: str) -> Any:
        """Return the value that a text stands for. Raises ValidationError."""
        try:
            return self.kind.read(text)
        except ValueError as error:
            facts = {"text": text, "reason": str(error)}
            raise ValidationError(self.error_messages["invalid"], "invalid", facts) from error


class KeyValueField(KindField):
    """A line for each pair: key=value."""

    widget = forms.Textarea(attrs={"rows": 3, "spellcheck": "false"})
    default_error_messages = {"invalid": "%(text)s: %(reason)s"}

    def read(self, text: str) -> Any:
        lines = [line for line in re.split(r"[\r\n]+", text) if line.strip()]
        return dict(map(self._pair, lines)) or None

    def _pair(self, line: str) -> Any:
        return super().read("=".join(part.strip() for part in line.split("=", 1)))


@singledispatch
def field_of(kind: kinds.Kind, *, required: bool = True) -> forms.Field:
    """Return the field of a kind; it cleans to the value, None for none. Raises TypeError for an unknown kind."""
    raise TypeError(f"servers.admin.fields does not say how {type(kind).__name__} looks")


@field_of.register
def _(kind: kinds.Choice, *, required: bool = True) -> forms.Field:
    choices = [(value, value) for value in kind.values]
    return KindField(kind, required=required, widget=forms.RadioSelect(choices=choices))


@field_of.register
def _(kind: kinds.Boolean, *, required: bool = True) -> forms.Field:
    return KindField(kind, required=required, widget=_select(() if required else NOT_GIVEN, kind))


@field_of.register
def _(kind: kinds.BooleanOrAuto, *, required: bool = True) -> forms.Field:
    return KindField(kind, required=required, widget=_select((), kind), initial=kinds.AUTO)


def _select(before: tuple[tuple[str, str], ...], kind: kinds.Boolean) -> forms.Select:
    return forms.Select(choices=[*before, *((word, WORDS[word]) for word in kind.offered)])


@field_of.register
def _(kind: kinds.Text, *, required: bool = True) -> forms.Field:
    return KindField(kind, required=required, min_length=kind.min_length or None, max_length=kind.max_length)


@field_of.register
def _(kind: kinds.HostName, *, required: bool = True) -> forms.Field:
    return KindField(kind, required=required and not kind.nullable, max_length=kind.max_length)


@field_of.register
def _(kind: kinds.Secret, *, required: bool = True) -> forms.Field:
    widget = forms.PasswordInput(attrs={"autocomplete": "new-password"})
    return KindField(kind, required=required, widget=widget, strip=False)


@field_of.register
def _(kind: kinds.Count, *, required: bool = True) -> forms.Field:
    return KindField(kind, required=required, widget=forms.NumberInput(attrs={"min": 0}))


@field_of.register
def _(kind: kinds.KeyValues, *, required: bool = True) -> forms.Field:
    return KeyValueField(kind, required=required)
