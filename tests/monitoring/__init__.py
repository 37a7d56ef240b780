"""Health, metrics, and the log."""
