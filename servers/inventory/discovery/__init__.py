"""Taking up hosts and guests that are not recorded, or recorded otherwise: a plan, then its writing."""
