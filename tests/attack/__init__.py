"""What a stranger, a reader and a member can do to a running Gantry, all at once, and what others feel of it: `make attack`."""
