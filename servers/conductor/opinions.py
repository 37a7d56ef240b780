"""What the scheduler thinks of each host, for the doors to show."""

from servers.conductor.choice import opinions as host_opinions

__all__ = ["host_opinions"]
