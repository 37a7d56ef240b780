"""Records compared with hypervisors: discovery of hosts and guests, and reconciliation of differences."""
