"""The form of an action, made from its definition: the newest parameters, and the older ones apart."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from django import forms
from django.forms import BoundField

from servers.actions import Action, kinds
from servers.actions.base import Parameter
from servers.admin.fields import field_of
from servers.admin.labels import parameter_label, versions_of
from servers.microversions import Microversion, maximum

ANY_HOST = "let the scheduler choose"


def older_parameters(action: type[Action], newest: Microversion) -> list[Parameter]:
    """Return the parameters that the newest version does not know under any row."""
    known = {p.name for p in action.parameters_at(newest)}
    return [p for p in action.parameters if p.name not in known]


class ActionForm(forms.Form):
    """What an action asks for. When valid, `params` and `version` are what to submit."""

    params: dict[str, Any]
    version: Microversion

    def __init__(self, action: type[Action], *args: Any, without: Iterable[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.action = action
        self.newest = maximum()
        self.older = older_parameters(action, self.newest)
        self.shown = [p for p in action.parameters_at(self.newest) if p.name not in without]
        self.version = self._version()
        at_version = {p.name: p for p in action.parameters_at(self.version)}
        for parameter in self.shown:
            self._add(parameter, at_version.get(parameter.name, parameter), parameter.help)
        for parameter in self.older:
            text = f"{parameter.help}; known to {versions_of(parameter)}".lstrip("; ")
            self._add(replace(parameter, required=False), None, text)

    def _version(self) -> Microversion:
        """Return the newest version that knows every older parameter that was given."""
        limits = [Microversion.parse(p.until) for p in self.older if self._is_given(p.name) and p.until]
        return min([self.newest, *limits])

    def _is_given(self, name: str) -> bool:
        return self.is_bound and self.data.get(self.add_prefix(name), "").strip() != ""

    def _add(self, parameter: Parameter, at_version: Parameter | None, help_text: str) -> None:
        """Add a field that looks as the newest version has it, and takes what the version of the request takes."""
        field = field_of(parameter.kind, required=parameter.required)
        taken = parameter if at_version is None else at_version
        if (taken.kind, taken.required) != (parameter.kind, parameter.required):
            shown, field = field, field_of(taken.kind, required=taken.required)
            field.widget = shown.widget
            sentence = (
                f"Microversion {self.version}, which what you gave below asks for, does not take this value."
            )
            field.error_messages = dict.fromkeys(field.error_messages, sentence)
        field.label, field.help_text = parameter_label(parameter), help_text
        self.fields[parameter.name] = field

    def newest_fields(self) -> list[BoundField]:
        """Return the fields of the newest version; the host is shown apart."""
        return [self[p.name] for p in self.shown if not isinstance(p.kind, kinds.HostName)]

    def host_field(self) -> BoundField | None:
        """Return the field of the destination, or None where the action has none."""
        return next((self[p.name] for p in self.shown if isinstance(p.kind, kinds.HostName)), None)

    def offer_hosts(self, names: Iterable[str]) -> None:
        """Let the destination be chosen among these hosts, where the action has one."""
        field = self.host_field()
        if field is not None:
            field.field.widget = forms.Select(choices=[("", ANY_HOST), *((name, name) for name in names)])

    def older_fields(self) -> list[BoundField]:
        """Return the fields of the parameters that only older versions know."""
        return [self[p.name] for p in self.older]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        known = {p.name: p for p in self.action.parameters_at(self.version)}
        self.params = {
            name: value
            for name, value in cleaned.items()
            if name in known and (value is not None or known[name].required)
        }
        self._refuse_unknown({name for name, value in cleaned.items() if value is not None})
        return cleaned

    def _refuse_unknown(self, given: set[str]) -> None:
        known = {p.name for p in self.action.parameters_at(self.version)}
        for name in sorted(given - known):
            self.add_error(
                name, f"Microversion {self.version} does not know it, and another value needs that one."
            )

    def values(self) -> tuple[dict[str, Any], Microversion]:
        """Return parameters and version as far as they can be told: for showing, even when something is wrong."""
        if self.is_bound:
            self.is_valid()
            return dict(self.params), self.version
        return {
            p.name: self.get_initial_for_field(self.fields[p.name], p.name)
            for p in self.shown
            if p.required or self.initial.get(p.name) is not None
        }, self.newest
