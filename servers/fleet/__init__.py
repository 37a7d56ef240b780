"""What hypervisors say: the driver of each host, questions to hosts, heartbeats, and where a guest is."""
