"""The Django application."""

from django.apps import AppConfig
from django.db.backends.signals import connection_created


class ServersConfig(AppConfig):
    name = "servers"
    verbose_name = "Servers"

    def ready(self) -> None:
        from servers import database_time  # noqa: PLC0415 (Django is set up first)

        connection_created.connect(database_time.measure)
