"""The state machines as pictures: for Graphviz as django-fsm draws them, and for readers of the documentation."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from io import StringIO

from django.core.management import call_command

from servers import edges, states
from servers.edges import Edge

MACHINES: tuple[tuple[str, str, type[StrEnum], tuple[Edge, ...]], ...] = (
    (
        "vm_state of a server",
        "What a server is when nothing is being done to it.",
        states.VmState,
        edges.VM_EDGES,
    ),
    (
        "task_state of a server",
        "What is being done to it; idle is null on the wire.",
        states.TaskState,
        edges.TASK_EDGES,
    ),
    ("status of a migration", "How far a move is.", states.MigrationStatus, edges.MIGRATION_EDGES),
    ("status of an image", "Whether a backup can be used.", states.ImageStatus, edges.IMAGE_EDGES),
    (
        "status of an action",
        "Whether accepted work waits, runs, or is over.",
        states.ActionStatus,
        edges.ACTION_EDGES,
    ),
)

HEADING = """# State machines

Drawn by `make docs` from `servers/edges.py`; what is no edge cannot happen. The same for Graphviz
is in [states.dot](states.dot): `dot -Tsvg docs/states.dot -o states.svg`.
"""


def dot() -> str:
    """Return what `manage.py graph_transitions` draws, in an order that does not change from run to run."""
    drawn = StringIO()
    call_command("graph_transitions", "servers", stdout=drawn)
    return "\n".join(_steady(drawn.getvalue().splitlines())) + "\n"


def _steady(lines: Iterable[str]) -> Iterator[str]:
    body: list[str] = []
    for line in lines:
        if line.startswith("\t\t"):
            body.append(line)
            continue
        yield from sorted(body)
        body = []
        if line:
            yield line


def markdown() -> str:
    """Return the page with one diagram a machine."""
    return "\n".join([HEADING, *(_section(*machine) for machine in MACHINES)])


def _section(title: str, text: str, words: type[StrEnum], edges: tuple[Edge, ...]) -> str:
    lines = [f"## {title}", "", text, "", "```mermaid", "stateDiagram-v2"]
    named = sorted({word for edge in edges for word in (*_sources(edge, words), edge.target)})
    lines += [f'    state "{_label(word)}" as {_id(word)}' for word in named]
    lines += [
        f"    {_id(source)} --> {_id(edge.target)}: {edge.name}"
        for edge in edges
        for source in sorted(_sources(edge, words))
    ]
    table = [
        "| edge | what has happened |",
        "| --- | --- |",
        *(f"| {edge.name} | {edge.why} |" for edge in edges),
    ]
    return "\n".join([*lines, "```", "", *table, ""])


ANY = "any state"


def _sources(edge: Edge, words: type[StrEnum]) -> frozenset[str]:
    return frozenset({ANY}) if edge.sources == frozenset(words) else edge.sources


def _label(word: str) -> str:
    return str(word) or "idle"


def _id(word: str) -> str:
    return re.sub(r"\W", "_", _label(word))
