"""Accepted work: how an action is accepted, carried out and written down, and what it holds on hosts."""
