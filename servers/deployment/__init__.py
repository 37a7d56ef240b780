"""What must be the same on every machine that works on one database, and who stays out because it is not."""
