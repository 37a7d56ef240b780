"""Plans and findings as tables for a terminal, and as one JSON document."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, cast

from django.core.management.base import OutputWrapper
from django.core.serializers.json import DjangoJSONEncoder
from rich.console import Console
from rich.table import Table

UNFOLDED = 1000
"""Columns where nobody looks: every row is one line, for grep."""


def print_table(out: OutputWrapper, headings: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print rows of text under headings."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*row)
    ending, out.ending = out.ending, ""
    try:
        Console(file=cast(Any, out), width=None if out.isatty() else UNFOLDED, markup=False).print(table)
    finally:
        out.ending = ending


def print_json(out: OutputWrapper, document: dict[str, Any]) -> None:
    """Print one document and nothing else."""
    out.write(json.dumps(document, cls=DjangoJSONEncoder, indent=2, ensure_ascii=False))
