"""How each kind of parameter looks as a form field: this is the one place that says it."""

from __future__ import annotations

import re
from functools import singledispatch
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from servers.actions import kinds

_HOST_NAME = rf"^{kinds.HostName.characters}{{1,{kinds.HostName.max_length}}}\Z"
_MAX_TEXT = kinds.KeyValues.max_length
_KEY = re.compile(f"{kinds.KeyValues.key_characters}{{1,{_MAX_TEXT}}}", re.ASCII)
NOT_GIVEN = (("", "not given"),)
YES_NO = (("true", "yes"), ("false", "no"))


class OneOf(forms.TypedChoiceField):
    """A choice among words, some of which stand for a value that is no word."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, coerce=word_value, empty_value=None, **kwargs)


def word_value(word: str) -> Any:
    """Return what a word of a choice stands for."""
    return {"true": True, "false": False}.get(word, word)


class KeyValueField(forms.CharField):
    """A line for each pair: key=value."""

    widget = forms.Textarea(attrs={"rows": 3, "spellcheck": "false"})

    def clean(self, value: Any) -> dict[str, str] | None:
        text = super().clean(value)
        lines = [line for line in str(text).splitlines() if line.strip()]
        return dict(_pair(line) for line in lines) or None


def _pair(line: str) -> tuple[str, str]:
    key, equals, value = line.partition("=")
    key, value = key.strip(), value.strip()
    if not equals or not _KEY.fullmatch(key) or len(value) > _MAX_TEXT:
        raise ValidationError(
            f"{line!r} is no key=value: keys of A-Z a-z 0-9 - _ : . and blank, both at most 255 characters."
        )
    return key, value


class PrintableField(forms.CharField):
    """A text of printable characters, white space at its ends taken away."""

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not str(text).isprintable():
            raise ValidationError("Only printable characters can stand in a name.")
        return text


@singledispatch
def field_of(kind: kinds.Kind, *, required: bool = True) -> forms.Field:
    """Return the field of a kind; it cleans to the value, None for none. Raises TypeError for an unknown kind."""
    raise TypeError(f"servers.admin.fields does not say how {type(kind).__name__} looks")


@field_of.register
def _(kind: kinds.Boolean, *, required: bool = True) -> forms.Field:
    return OneOf(choices=YES_NO if required else NOT_GIVEN + YES_NO, required=required)


@field_of.register
def _(kind: kinds.BooleanOrAuto, *, required: bool = True) -> forms.Field:
    return OneOf(choices=(("auto", "automatic"), *YES_NO), required=required, initial="auto")


@field_of.register
def _(kind: kinds.HostName, *, required: bool = True) -> forms.Field:
    needed = required and not kind.nullable
    return forms.RegexField(_HOST_NAME, required=needed, empty_value=None)


@field_of.register
def _(kind: kinds.Name, *, required: bool = True) -> forms.Field:
    return PrintableField(max_length=kind.max_length, required=required)


@field_of.register
def _(kind: kinds.Text, *, required: bool = True) -> forms.Field:
    return forms.CharField(
        min_length=kind.min_length or None, max_length=kind.max_length, required=required, empty_value=None
    )


@field_of.register
def _(kind: kinds.Secret, *, required: bool = True) -> forms.Field:
    widget = forms.PasswordInput(attrs={"autocomplete": "new-password"})
    return forms.CharField(widget=widget, strip=False, required=required)


@field_of.register
def _(kind: kinds.Count, *, required: bool = True) -> forms.Field:
    return forms.IntegerField(min_value=kind.minimum, required=required)


@field_of.register
def _(kind: kinds.Choice, *, required: bool = True) -> forms.Field:
    return forms.ChoiceField(
        choices=[(v, v) for v in kind.values], required=required, widget=forms.RadioSelect
    )


@field_of.register
def _(kind: kinds.KeyValues, *, required: bool = True) -> forms.Field:
    return KeyValueField(required=required)


@field_of.register
def _(kind: kinds.MigrationId, *, required: bool = True) -> forms.Field:
    return forms.IntegerField(min_value=1, required=required)
