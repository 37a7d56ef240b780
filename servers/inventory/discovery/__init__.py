"""Discovery: hosts and guests that are not recorded, or recorded differently; a plan, then its writing."""
