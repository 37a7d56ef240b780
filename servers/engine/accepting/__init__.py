"""How a request becomes an accepted action, the same way for the REST API, the console and the commands."""
