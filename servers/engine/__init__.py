"""The engine: accepts actions, carries them out under a lease, writes their records, allocates on hosts."""
