"""The crash matrix as a table: what was struck, how often, and how it ended. `table RESULTS [DOCUMENT]`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import django

django.setup()

from tests.matrix.blows import BLOWS  # noqa: E402
from tests.matrix.scenes import SCENES  # noqa: E402

Result = dict[str, Any]

TITLE = """# The crash matrix

Each action, in each of its scenes, is struck by each blow at each point: a call of a driver, a write, an edge, a
statement, before it and after it. All of it happens on the simulated fleet, in virtual time. After each cell there is
peace: hosts come back, everybody works until nothing is due, and the reconciler passes by twice where something is
left. Then records, hypervisors and room have to say the same, and every accepted action has an end.

`make matrix` plays it and writes this page; continuous integration plays a sixth of it, another one each time.
"""
WAITING = """
## What waits for a person

Blows that last for ever leave an action *unknown*, with the reason, once it has made no progress in five attempts.
"""


def read(file: Path) -> list[Result]:
    """Return what the tests have noted."""
    return [json.loads(line) for line in file.read_text().splitlines()]


def page(results: list[Result]) -> str:
    """Return the whole page."""
    return "\n".join([TITLE, *cells(results), "", *endings(results), *waiting(results), *wrong(results), ""])


def line(*columns: object) -> str:
    return f"| {' | '.join(map(str, columns))} |"


def cells(results: list[Result]) -> Iterator[str]:
    """Yield the cells by scene and group of blows; a number with ✗ is that of the cells that went wrong."""
    groups = list(dict.fromkeys(blow.group for blow in BLOWS))
    group_of = {blow.name: blow.group for blow in BLOWS}
    played, failed = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for result in results:
        key = result["scene"], group_of[result["blow"]]
        played[key] += sum(result["ends"].values())
        failed[key] += len(result["wrong"])
    yield "## Cells"
    yield ""
    yield line("scene", *groups, "all")
    yield line("---", *["---:"] * (len(groups) + 1))
    for scene in SCENES:
        row = [shown(played[scene, group], failed[scene, group]) for group in groups]
        total = sum(played[scene, group] for group in groups)
        yield line(scene, *row, shown(total, sum(failed[scene, group] for group in groups)))
    columns = [shown(sum(played[s, g] for s in SCENES), sum(failed[s, g] for s in SCENES)) for g in groups]
    yield line("all", *columns, shown(sum(played.values()), sum(failed.values())))


def shown(played: int, failed: int) -> str:
    """Return a number of cells, with that of those that went wrong."""
    return f"{played or '–'}{f', {failed} ✗' if failed else ''}"


def endings(results: list[Result]) -> Iterator[str]:
    """Yield how the actions have ended, blow by blow."""
    words = ("succeeded", "failed", "cancelled", "not accepted", "waits for a person")
    yield "## How they ended"
    yield ""
    yield line("blow", *words)
    yield line("---", *["---:"] * len(words))
    for blow in BLOWS:
        ends = Counter[str]()
        for result in results:
            if result["blow"] == blow.name:
                for end, number in result["ends"].items():
                    ends[word_of(end)] += number
        yield line(blow.name, *(ends[word] or "–" for word in words))


def word_of(end: str) -> str:
    """Return an end without its details."""
    return end.split(" (")[0].split(":")[0]


def waiting(results: Iterable[Result]) -> Iterator[str]:
    """Yield the cells whose action waits for a person, with the reason."""
    yield WAITING
    cells: dict[str, list[str]] = {}
    for result in results:
        for cell in result["stalled"]:
            name, _, reason = cell.partition(": waits for a person: ")
            step = reason.split(": ")[0].split(" in ")[-1]
            cells.setdefault(name, []).append(f"{result['scene']} (in {step})")
    for name in sorted(cells):
        yield f"- {name}: {'; '.join(cells[name])}"


def wrong(results: Iterable[Result]) -> Iterator[str]:
    """Yield the cells that went wrong."""
    bad = [(result, cell) for result in results for cell in result["wrong"]]
    if bad:
        yield "\n## What went wrong\n"
    for result, cell in bad:
        yield f"- {result['scene']}, {result['blow']}: {cell}"


def in_order(results: list[Result]) -> list[Result]:
    """Return the results in the order of scenes and blows: tests end in any."""
    scenes, blows = list(SCENES), [blow.name for blow in BLOWS]
    return sorted(results, key=lambda r: (scenes.index(r["scene"]), blows.index(r["blow"])))


def main(results: str, document: str = "") -> None:
    """Print the table, and keep it where a document is named."""
    text = page(in_order(read(Path(results))))
    print(text)
    if document:
        Path(document).write_text(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
