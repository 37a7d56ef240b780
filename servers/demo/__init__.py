"""The demo fleet: five simulated hosts and thirty servers, in every state that the actions distinguish."""
