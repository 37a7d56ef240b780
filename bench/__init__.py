"""Measurements, each beside something of the same run. `make bench` takes them; no test depends on a time."""
