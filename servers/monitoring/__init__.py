"""Whether all is well, and figures: health for whoever restarts processes, metrics for Prometheus."""
