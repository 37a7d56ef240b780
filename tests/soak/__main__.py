"""The soak, under a PostgreSQL of its own: `make soak`. SOAK_S bounds it; SOAK_ACTIONS ends it when so many were accepted."""

from __future__ import annotations

import os
import secrets
import sys
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory


def main() -> int:
    """Soak, print what came of it, and return 0 when nothing was wrong."""
    kept = os.environ.get("SOAK_FOLDER")  # to look at the logs afterwards
    with nullcontext(kept) if kept else TemporaryDirectory(prefix="gantry-soak-") as folder:
        data = Path(folder)
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "project.settings",
            "DATA_DIR": str(data / "own"),
            "SIMULATED_FLEET": str(data / "fleet.sqlite3"),
            "IMAGE_DIR": str(data / "images"),
            "SECRET_KEY": secrets.token_hex(32),
            "ADMIN_PASSWORD": secrets.token_hex(16),
            "LOG_LEVEL": "WARNING",
        }
        import django  # noqa: PLC0415 (the environment is set first)

        django.setup()
        from tests.soak.soak import soak  # noqa: PLC0415

        return soak(data)


if __name__ == "__main__":
    sys.exit(main())
