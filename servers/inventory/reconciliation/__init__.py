"""Reconciliation: records and hypervisors are compared periodically, and what is safe is repaired."""
