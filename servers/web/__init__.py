"""The web server: Waitress, with limits."""
