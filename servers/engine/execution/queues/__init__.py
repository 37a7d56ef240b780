"""Queues that carry the number of an action to a worker, all behind Django's Tasks API."""
