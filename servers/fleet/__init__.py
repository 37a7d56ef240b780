"""What hypervisors say: the driver of each host, asking many hosts at a time, and where a guest is seen."""
