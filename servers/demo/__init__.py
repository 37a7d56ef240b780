"""The demo fleet: five simulated hosts and two dozen servers, in every state that the actions distinguish."""
