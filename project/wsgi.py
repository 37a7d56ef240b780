"""The web application, for gunicorn."""

import os
import sys

import structlog
from django.core.wsgi import get_wsgi_application
from django.db import connections

from servers.database_age import refuse_strange_database
from servers.errors import StrangeDatabase

CANNOT_BOOT = 3
"""With which gunicorn's workers say so: one that ends with another code is started again, for ever."""

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
application = get_wsgi_application()
try:
    refuse_strange_database()
except StrangeDatabase as error:
    structlog.get_logger(__name__).error("web.not_started", reason=str(error))
    sys.exit(CANNOT_BOOT)
finally:
    connections.close_all()
