"""Capacity of hosts: allocations and their claims, usage, server groups, and the choice of a host."""
