"""How a request becomes an accepted action, the same way for REST, console and command."""
