"""manage.py make_admin: the first account, where `manage.py up` does not make it."""

from __future__ import annotations

from typing import Any

from servers.management.accounts import ensure_admin, password_file
from servers.management.on_database import OnDatabase


class Command(OnDatabase):
    help = "Make the admin's account, or set its password to ADMIN_PASSWORD. manage.py up does the same at its start."

    def handle(self, *args: Any, **given: Any) -> None:
        admin = ensure_admin()
        where = f"in {password_file()}" if admin.password else "known to whoever has set it"
        self.stdout.write(f"The name is {admin.user.name}. The password is {where}.")
