"""The Django application."""

from typing import Any

from django.apps import AppConfig
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate, pre_migrate


class ServersConfig(AppConfig):
    name = "servers"
    verbose_name = "Servers"

    def ready(self) -> None:
        from servers import database_time, patterns  # noqa: PLC0415 (Django is set up first)
        from servers.audit import saying, triggers  # noqa: PLC0415
        from servers.management import checks  # noqa: F401, PLC0415 (it registers them)
        from servers.monitoring import metrics  # noqa: F401, PLC0415 (it subscribes to the engine's signals)

        connection_created.connect(database_time.measure)
        connection_created.connect(patterns.use_re2)
        connection_created.connect(saying.hear)

        def remove(**kwargs: Any) -> None:
            triggers.remove()

        def install(**kwargs: Any) -> None:
            triggers.install()

        pre_migrate.connect(remove, sender=self, weak=False)
        post_migrate.connect(install, sender=self, weak=False)
