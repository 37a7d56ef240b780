"""The audit trail: the database writes each change beside it, and a chain of hashes proves that nobody changed that."""
