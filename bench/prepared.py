"""What every measurement in this process needs first."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


@contextmanager
def prepared(**variables: str) -> Iterator[Path]:
    """Set Django up on a new data folder with an empty database, with these settings; yield the folder.

    Processes that are started inside have the same. With DATABASE_URL the database is that one.
    """
    with TemporaryDirectory(prefix="bench-") as data:
        os.environ |= {
            "DATA_DIR": data,
            "DJANGO_SETTINGS_MODULE": "project.settings",
            "LOG_LEVEL": "ERROR",
            **variables,
        }
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        yield Path(data)
