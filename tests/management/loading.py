"""Loads `project.settings` once for each environment of a list: `python -m tests.management.loading`, JSON in, JSON out.

Each time in a process of its own, forked from one that has imported what the settings import: hundreds take seconds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from pathlib import Path

from project import environment, logs  # noqa: F401 (imported before the forks, as what follows)
from servers import microversions, scheduler, states  # noqa: F401
from servers.web import limits  # noqa: F401

ROOT = Path(__file__).parent.parent.parent
SHOWN = (
    "import project.settings as s; "
    "said = {n: repr(getattr(s, n)) for n in dir(s) if n.isupper() and n not in {'READ', 'INSTALLED_APPS'}}"
)


def load(cases: list[dict[str, str]], folder: Path) -> list[dict[str, str]]:
    """Return for each environment what the settings are, by their names, or what is raised, as `error`.

    `folder` is home and working directory.
    """
    known = {"PATH": os.environ.get("PATH", ""), "HOME": str(folder), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.management.loading"],
        cwd=folder,
        env=known,
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[dict[str, str]] = json.loads(done.stdout)
    return found


def load_here(variables: dict[str, str]) -> dict[str, str]:
    """Return what the settings are in this process, which has not loaded them before."""
    os.environ.update(variables)
    found: dict[str, dict[str, str]] = {}
    try:
        exec(SHOWN, found)
    except Exception as error:  # noqa: BLE001 (whatever it is, the test looks at it)
        return {
            "error": "".join(traceback.format_exception_only(error)).strip(),
            "whole": traceback.format_exc(),
        }
    return found["said"]


def forked(variables: dict[str, str]) -> dict[str, str]:
    """Return what `load_here` says in a process of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        with os.fdopen(writing, "w") as answer:
            json.dump(load_here(variables), answer)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    found: dict[str, str] = json.loads(text)
    return found


if __name__ == "__main__":
    print(json.dumps([forked(case) for case in json.load(sys.stdin)]))
