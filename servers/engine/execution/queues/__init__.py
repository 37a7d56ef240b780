"""Queues that carry the UUID of an action to a worker, all behind Django's Tasks API."""
