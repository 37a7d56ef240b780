"""A fleet of hypervisors that is simulated: the reference for what a driver's verbs mean."""

from servers.drivers.simulated.driver import SimulatedDriver
from servers.drivers.simulated.faults import POLL_S, VERBS, FaultMode
from servers.drivers.simulated.fleet import Fleet
from servers.drivers.simulated.readings import AgentState

__all__ = ["POLL_S", "VERBS", "AgentState", "FaultMode", "Fleet", "SimulatedDriver"]
