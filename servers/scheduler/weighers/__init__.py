"""One file a weigher. Importing the package registers them all."""

import importlib
import pkgutil

from servers.scheduler.weighers.base import WEIGHERS, Weigher, default_multipliers, normalise, weigh_hosts

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["WEIGHERS", "Weigher", "default_multipliers", "normalise", "weigh_hosts"]
