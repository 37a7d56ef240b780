"""Requests made up from the OpenAPI document: good ones, nearly good ones, and such as nobody would send in good faith."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from hypothesis import strategies as st

Schema = dict[str, Any]

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**30, max_value=10**400)
    | st.floats()
    | st.text(max_size=40)
    | st.sampled_from(["\ud800", "a\x00b", "auto", "-1", "", " ", "1" * 5000, "x" * 300])
)
anything = st.recursive(
    scalars,
    lambda v: st.lists(v, max_size=4) | st.dictionaries(st.text(max_size=8), v, max_size=4),
    max_leaves=8,
)
odd_bytes = st.binary(min_size=1, max_size=12)


@dataclass(frozen=True)
class Made:
    """A request: what is sent, and which operation of the document it is meant for."""

    template: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes | None
    role: str | None


class Maker:
    """Makes requests for a document; `address` fills a path with ids that exist."""

    def __init__(self, document: Schema, address: Callable[[str], str]) -> None:
        self.document = document
        self.address = address

    def resolve(self, schema: Schema) -> Schema:
        """Return what a schema stands for."""
        while "$ref" in schema:
            _, *steps = schema["$ref"].split("/")
            found: Any = self.document
            for step in steps:
                found = found[step]
            schema = found
        return schema

    # ------------------------------------------------------------------------------- what schemas allow

    def fitting(self, schema: Schema) -> st.SearchStrategy[Any]:
        """Return values that a schema allows, nearly always."""
        schema = self.resolve(schema)
        if "const" in schema:
            return st.just(schema["const"])
        if "enum" in schema:
            return st.sampled_from(schema["enum"])
        if "type" not in schema and "anyOf" in schema:
            return st.one_of([self.fitting(choice) for choice in schema["anyOf"]])
        kinds = schema.get("type")
        if kinds is None:
            return anything
        return st.one_of([self.of_type(k, schema) for k in ([kinds] if isinstance(kinds, str) else kinds)])

    def of_type(self, kind: str, schema: Schema) -> st.SearchStrategy[Any]:
        """Return values of one of JSON's types."""
        if kind == "object":
            return self.objects(schema)
        if kind == "array":
            items = self.fitting(schema.get("items", {}))
            return st.lists(items, min_size=schema.get("minItems", 0), max_size=schema.get("maxItems", 3))
        if kind == "integer":
            return st.integers(min_value=schema.get("minimum"))
        if kind == "string":
            return self.texts(schema)
        return {"boolean": st.booleans(), "null": st.none(), "number": st.floats()}[kind]

    def texts(self, schema: Schema) -> st.SearchStrategy[Any]:
        """Return texts."""
        if schema.get("format") == "uuid":
            return st.uuids().map(str)
        if schema.get("format") == "date-time":
            return st.datetimes().map(lambda moment: moment.isoformat())
        if "pattern" in schema:
            return st.from_regex(schema["pattern"]).map(lambda text: text[: schema.get("maxLength", 255)])
        least, most = schema.get("minLength", 0), min(schema.get("maxLength", 40), 300)
        return st.text(min_size=least, max_size=most)

    def objects(self, schema: Schema) -> st.SearchStrategy[Any]:
        """Return objects; one of the sets of members that `anyOf` requires is among them."""
        members = {name: self.fitting(value) for name, value in schema.get("properties", {}).items()}
        needed = set(schema.get("required", ()))
        choices = [needed | set(c.get("required", ())) for c in schema.get("anyOf", [{}])]
        made = [
            st.fixed_dictionaries(
                {name: members[name] for name in names if name in members},
                optional={name: member for name, member in members.items() if name not in names},
            )
            for names in choices
        ]
        return st.one_of(made)

    # --------------------------------------------------------------------------------- whole requests

    @st.composite  # type: ignore[misc]
    def _request(draw: Any, self: Maker, template: str, method: str) -> Made:  # type: ignore[misc]
        operation = self.document["paths"][template][method]
        parameters = [self.resolve(p) for p in operation["parameters"]]
        headers = {"Accept": draw(st.sampled_from(["*/*", "application/json", "text/html"]))}
        query: list[tuple[str, str]] = []
        named = [p for p in parameters if p["in"] != "path"]
        for parameter in draw(st.lists(st.sampled_from(named), max_size=3)) if named else []:
            good = self.fitting(parameter["schema"])
            value = draw(st.one_of(good, good, good, anything))
            text = value if isinstance(value, str) else json.dumps(value)
            if parameter["in"] == "query":
                query.append((parameter["name"], text))
            elif text.isprintable() and text.isascii():
                headers[parameter["name"]] = text
        if draw(st.integers(0, 4)) == 4:
            query.append((draw(st.text(max_size=5)), draw(st.text(max_size=5))))
        path = draw(self.paths(template))
        if query:
            path += "?" + urlencode(query, errors="surrogatepass")
        body = None
        if "requestBody" in operation:
            body, headers["Content-Type"] = draw(self.bodies(operation))
        return Made(
            template, method, path, headers, body, draw(st.sampled_from(["admin"] * 5 + ["reader", None]))
        )

    def requests(self, template: str, method: str) -> st.SearchStrategy[Made]:
        """Return requests for one operation."""
        return self._request(template, method)  # type: ignore[no-any-return]

    def paths(self, template: str) -> st.SearchStrategy[str]:
        """Return addresses: mostly one that exists, and such with odd texts in it."""
        known = st.just(self.address(template))
        if "{" not in template:
            return known
        before, _, rest = template.partition("{")
        odd = (st.text(min_size=1, max_size=12).map(str.encode) | odd_bytes).filter(lambda b: b"/" not in b)
        changed = odd.map(lambda raw: before + quote(raw, safe="") + rest.partition("}")[2])
        return st.one_of(known, known, known, changed.map(lambda path: self.address(path)))

    @st.composite  # type: ignore[misc]
    def _body(draw: Any, self: Maker, operation: Schema) -> tuple[bytes, str]:  # type: ignore[misc]
        [(media_type, content)] = operation["requestBody"]["content"].items()
        value = draw(self.fitting(content["schema"]))
        how = draw(st.sampled_from(["as it is", "as it is", "changed", "anything", "bytes"]))
        if how == "bytes":
            return draw(st.binary(max_size=40)), media_type
        if how == "anything":
            value = draw(anything)
        if how == "changed":
            value = draw(changed(value))
        odd_type = draw(st.sampled_from([media_type] * 9 + ["text/html"]))
        return json.dumps(value).encode(), odd_type

    def bodies(self, operation: Schema) -> st.SearchStrategy[tuple[bytes, str]]:
        """Return bodies with their media types."""
        return self._body(operation)  # type: ignore[no-any-return]


@st.composite
def changed(draw: Any, value: Any) -> Any:
    """Return a value with something else somewhere in it."""
    if isinstance(value, dict) and value and draw(st.booleans()):
        name = draw(st.sampled_from(sorted(value)))
        return {**value, name: draw(changed(value[name]))}
    if isinstance(value, dict) and draw(st.booleans()):
        return {**value, draw(st.text(max_size=8)): draw(anything)}
    if isinstance(value, list) and value and draw(st.booleans()):
        return [draw(changed(value[0])), *value[1:]]
    return draw(anything)
