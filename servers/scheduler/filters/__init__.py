"""One file a filter. Importing the package registers them all."""

import importlib
import pkgutil

from servers.scheduler.filters.base import FILTERS, Filter, filters_named

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["FILTERS", "Filter", "filters_named"]
