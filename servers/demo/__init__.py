"""The demo fleet: four simulated hosts and two dozen servers, in every state that the actions distinguish."""
