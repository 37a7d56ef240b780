"""Room on hosts: who holds it, which host is chosen, and which groups keep apart or together."""
