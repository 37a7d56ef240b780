#!/usr/bin/env python
"""Django's command line for Gantry."""

import os
import sys

from servers.management.command_line import execute

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    execute(sys.argv)
