"""One of several processes that want the same thing at the same moment; `test_races` starts it.

Reads commands from its input: `submit <server>` and `claim <action>`; waits for `go`, and answers each with a line.
"""

from __future__ import annotations

import sys
from uuid import UUID

import django

django.setup()

from servers.actions import registry  # noqa: E402
from servers.engine.accepting.submit import submit  # noqa: E402
from servers.engine.execution.lease import claim  # noqa: E402
from servers.errors import Fault  # noqa: E402
from servers.policy import Context, implied_roles  # noqa: E402


def answer(word: str, subject: str) -> str:
    """Return what came of a command: ok, lost, or the class of the fault."""
    if word == "claim":
        return "ok" if claim(UUID(subject), "racer") else "lost"
    context = Context("racer", "p", implied_roles(["admin"]), request_id="req-racer")
    try:
        submit(registry["migrate"], subject, {}, context)
    except Fault as fault:
        return type(fault).__name__
    return "ok"


if __name__ == "__main__":
    print("ready", flush=True)
    for line in sys.stdin:
        print(answer(*line.split()), flush=True)
