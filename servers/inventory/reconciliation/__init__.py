"""Comparing records with hypervisors again and again, and repairing what is safe."""
