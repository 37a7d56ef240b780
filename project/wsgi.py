"""The web application, for gunicorn."""

import os
import sys

import structlog
from django.core.wsgi import get_wsgi_application
from django.db import connections

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
application = get_wsgi_application()

from servers.database_age import refuse_strange_database  # noqa: E402
from servers.deployment.comparison import Membership, name_of_web  # noqa: E402 (Django is set up first)
from servers.errors import StrangeDatabase  # noqa: E402

CANNOT_BOOT = 3
"""With which gunicorn's workers say so: one that ends with another code is started again, for ever."""

try:
    refuse_strange_database()
except StrangeDatabase as error:
    structlog.get_logger(__name__).error("web.not_started", reason=str(error))
    sys.exit(CANNOT_BOOT)
finally:
    connections.close_all()
Membership(name_of_web(), "web").begin()
