"""Comparing what was answered with what was expected: pure functions that return differences in words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
WILD = {
    "timestamp": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z?",
    "image_id": UUID,
    "migration_uuid": UUID,
    "request_id": f"req-{UUID}",
    "traceback": r"(?s:.+)",
    "conductor": r".+",
    "host_id": r"[0-9a-f]{56}",
}
PLACEHOLDER = re.compile(r"\{([a-z0-9_]+)\}")
"""What is only known by its form: it is made while the request is answered."""

IGNORED_AFTER = {"dispatched"}


def overlay(base: Any, over: Any) -> Any:
    """Return `base` with `over` laid over it, mappings key by key."""
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        merged = dict(base)
        for key, value in over.items():
            merged[key] = overlay(base[key], value) if key in base else value
        return merged
    return over


def fill(value: Any, known: Mapping[str, Any]) -> Any:
    """Return `value` with the known placeholders replaced, for sending."""
    if isinstance(value, str):
        whole = PLACEHOLDER.fullmatch(value)
        if whole and whole[1] in known:
            return known[whole[1]]
        return PLACEHOLDER.sub(lambda m: str(known.get(m[1], m[0])), value)
    if isinstance(value, Mapping):
        return {key: fill(item, known) for key, item in value.items()}
    if isinstance(value, list):
        return [fill(item, known) for item in value]
    return value


def pattern(expected: str, known: Mapping[str, Any]) -> re.Pattern[str]:
    """Return what a string has to match: placeholders of known value, or of known form, and the rest literally."""
    parts, end = [], 0
    for match in PLACEHOLDER.finditer(expected):
        name = match[1]
        if name not in known and name not in WILD:
            continue
        parts.append(re.escape(expected[end : match.start()]))
        parts.append(WILD[name] if name in WILD else re.escape(str(known[name])))
        end = match.end()
    return re.compile("".join(parts) + re.escape(expected[end:]))


def matches(expected: Any, actual: Any, known: Mapping[str, Any]) -> bool:
    """Return whether a single value is the expected one."""
    if isinstance(expected, str):
        whole = PLACEHOLDER.fullmatch(expected)
        if whole and whole[1] in known and not isinstance(known[whole[1]], str):
            return bool(known[whole[1]] == actual and type(known[whole[1]]) is type(actual))
        return isinstance(actual, str) and pattern(expected, known).fullmatch(actual) is not None
    if isinstance(expected, bool) or isinstance(actual, bool):
        return expected is actual
    return bool(expected == actual)


def differences(
    expected: Any, actual: Any, known: Mapping[str, Any], path: str = "", *, subset: bool = False
) -> list[str]:
    """Return where `actual` is not what was expected; with `subset` it may have more keys."""
    if isinstance(expected, Mapping):
        if not isinstance(actual, Mapping):
            return [f"{path or 'body'}: expected an object, got {actual!r}"]
        found = []
        for key in expected:
            if key not in actual:
                found.append(f"{path}.{key}: missing")
            else:
                found += differences(expected[key], actual[key], known, f"{path}.{key}", subset=subset)
        if not subset:
            found += [f"{path}.{key}: not expected" for key in actual if key not in expected]
        return found
    if isinstance(expected, list):
        if not isinstance(actual, list) or len(actual) != len(expected):
            return [f"{path}: expected {expected!r}, got {actual!r}"]
        pairs = enumerate(zip(expected, actual, strict=True))
        return [d for i, (e, a) in pairs for d in differences(e, a, known, f"{path}[{i}]", subset=subset)]
    return (
        []
        if matches(expected, actual, known)
        else [f"{path or 'body'}: expected {expected!r}, got {actual!r}"]
    )


def message_of(body: Any) -> str:
    """Return the text of a fault."""
    fault = next(iter(body.values()), None) if isinstance(body, Mapping) else None
    return str(fault.get("message", "")) if isinstance(fault, Mapping) else ""


def body_differences(expect: Mapping[str, Any], actual: Any, known: Mapping[str, Any]) -> list[str]:
    """Return where the body differs, by the row's way of matching."""
    if "body_subset" in expect:
        return differences(expect["body_subset"], actual, known, subset=True)
    if "body" not in expect:
        return []
    wanted = expect["body"]
    if expect.get("message_match") == "prefix" and isinstance(actual, Mapping):
        text, prefix = message_of(actual), fill(expect["message_prefix"], known)
        if not text.startswith(prefix):
            return [f".message: expected to begin with {prefix!r}, got {text!r}"]
        name = next(iter(wanted))
        wanted = {name: {**wanted[name], "message": text.replace("{", "{{").replace("{{", "{")}}
        known = {}
    return differences(wanted, actual, known)


def header_differences(
    expect: Mapping[str, Any], actual: Mapping[str, str], known: Mapping[str, Any], *, empty: bool
) -> list[str]:
    """Return which of the listed headers differ, and which should not be there."""
    found = []
    for name, value in expect.get("headers", {}).items():
        if name == "Content-Type" and empty:
            continue
        if name not in actual:
            found.append(f"header {name}: missing")
        elif not matches(value, actual[name], known):
            found.append(f"header {name}: expected {value!r}, got {actual[name]!r}")
    found += [f"header {name}: not expected" for name in expect.get("headers_absent", []) if name in actual]
    return found


def after_differences(
    expect: Mapping[str, Any], actual: Mapping[str, Any], known: Mapping[str, Any]
) -> list[str]:
    """Return where the database differs from what `after` says of it."""
    wanted = {k: v for k, v in expect.get("after", {}).items() if k not in IGNORED_AFTER}
    return differences(wanted, {k: actual[k] for k in wanted}, known, "after")
