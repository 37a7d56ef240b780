"""One file an action. Importing the package registers them all."""

import importlib
import pkgutil

from servers.actions.base import Action, definitions, registry

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["Action", "definitions", "registry"]
