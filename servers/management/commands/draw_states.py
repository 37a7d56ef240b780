"""manage.py draw_states: write the pictures of the state machines into the documentation."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from servers.management import drawing


class Command(BaseCommand):
    help = "Draw the state machines into docs/states.dot and docs/states.md."

    def handle(self, *args: Any, **given: Any) -> None:
        docs = settings.BASE_DIR / "docs"
        (docs / "states.dot").write_text(drawing.dot())
        (docs / "states.md").write_text(drawing.markdown())
        self.stdout.write("Drawn.")
