"""An action that waits for a judgement, in a Gantry that runs: `DATA_DIR=… python -m tests.e2e.stuck`.

It is a program of its own, because the tests of the console know Gantry by its address alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.running import ROOT, Running

SERVER, SOURCE = "sim-4", "rack2-a"
"""From where no other test moves anything; the host is silent afterwards."""
PATIENCE_S = 60.0
ENVIRONMENT = {"MAX_FUTILE_ATTEMPTS": "1"}
"""With what Gantry is started, so that one attempt is enough."""


def stall(running: Running) -> None:
    """Let a live migration wait for a judgement."""
    environment = {**os.environ, **ENVIRONMENT, "DATA_DIR": str(running.data)}
    subprocess.run([sys.executable, "-m", "tests.e2e.stuck"], cwd=ROOT, env=environment, check=True)


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    import django  # noqa: PLC0415

    django.setup()
    stall_here()


def stall_here() -> None:
    """Submit a live migration whose move hangs, and lose its host once the workers have left it."""
    from django.conf import settings  # noqa: PLC0415 (Django is set up first)

    from servers.actions import registry  # noqa: PLC0415
    from servers.drivers.simulated import Fleet  # noqa: PLC0415
    from servers.engine.accepting.request_context import local_operator  # noqa: PLC0415
    from servers.engine.accepting.submit import submit  # noqa: PLC0415
    from servers.models import Server  # noqa: PLC0415

    fleet = Fleet(Path(settings.SIMULATED_FLEET))
    fleet.set_fault("live_migration", SOURCE, mode="hang", hang_limit_s=1, times=1)
    server = Server.objects.get(name=SERVER)
    params = {"host": None, "block_migration": "auto"}
    record = submit(registry["live-migration"], str(server.pk), params, local_operator()).record
    until = time.monotonic() + PATIENCE_S
    while record.stalled_at is None:
        if time.monotonic() > until:
            raise RuntimeError(f"it does not wait: {record.status}, {record.error_text}")
        time.sleep(0.5)
        record.refresh_from_db()
    fleet.lose_host(SOURCE)


if __name__ == "__main__":
    main()
