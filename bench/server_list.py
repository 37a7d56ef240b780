"""The detailed list of 500 servers by REST, beside reading the same rows and writing them as JSON with nothing else."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from statistics import median

from bench.prepared import prepared

SERVERS = 500
TIMES = 15


def timed(call: Callable[[], object]) -> float:
    """Return the median time of a call in seconds."""
    took = []
    for _ in range(TIMES):
        begun = time.perf_counter()
        call()
        took.append(time.perf_counter() - begun)
    return median(took)


def main() -> int:
    """Print the figures."""
    with prepared():
        from servers.models import Server
        from tests.conftest import Caller
        from tests.factories import make_host, make_interface, make_project, make_server

        project, host = make_project(), make_host()
        for number in range(SERVERS):
            make_interface(make_server(project, host=host), f"10.0.{number // 250}.{number % 250 + 1}/16")
        caller = Caller(project, "admin")

        def listed() -> int:
            answer = caller.get(f"/v2.1/servers/detail?limit={SERVERS}", "2.96")
            return len(answer.json()["servers"])

        def bare() -> str:
            return json.dumps(list(Server.objects.values()), default=str)

        if listed() != SERVERS:
            raise RuntimeError("not every server is in the list")
        ours, least = timed(listed), timed(bare)
    print(
        f"{SERVERS} servers in detail: {ours * 1000:.0f} ms, bare rows as JSON {least * 1000:.0f} ms: {ours / least:.1f} times"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
