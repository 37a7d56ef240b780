"""The Django application."""

from django.apps import AppConfig
from django.db.backends.signals import connection_created


class ServersConfig(AppConfig):
    name = "servers"
    verbose_name = "Servers"

    def ready(self) -> None:
        from servers import database_time, patterns  # noqa: PLC0415 (Django is set up first)
        from servers.management import checks  # noqa: F401, PLC0415 (it registers them)
        from servers.monitoring import metrics  # noqa: F401, PLC0415 (it subscribes to the engine's signals)

        connection_created.connect(database_time.measure)
        connection_created.connect(patterns.use_re2)
